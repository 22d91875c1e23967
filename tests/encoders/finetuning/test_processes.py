"""Two real processes in one group compute what one computes alone."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mmrec.runtime.processes import Processes
from mmrec_encoders.finetuning import FinetuningConfig, finetune_encoders, in_main_process
from tests.commands import forked
from tests.encoders.finetuning.test_open_clip import config_for
from tests.encoders.finetuning.tiny import still
from tests.encoders.models import open_clip_folder

pytestmark = pytest.mark.slow


def test_a_process_by_itself_is_a_group_of_one() -> None:
    alone = Processes("cpu")
    assert (alone.index, alone.count, alone.is_main, str(alone.device)) == (0, 1, True, "cpu")
    rows = torch.eye(2)
    assert alone.gather(rows) is rows
    alone.all_reduce([rows])
    alone.broadcast_tensors([rows])
    assert torch.equal(rows, torch.eye(2))
    assert alone.broadcast("value") == "value"
    assert in_main_process("cpu")


def test_a_group_of_one_process_needs_no_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    assert Processes("cpu").count == 1
    assert not torch.distributed.is_initialized()


def test_two_processes_train_like_one_with_twice_the_batch(
    colour_shop: Path, tiny: FinetuningConfig, tmp_path: Path
) -> None:
    clip = open_clip_folder(tmp_path / "clip")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configs = {"small": tiny, "full": still(config_for(clip, "full"))}
    with (
        forked(_train_in_a_group, 0, port, colour_shop, tmp_path, configs) as main,
        forked(_train_in_a_group, 1, port, colour_shop, tmp_path, configs) as other,
    ):
        for child in (main, other):
            child.join(250)
            assert child.exitcode == 0
    (small, full), others = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    # Both processes get the same report; one of them speaks.
    assert [row[:2] for row in (small, full)] == [row[:2] for row in others]
    assert (small[2], others[0][2]) == (True, False)

    # Batch normalisation sees one part at a time, so the small CLIP is compared with two parts in one process.
    parts = finetune_encoders(
        colour_shop, tmp_path / "one-small", FinetuningConfig(**{**_fields(tiny), "accumulate": 2})
    )
    assert small[:2] == [16, pytest.approx([epoch.loss for epoch in parts.epochs], abs=1e-4)]
    _assert_same(tmp_path, "small", "small_clip_pair.safetensors")
    # Layer normalisation does not care, so the fine-tuned one is compared with one batch of twice the size.
    whole = finetune_encoders(colour_shop, tmp_path / "one-full", still(config_for(clip, "full", batch_size=16)))
    assert full[:2] == [16, pytest.approx([epoch.loss for epoch in whole.epochs], abs=1e-4)]
    _assert_same(tmp_path, "full", "open_clip_model.safetensors")


def _train_in_a_group(rank: int, port: int, shop: Path, folder: Path, configs: Mapping[str, FinetuningConfig]) -> None:
    """One process of two, which writes what it was told of each training."""
    os.environ |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    found = []
    for name, config in configs.items():
        report = finetune_encoders(shop, folder / f"two-{name}", config)
        found.append([report.batch, [epoch.loss for epoch in report.epochs], in_main_process("cpu")])
    (folder / f"{rank}.json").write_text(json.dumps(found))


def _fields(config: FinetuningConfig) -> dict[str, object]:
    return {name: getattr(config, name) for name in config.__dataclass_fields__}


def _assert_same(folder: Path, mode: str, name: str) -> None:
    one, two = (load_file(folder / f"{count}-{mode}" / name) for count in ("one", "two"))
    assert one.keys() == two.keys()
    for key, value in one.items():
        # The bias of the keys changes nothing whatever it is; Adam makes steps of the rounding of its zero gradient.
        if key.endswith("k_proj.bias"):
            continue
        if key.endswith("in_proj_bias"):
            third = len(value) // 3
            value[third : 2 * third] = two[key][third : 2 * third]
        # Adam divides by the size of the gradient, so single weights with next to no gradient (queries and keys of the
        # pooling) move by rounding; processes that did not share gradients would differ by half and more.
        off = torch.linalg.vector_norm(two[key].double() - value.double())
        assert off <= 0.01 * torch.linalg.vector_norm(value.double()), f"{mode} {key} differs by {off}"
