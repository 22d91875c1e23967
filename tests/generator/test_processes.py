"""Two real processes in one group train the model that one process trains."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mmrec.generator.batches import Batch

pytestmark = pytest.mark.slow

SCRIPT = """
import json, sys
from dataclasses import asdict
from pathlib import Path
import numpy as np
import torch
from safetensors.torch import save_file
from mmrec.generator.config import TrainingConfig
from mmrec.generator.training import TrainingData, train_generator
from mmrec.generator.validation import ValidationSet
from mmrec.runtime.processes import Processes
from mmrec.runtime.progress import NoProgress
from mmrec.runtime.trainer import TrainingRun
from tests.generator.conftest import make_small

rng = np.random.default_rng(0)
HISTORIES = [rng.integers(0, 12, size=size).astype(np.int32) for size in rng.integers(2, 12, size=11)]
VALIDATION = ValidationSet(HISTORIES, rng.integers(0, 12, size=11).astype(np.int32))


class Words(NoProgress):
    count = 0

    def say(self, text: str) -> None:
        self.count += 1


def train(processes, folder):
    # A seed of its own in each process: they must start from the first one's weights all the same.
    small = make_small(12, seed=0, dropout=0.0, residual_dropout=0.0)
    with torch.no_grad():
        for parameter in small.model.parameters():
            parameter.add_(processes.index)
    words = Words()
    result = train_generator(
        small.model, TrainingData(small.index, HISTORIES, VALIDATION),
        # Steps of 9 places: some have a single window, which leaves one process without any.
        TrainingConfig(epochs=3, patience=1, batch_positions=9, warmup_steps=2, semantic_id_share=1.0, ema_decay=0.5),
        TrainingRun(
            processes, progress=words, checkpoint=folder / "checkpoint" / "training.safetensors",
            log_dir=folder / f"logs-{processes.index}",
        ),
        seed=5,
    )
    save_file(small.model.state_dict(), folder / f"weights-{processes.index}.safetensors")
    found = [[{**asdict(record), "seconds": 0} for record in result.epochs], result.best_epoch, words.count > 0]
    (folder / f"result-{processes.index}.json").write_text(json.dumps(found))


torch.set_num_threads(1)
root = Path(sys.argv[1])
train(Processes("cpu"), root / "group")
if sys.argv[2] == "0":
    train(Processes.alone(torch.device("cpu")), root / "alone")
"""


@pytest.mark.timeout(900)  # on a busy machine each message waits for its turn
def test_two_processes_train_like_one_with_steps_of_twice_their_share(
    tmp_path: Path, child_environment: dict[str, str]
) -> None:
    for name in ("group", "alone"):
        (tmp_path / name).mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path), str(rank)],
            env={**child_environment, **group, "RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    errors = [child.communicate(timeout=800)[1] for child in children]
    assert [child.returncode for child in children] == [0, 0], "\n".join(errors)

    first, second = (json.loads((tmp_path / "group" / f"result-{rank}.json").read_text()) for rank in range(2))
    alone = json.loads((tmp_path / "alone" / "result-0.json").read_text())
    # Both stop after the same pass, with the same figures; one of them speaks and writes.
    assert first[:2] == second[:2]
    assert (first[2], second[2]) == (True, False)
    assert not (tmp_path / "group" / "logs-1").exists()
    assert first[1] == alone[1]
    for found, expected in zip(first[0], alone[0], strict=True):
        assert found == pytest.approx(expected, rel=1e-4)

    one, two, whole = (
        load_file(tmp_path / name)
        for name in ("group/weights-0.safetensors", "group/weights-1.safetensors", "alone/weights-0.safetensors")
    )
    for key, tensor in whole.items():
        assert torch.equal(one[key], two[key]), key
        torch.testing.assert_close(one[key], tensor, rtol=0, atol=2e-3, msg=f"{key} differs")


def test_shares_of_a_batch_are_all_of_it_without_useless_padding() -> None:
    lengths = [1, 2, 4, 3, 1]
    rows = np.arange(20).reshape(5, 4)
    valid = torch.tensor([[place < length for place in range(4)] for length in lengths])
    batch = Batch(torch.from_numpy(rows), torch.from_numpy(rows + 100), valid)
    shares = [batch.share(number, 2) for number in range(2)]
    assert [tuple(share.valid_BT.shape) for share in shares] == [(3, 4), (2, 3)]
    assert shares[1].history_BT.tolist() == [[4, 5, 6], [12, 13, 14]]
    assert shares[1].target_BT.tolist() == [[104, 105, 106], [112, 113, 114]]
    together = sorted(row for share in shares for row in share.history_BT[share.valid_BT].tolist())
    assert together == sorted(batch.history_BT[valid].tolist())
    assert batch.share(5, 6).valid_BT.shape == (0, 0)
