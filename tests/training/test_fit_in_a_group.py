"""`mmrec fit` by two processes of one group: all train, one writes and speaks."""

import json
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from mmrec.bundle import open_bundle
from tests.commands import start
from tests.training.test_fit import EVENTS, ITEMS, write

pytestmark = pytest.mark.slow


@pytest.mark.timeout(900)  # on a busy machine each message waits for its turn
def test_two_processes_publish_one_bundle(tmp_path: Path) -> None:
    data = write(tmp_path / "data", ITEMS, EVENTS)
    command = ["fit", data, "--out", tmp_path / "bundle", "--device", "cpu"]
    command += ["--epochs", "2", "--max-history", "4", "--log-dir", tmp_path / "logs", "--json"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # What torchrun sets.
    group = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    errors = [tmp_path / f"errors-{rank}" for rank in range(2)]
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(
                start(*command, stderr=path, environment={**group, "RANK": str(rank), "LOCAL_RANK": str(rank)})
            )
            for rank, path in enumerate(errors)
        )
        done = [command.finish(timeout=800) for command in (first, second)]
    said = [path.read_text() for path in errors]
    assert [one.returncode for one in done] == [0, 0], said
    # The second process says nothing.
    assert json.loads(done[0].stdout)["best_epoch"] >= 1
    assert done[1].stdout == ""
    assert [text.count("published") for text in said] == [1, 0]
    bundle = open_bundle(tmp_path / "bundle")
    assert len(bundle.read_json("metrics.json")["epochs"]) == 2
    assert "curves.png" in bundle.manifest.files
    assert len(list((tmp_path / "logs").iterdir())) == 1
