"""A writer that dies at any step, in a process of its own, and two writers at once."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmrec.bundle import BundleWriter, open_bundle, prune_versions
from mmrec.errors import BundleError, FailedPreconditionError

from .conftest import write_bundle

REPOSITORY = Path(__file__).parents[2]

# Kills itself at the N-th time a step is reached, as `kill -9` from outside would: no handler, no finally, no
# flush.
WRITER = """
import os, signal, sys
from pathlib import Path
import numpy as np
from mmrec.bundle import BundleWriter
from mmrec.contract.items import Versions

root, fatal, times = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
seen = []

def at(step):
    seen.append(step)
    if seen.count(fatal) == times:
        os.kill(os.getpid(), signal.SIGKILL)

with BundleWriter(root, preset="embedded", name="tiny", at=at) as writer:
    writer.write_json("metrics.json", {"ndcg@10": 2.0})
    writer.write_tensors("fused.safetensors", {"fused_ND": np.full((2, 3), 4, np.float32)})
    writer.write_text("model/card.md", "# Tiny, mark 4\\n")
    writer.commit(versions=Versions("m2", "c2", "b2"), parameters={"mark": 4})
"""

BEFORE_THE_SWAP = [
    ("staged", 1),
    ("file", 1),
    ("file", 2),
    ("file", 3),
    ("before-manifest", 1),
    ("after-manifest", 1),
    ("before-rename", 1),
    ("before-current", 1),
]


def die_at(root: Path, step: str, times: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(root), step, str(times)],
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


@pytest.mark.parametrize(("step", "times"), BEFORE_THE_SWAP)
def test_killed_before_the_swap_the_old_version_still_loads_and_the_next_writer_cleans_up(
    root: Path, step: str, times: int
) -> None:
    old = open_bundle(root).version
    die_at(root, step, times)
    assert open_bundle(root).version == old
    assert open_bundle(root).read_json("metrics.json") == {"ndcg@10": 0.5}
    assert (root / ".mmrec-staging").exists()
    write_bundle(root, mark=2)
    assert not (root / ".mmrec-staging").exists()
    assert open_bundle(root).read_json("metrics.json") == {"ndcg@10": 1.0}


@pytest.mark.parametrize(("step", "times"), BEFORE_THE_SWAP)
def test_killed_during_the_first_publication_there_is_no_bundle(tmp_path: Path, step: str, times: int) -> None:
    die_at(tmp_path / "b", step, times)
    with pytest.raises(BundleError, match="holds no published bundle"):
        open_bundle(tmp_path / "b")


def test_killed_after_the_swap_the_new_version_loads(root: Path) -> None:
    die_at(root, "after-current", 1)
    assert open_bundle(root).read_json("metrics.json") == {"ndcg@10": 2.0}
    assert open_bundle(root).manifest.versions.model == "m2"


def test_a_second_writer_is_told_who_holds_the_folder(root: Path) -> None:
    with BundleWriter(root, preset="p", name="n") as first:
        first.write_text("a.txt", "a")
        with (
            pytest.raises(FailedPreconditionError, match=r"another writer \(process \d+\) holds"),
            BundleWriter(root, preset="p", name="n"),
        ):
            pass
        with pytest.raises(FailedPreconditionError, match="another writer"):
            prune_versions(root)
        assert first.path("a.txt").read_text() == "a"
    write_bundle(root, mark=3)


def test_a_reader_that_opens_at_every_step_sees_the_old_version_until_the_swap(root: Path) -> None:
    seen = []

    def look(step: str) -> None:
        seen.append((step, open_bundle(root).manifest.parameters["mark"]))

    write_bundle(root, mark=2, at=look)
    assert seen == [
        ("staged", 1),
        ("file", 1),
        ("file", 1),
        ("file", 1),
        ("file", 1),
        ("before-manifest", 1),
        ("after-manifest", 1),
        ("before-rename", 1),
        ("before-current", 1),
        ("after-current", 2),
    ]
