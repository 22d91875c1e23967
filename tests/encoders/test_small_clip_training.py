from __future__ import annotations

import itertools
import signal
import time
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import torch

from mmrec.errors import InvalidArgumentError
from mmrec_encoders.small_clip import SmallClipEncoder, SmallClipShape
from mmrec_encoders.small_clip_training import SmallClipConfig, epochs_for, train_small_clip
from tests.commands import forked

CONFIG = SmallClipConfig(shape=SmallClipShape(dim=16, width=4, image_size=32), epochs=3, batch_size=8)


def _data(count: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    words = rng.normal(size=(count, 6)).astype(np.float32)
    return rng.integers(0, 256, (count, 3, 36, 36), dtype=np.uint8), words / np.linalg.norm(
        words, axis=1, keepdims=True
    )


def train(config: SmallClipConfig = CONFIG, **rest: object) -> SmallClipEncoder:
    return train_small_clip(*_data(), config, device="cpu", **rest)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole() -> str:
    """Fingerprint of the encoder that comes of a training without a break."""
    return train().fingerprint


def test_the_same_seed_gives_the_same_encoder_and_another_seed_another(whole: str) -> None:
    assert train().fingerprint == whole
    assert train(seed=1).fingerprint != whole


def test_training_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    train()
    assert torch.equal(torch.rand(1), expected)


class StopError(Exception):
    pass


class StopAfter:
    """A progress sink that ends the training in the middle of a pass, as a kill would."""

    def __init__(self, pictures: int) -> None:
        self.left = pictures
        self.first: int | None = None

    def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
        pass

    def advance(self, n: int = 1) -> None:
        self.first = n if self.first is None else self.first
        self.left -= n
        if self.left < 0:
            raise StopError

    def say(self, text: str) -> None:
        pass

    def finish(self, text: str = "") -> None:
        pass


@pytest.mark.parametrize("pictures", [5, 25, 45, 59])
def test_a_training_that_was_stopped_anywhere_ends_like_one_that_was_not(
    tmp_path: Path, whole: str, pictures: int
) -> None:
    checkpoint = tmp_path / "small_clip.safetensors"
    with pytest.raises(StopError):
        train(checkpoint=checkpoint, progress=StopAfter(pictures))
    assert train(checkpoint=checkpoint).fingerprint == whole


def test_a_finished_checkpoint_is_used_as_it_is(tmp_path: Path) -> None:
    checkpoint = tmp_path / "small_clip.safetensors"
    first = train(checkpoint=checkpoint)
    # No picture may be looked at again: the sink would raise. (It counts those already done as one step.)
    again = train(checkpoint=checkpoint, progress=StopAfter(60))
    assert again.fingerprint == first.fingerprint


def test_a_checkpoint_of_another_configuration_or_of_other_data_is_not_continued(tmp_path: Path) -> None:
    checkpoint = tmp_path / "small_clip.safetensors"
    train(checkpoint=checkpoint)
    other = replace(CONFIG, learning_rate=1e-3)
    assert train(other, checkpoint=checkpoint).fingerprint == train(other).fingerprint
    pictures, words = _data()
    pictures[0, 0, 0, 0] ^= 1
    changed = train_small_clip(pictures, words, CONFIG, device="cpu", checkpoint=checkpoint)
    assert changed.fingerprint == train_small_clip(pictures, words, CONFIG, device="cpu").fingerprint


@pytest.mark.parametrize("length", [0, 100, 5000])
def test_a_damaged_checkpoint_is_written_over(tmp_path: Path, whole: str, length: int) -> None:
    checkpoint = tmp_path / "small_clip.safetensors"
    train(checkpoint=checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:length])
    assert train(checkpoint=checkpoint).fingerprint == whole


def _train_until_killed(checkpoint: Path, stalled: Connection) -> None:
    class StallAfterTheFirstCheckpoint(StopAfter):
        def advance(self, n: int = 1) -> None:
            if checkpoint.exists():
                stalled.send("stalled")
                time.sleep(600)

    # A pass that is over within seconds writes no checkpoint; to the trainer each takes minutes.
    minutes = itertools.count(step=60.0)
    time.monotonic = minutes.__next__
    train(checkpoint=checkpoint, progress=StallAfterTheFirstCheckpoint(0))


def test_a_training_killed_with_signal_9_goes_on_where_it_was(tmp_path: Path, whole: str) -> None:
    checkpoint = tmp_path / "small_clip.safetensors"
    stalled, theirs = Pipe(duplex=False)
    with stalled, forked(_train_until_killed, checkpoint, theirs) as child:
        theirs.close()
        assert stalled.recv() == "stalled"
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    # 60 pictures in all; one pass of 20 is in the checkpoint, so 40 more fit under this limit.
    sink = StopAfter(60)
    assert train(checkpoint=checkpoint, progress=sink).fingerprint == whole
    assert sink.first == 20


def test_items_without_words_are_learnt_from_their_pictures_alone() -> None:
    pictures, words = _data()
    encoder = train_small_clip(pictures, np.zeros_like(words), CONFIG, device="cpu")
    start = train_small_clip(pictures, words, replace(CONFIG, epochs=0), device="cpu")
    assert encoder.fingerprint != start.fingerprint
    assert np.isfinite(encoder.encode_pixels(pictures[:, :, :32, :32])).all()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_very_few_pictures_are_enough(count: int) -> None:
    pictures, words = _data()
    encoder = train_small_clip(pictures[:count], words[:count], CONFIG, device="cpu")
    assert encoder.encode_pixels(pictures[:3, :, :32, :32]).shape == (3, 16)


def test_things_seen_only_in_the_picture_survive() -> None:
    """Six colours that no word mentions: the nearest other picture has the same colour."""
    rng = np.random.default_rng(0)
    colours = np.array([(220, 40, 40), (40, 200, 60), (50, 70, 220), (230, 210, 50), (30, 30, 30), (200, 80, 200)])
    label = np.arange(48) % 6
    pictures = np.full((48, 3, 72, 72), 245, np.uint8)
    for row, (top, left) in enumerate(rng.integers(4, 24, (48, 2))):
        shade = np.clip(colours[label[row]] + rng.integers(-12, 12, 3), 0, 255).astype(np.uint8)
        pictures[row, :, top : top + 40, left : left + 40] = shade[:, None, None]
    words = rng.normal(size=(48, 6)).astype(np.float32)
    config = SmallClipConfig(shape=SmallClipShape(dim=32, width=4), epochs=12, batch_size=24)
    encoder = train_small_clip(pictures, words / np.linalg.norm(words, axis=1, keepdims=True), config, device="cpu")
    vectors = encoder.encode_pixels(pictures[:, :, 4:68, 4:68])
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    assert (label[cosines.argmax(axis=1)] == label).mean() >= 0.9


@pytest.mark.parametrize(("pictures", "passes"), [(0, 0), (400, 30), (1645, 30), (5000, 12), (36_358, 1), (10**6, 1)])
def test_a_large_catalogue_gets_fewer_passes_but_never_less_than_one(pictures: int, passes: int) -> None:
    assert epochs_for(SmallClipConfig(epochs=30, pictures=60_000), pictures) == passes


def test_pictures_of_another_shape_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"must be \(N, 3, H, W\) uint8"):
        train_small_clip(np.zeros((2, 72, 72, 3), np.uint8), np.zeros((2, 4), np.float32))


def test_a_text_for_each_picture_is_asked_for() -> None:
    with pytest.raises(InvalidArgumentError, match="there are 2 pictures and text vectors of shape"):
        train_small_clip(np.zeros((2, 3, 72, 72), np.uint8), np.zeros((3, 4), np.float32))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": -1}, "epochs is -1"),
        ({"batch_size": 1}, "batch_size is 1; it must be at least 2"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"words": 0.0, "views": 0.0}, "not both 0"),
    ],
)
def test_a_configuration_that_breaks_a_rule_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        SmallClipConfig(**values)  # type: ignore[arg-type]


@pytest.mark.gpu
def test_a_training_on_the_gpu_starts_like_one_on_the_cpu() -> None:
    """One small step from the same start, views and order; many steps drift apart on any two devices."""
    pictures, words = _data(8)
    config = replace(CONFIG, epochs=1, learning_rate=1e-4)
    here, there = (train_small_clip(pictures, words, config, device=device) for device in ("cpu", "cuda"))
    cosines = (here.encode_pixels(pictures[:, :, :32, :32]) * there.encode_pixels(pictures[:, :, :32, :32])).sum(axis=1)
    assert cosines.min() >= 0.999
