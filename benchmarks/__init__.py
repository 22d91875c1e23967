"""Speed and memory, measured beside a peer or a limit in the same run. `python -m benchmarks --help` lists them."""
