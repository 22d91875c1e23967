"""`mmrec fit` under torchrun: all processes train, one writes and speaks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mmrec.bundle import open_bundle
from tests.training.test_fit import EVENTS, ITEMS, write

pytestmark = pytest.mark.slow


@pytest.mark.timeout(900)  # three starts of torch, and on a busy machine each message waits for its turn
def test_two_processes_publish_one_bundle(tmp_path: Path, child_environment: dict[str, str]) -> None:
    data = write(tmp_path / "data", ITEMS, EVENTS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "mmrec", "fit", str(data), "--out", str(tmp_path / "bundle"), "--device", "cpu"]
    command += ["--epochs", "2", "--max-history", "4", "--log-dir", str(tmp_path / "logs"), "--json"]
    done = subprocess.run(
        command, env={**child_environment, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # One document: the second process says nothing.
    assert json.loads(done.stdout)["best_epoch"] >= 1
    assert done.stderr.count("published") == 1
    bundle = open_bundle(tmp_path / "bundle")
    assert len(bundle.read_json("metrics.json")["epochs"]) == 2
    assert "curves.png" in bundle.manifest.files
    assert len(list((tmp_path / "logs").iterdir())) == 1
