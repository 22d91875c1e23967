"""The contract as generated Python: do not edit; run scripts/generate_protos.py."""
