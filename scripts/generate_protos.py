"""Turns protos/ into mmrec/v1/: Python modules, type stubs and gRPC stubs.

    python scripts/generate_protos.py           # write them
    python scripts/generate_protos.py --check   # change nothing; exit 1 if what is committed is stale

Generated code refuses a runtime older than its generator, so the generator is pinned low (grpcio-tools 1.71)
and the floors of grpcio and protobuf in pyproject.toml are its own.
"""

from __future__ import annotations

import sys
import tempfile
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GENERATOR = "1.71"
INIT = '"""The contract as generated Python: do not edit; run scripts/generate_protos.py."""\n'


def include_paths() -> list[str]:
    """Folders protoc looks for imports in: ours, the well-known types, google/rpc."""
    well_known = str(files("grpc_tools") / "_proto")
    spec = find_spec("google.rpc.status_pb2")  # google.rpc itself is a namespace package, without a folder of its own
    if spec is None or spec.origin is None:
        raise SystemExit("google.rpc is not installed; run: pip install googleapis-common-protos")
    return [str(ROOT / "protos"), well_known, str(Path(spec.origin).parents[2])]


def generate(out: Path) -> None:
    """Write mmrec/v1/ below `out`."""
    from grpc_tools import protoc

    if not version("grpcio-tools").startswith(GENERATOR + "."):
        raise SystemExit(
            f"grpcio-tools is {version('grpcio-tools')}; generated code must come from {GENERATOR}.*: "
            f"pip install 'grpcio-tools=={GENERATOR}.*'"
        )
    sources = sorted((ROOT / "protos" / "mmrec" / "v1").glob("*.proto"))
    flags = [f"--{kind}={out}" for kind in ("python_out", "pyi_out", "grpc_python_out")]
    includes = [f"-I{path}" for path in include_paths()]
    status = protoc.main(["protoc", *includes, *flags, *(str(source) for source in sources)])
    if status != 0:
        raise SystemExit(f"protoc ended with status {status}")
    (out / "mmrec" / "v1" / "__init__.py").write_text(INIT, encoding="utf-8")


def stale() -> list[str]:
    """Names of the files below mmrec/v1/ that differ from what would be generated now."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = {path.name: path.read_bytes() for path in (Path(folder) / "mmrec" / "v1").iterdir()}
    committed = {
        path.name: path.read_bytes() for path in (ROOT / "mmrec" / "v1").iterdir() if path.suffix in {".py", ".pyi"}
    }
    return sorted(name for name in fresh | committed if fresh.get(name) != committed.get(name))


def main() -> int:
    """Exit status."""
    if "--check" in sys.argv[1:]:
        names = stale()
        for name in names:
            print(f"mmrec/v1/{name} is stale; run: python scripts/generate_protos.py", file=sys.stderr)
        return 1 if names else 0
    for old in (ROOT / "mmrec" / "v1").glob("*_pb2*"):
        old.unlink()
    generate(ROOT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
