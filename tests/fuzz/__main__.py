"""Fuzzes targets with atheris: ``python -m tests.fuzz [NAME ...] --runs 1000000 --seconds 60``.

Each target runs in a process of its own, which begins with its inputs under ``corpus/``. New inputs are collected in a
work folder; ``--keep`` copies some small ones of all sizes to ``corpus/``. The end of each target is a line
of JSON; the exit status is 1 if one of them found something, whose input is printed and kept in the work folder.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parent / "corpus"
MOST_KEPT, MOST_KEPT_BYTES = 16, 600
"""Inputs of a target that are kept beside its seeds, and the size of the largest of them."""
TIMEOUT_S, MEMORY_MIB = 20, 4096
"""An execution that takes longer, or a process that takes more, is a finding."""


def main() -> None:
    """Fuzz what the command line names, or this one target in this process."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="targets; none: all")
    parser.add_argument("--runs", type=int, default=1_000_000, help="executions of a target")
    parser.add_argument("--seconds", type=int, default=3600, help="most seconds of a target")
    parser.add_argument("--bundle", type=Path, help="a bundle that answers; none: one of 60 drawn items is fitted")
    parser.add_argument("--work", type=Path, default=Path("fuzz.tmp"), help="where new inputs and findings go")
    parser.add_argument("--keep", action="store_true", help="copy small new inputs to tests/fuzz/corpus")
    parser.add_argument("--publish", action="store_true", help="store the counts under benchmarks/results")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    try:
        import atheris  # noqa: F401
    except ImportError:
        sys.exit("error: atheris is not installed; run: pip install 'mmrec[fuzz]' (it has wheels for Linux alone)")
    if given.inside:
        _fuzz(given.names[0], given.bundle, given.runs, given.seconds, given.work)
        return
    bundle = given.bundle or _fitted(given.work)
    from mmrec.recommender import Recommender
    from tests.fuzz.targets import targets

    known = targets(Recommender.load(bundle))
    if unknown := [name for name in given.names if name not in known]:
        parser.error(f"no target is called {unknown[0]!r}; there are {', '.join(known)}")
    lines = [_child(name, bundle, given) for name in given.names or known]
    if given.publish:
        publish(lines, given.runs)
    sys.exit(1 if any(line["status"] for line in lines) else 0)


def publish(lines: Sequence[Mapping[str, Any]], wanted: int) -> None:
    """Store what each target's line says as a dated result."""
    from benchmarks.report import Report, ruled

    fewest, found = min(line["executions"] for line in lines), [line["target"] for line in lines if line["status"]]
    Report(
        "fuzz",
        "Executions of each target by atheris from the kept corpus, one process of one thread after the other; seconds "
        f"with the start of the process. An execution may take {TIMEOUT_S} s, a process {MEMORY_MIB} MiB. Requests are "
        "answered by a bundle of 60 drawn items; those that need an encoder or a store are read and checked alone.",
        ("target", "executions", "seconds", "findings"),
        [(line["target"], line["executions"], line["seconds"], int(line["status"] != 0)) for line in lines],
        notes=[
            ruled(f"Targets with a crash, a hang or an internal error: {len(found)}", "0", not found),
            ruled(f"Fewest executions of a target: {fewest:,}", f">= {wanted:,}", fewest >= wanted),
        ],
    ).publish()


def _child(name: str, bundle: Path, given: argparse.Namespace) -> dict[str, Any]:
    """The line of a target that is fuzzed in a process of its own; it is printed."""
    command = [sys.executable, "-m", "tests.fuzz", name, "--inside", "--bundle", str(bundle), "--work", str(given.work)]
    command += ["--runs", str(given.runs), "--seconds", str(given.seconds)]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    counts = re.findall(r"^#(\d+)", done.stderr, re.MULTILINE)
    line = {
        "target": name,
        "executions": int(counts[-1]) if counts else 0,
        "seconds": round(time.monotonic() - began, 1),
        "status": done.returncode,
    }
    print(json.dumps(line), flush=True)
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-2000:], file=sys.stderr, flush=True)
    elif given.keep:
        _keep(name, given.work)
    return line


def _fuzz(name: str, bundle: Path, runs: int, seconds: int, work: Path) -> None:
    import atheris

    with atheris.instrument_imports(include=["mmrec", "mmrec_encoders"]):
        from mmrec.recommender import Recommender
        from tests.fuzz.targets import targets

    target = targets(Recommender.load(bundle))[name]
    fresh, seeds, findings = work / name, work / f"{name}.seeds", work / "findings"
    for folder in (fresh, seeds, findings):
        folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(target.seeds):
        (seeds / str(number)).write_bytes(data)
    options = [f"-runs={runs}", f"-max_total_time={seconds}", f"-timeout={TIMEOUT_S}", f"-rss_limit_mb={MEMORY_MIB}"]
    options += ["-max_len=4096", "-reload=0", f"-artifact_prefix={findings}{os.sep}{name}-"]
    folders = [fresh, seeds, *([CORPUS / name] if (CORPUS / name).is_dir() else [])]
    atheris.Setup([sys.argv[0], *options, *map(str, folders)], lambda data: target.run(data) and None)
    atheris.Fuzz()


def _keep(name: str, work: Path) -> None:
    """Copy small new inputs of all sizes: each reached something that those before it had not."""
    kept = CORPUS / name
    kept.mkdir(parents=True, exist_ok=True)
    room = MOST_KEPT - len(list(kept.iterdir()))
    small = sorted((path.stat().st_size, path.name, path) for path in (work / name).iterdir())
    spread = [path for size, _, path in small if size <= MOST_KEPT_BYTES]
    for path in spread[:: max(1, len(spread) // room)][:room] if room > 0 else []:
        shutil.copyfile(path, kept / path.name[:12])


def _fitted(work: Path) -> Path:
    """A bundle of 60 drawn items, which is kept in the work folder."""
    from mmrec.demo import write_demo_dataset
    from mmrec.training import fit_dataset
    from tests.conftest import quick_fit

    bundle = work / "bundle"
    if not (bundle / "CURRENT").exists():
        work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=work) as folder:
            dataset = Path(folder) / "dataset"
            write_demo_dataset(dataset, items=60, users=120)
            fit_dataset(dataset, bundle, quick_fit())
    return bundle


if __name__ == "__main__":
    main()
