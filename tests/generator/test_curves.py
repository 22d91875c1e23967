from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event

from mmrec.generator.config import TrainingConfig
from mmrec.generator.curves import draw_curves
from mmrec.generator.training import TrainingData, train_generator
from mmrec.generator.training_log import EpochRecord, TrainingResult
from mmrec.generator.validation import ValidationSet
from mmrec.runtime.processes import Processes
from mmrec.runtime.trainer import TrainingRun
from tests.generator.conftest import make_small

HISTORIES = [np.array([(start + step) % 12 for step in range(9)], dtype=np.int32) for start in range(12)]
RECORDS = (
    EpochRecord(1, 6.5, 8.0, 0.01, 1.0),
    EpochRecord(2, 5.5, 7.0, 0.03, 2.0),
    EpochRecord(3, 5.0, 6.0, 0.02, 3.0),
)


def events_in(folder: Path) -> list[Event]:
    """Every event of every file, read as the format is written down, checksums checked."""
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            body = data[12 : 12 + length]
            for content, crc in ((data[:8], data[8:12]), (body, data[12 + length : 16 + length])):
                plain = crc32c(content)
                masked = (((plain >> 15) | (plain << 17)) + 0xA282EAD8) & 0xFFFFFFFF
                assert masked == int.from_bytes(crc, "little")
            found.append(Event.FromString(body))
            data = data[16 + length :]
    return found


def scalars_in(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for event in events_in(folder):
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def train(epochs: int, folder: Path, log_dir: Path | None) -> TrainingResult:
    small = make_small(12)
    data = TrainingData(small.index, HISTORIES, ValidationSet(HISTORIES, np.zeros(12, dtype=np.int32)))
    run = TrainingRun(Processes.alone(torch.device("cpu")), checkpoint=folder / "training.safetensors", log_dir=log_dir)
    config = TrainingConfig(epochs=epochs, patience=epochs, batch_positions=32)
    return train_generator(small.model, data, config, run, seed=0)


def test_tensorboard_gets_the_figures_of_every_pass_and_of_every_twentieth_step(tmp_path: Path) -> None:
    result = train(8, tmp_path / "work", tmp_path / "logs")
    scalars = scalars_in(tmp_path / "logs")
    assert [step for step, _ in scalars["step/item_loss"]] == [20]
    assert {name for name in scalars if name.startswith("step/")} == {
        "step/item_loss",
        "step/semantic_id_loss",
        "step/learning_rate",
    }
    assert [step for step, _ in scalars["epoch/item_loss"]] == [3, 6, 9, 12, 15, 18, 21, 24]
    for tag, field in (("item_loss", "item_loss"), ("validation_ndcg_at_10", "ndcg_at_10")):
        expected = [getattr(record, field) for record in result.epochs]
        assert [value for _, value in scalars[f"epoch/{tag}"]] == pytest.approx(expected)


def test_without_a_folder_for_logs_there_are_none_but_the_picture_is_drawn(tmp_path: Path) -> None:
    train(1, tmp_path / "work", None)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["curves.png", "training.safetensors"]
    with Image.open(tmp_path / "work" / "curves.png") as picture:
        assert picture.size == (990, 385)


def test_the_same_figures_are_drawn_as_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        draw_curves(TrainingResult(RECORDS, 2), tmp_path / name)
    draw_curves(TrainingResult(RECORDS, 3), tmp_path / "three.png")
    one, two, three = ((tmp_path / f"{name}.png").read_bytes() for name in ("one", "two", "three"))
    assert one == two != three
