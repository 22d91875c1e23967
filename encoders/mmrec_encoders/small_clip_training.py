"""Trains the small image encoder on a catalogue's own pictures and words.

Two losses, after SLIP (Mu et al. 2021, arXiv:2112.12750): a picture matches the frozen text vector of its item (CLIP),
and two random views of a picture match each other (SimCLR). The second preserves what the words do not mention, such as
colours and patterns. Each loss has a head of its own, which is discarded; the vector below the heads is used.
"""

# Axes: N pictures, B batch, D image dimensions, T text dimensions

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from mmrec.errors import InvalidArgumentError
from mmrec.runtime.checkpoint import Position
from mmrec.runtime.device import resolve_device
from mmrec.runtime.limits import check_numbers
from mmrec.runtime.processes import Processes
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec.runtime.trainer import StepResult, Trainer, TrainerConfig, TrainingRun
from mmrec_encoders.augment import Views, random_view
from mmrec_encoders.losses import agree, two_views
from mmrec_encoders.protocols import Vectors
from mmrec_encoders.small_clip import SmallClipEncoder, SmallClipShape, build_tower, standardise

_SAME_TEXT = 0.999
"""Cosine similarity of texts above which items are not negatives of each other."""


@dataclass(frozen=True, slots=True)
class SmallClipConfig:
    """Training options of the small image encoder.

    Attributes:
        shape: Shape of the tower.
        epochs: Maximum epochs over the pictures.
        pictures: Maximum pictures in all epochs together; a large catalogue gets fewer epochs, but at least one.
        batch_size: Pictures per step, at least 2.
        learning_rate: Peak of the cosine schedule.
        weight_decay: Of AdamW.
        words: Weight of the picture-text loss.
        views: Weight of the two-views loss.
        temperature: Of the two-views loss.
        min_area: Minimum share of a picture's area in a random crop.
        colour: Maximum relative colour change of a view.
    """

    shape: SmallClipShape = field(default_factory=SmallClipShape)
    epochs: int = 30
    pictures: int = 60_000
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    words: float = 1.0
    views: float = 1.0
    temperature: float = 0.2
    min_area: float = 0.35
    colour: float = 0.2

    def __post_init__(self) -> None:
        check_numbers(self, "epochs", "pictures", low=0)
        check_numbers(self, "batch_size", low=2)
        check_numbers(self, "learning_rate", "temperature", "min_area", over=0)
        if self.words < 0 or self.views < 0 or self.words + self.views == 0:
            raise InvalidArgumentError(
                f"words is {self.words} and views is {self.views}; both must be 0 or more, and not both 0",
                field="words",
            )


def epochs_for(config: SmallClipConfig, pictures: int) -> int:
    """Epochs for a catalogue with ``pictures`` pictures."""
    if pictures == 0 or config.epochs == 0:
        return 0
    return max(1, min(config.epochs, config.pictures // pictures))


def train_small_clip(
    pictures_N3HW: npt.NDArray[np.uint8],
    text_NT: Vectors,
    config: SmallClipConfig | None = None,
    *,
    device: str = "auto",
    seed: int = 0,
    progress: Progress = NO_PROGRESS,
    checkpoint: Path | None = None,
) -> SmallClipEncoder:
    """Train the encoder. The same seed gives the same encoder, also after a kill and resume.

    Args:
        pictures_N3HW: Pictures as `small_clip.shrink` makes them, at `TRAINING_SIZE`; an array or a
            ``numpy.memmap``.
            Shape: (N, 3, 72, 72), uint8: 15,552 bytes each, 26 MB for 1,645 pictures, 566 MB for 36,358.
        text_NT: Unit vectors of the same items' words; a zero row for an item without words. Shape: (N, T).
        config: How to train; the default takes about 70 s of one CPU core for 400 pictures, 290 s for 1,645.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        seed: Of initialisation, order, and views.
        progress: Reports one unit per picture.
        checkpoint: File written after every epoch, and resumed from if data and configuration are the same, else
            overwritten. Not removed at the end.

    Raises:
        InvalidArgumentError: pictures and texts differ in number, or the pictures have another shape or type.
    """
    config = config or SmallClipConfig()
    _check(pictures_N3HW, text_NT)
    processes = Processes.alone(resolve_device(device))
    # Keep the caller's random state.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _tower_and_heads(config, text_NT.shape[1]).to(processes.device)
    count = len(pictures_N3HW)
    epochs = epochs_for(config, count)
    if epochs:
        identity = _identity(pictures_N3HW, text_NT, config, seed, processes.device) if checkpoint else ""
        run = TrainingRun(processes, progress=progress, checkpoint=checkpoint, identity=identity)
        progress.start("training the small image encoder", epochs * count, "pictures")
        task = _SmallClipTask(config, model, pictures_N3HW, text_NT, seed)
        trainer = Trainer(task, TrainerConfig(epochs, config.weight_decay, clip_norm=5.0), run)
        loss = trainer.fit().epochs[-1]["loss"]
        progress.finish(f"{epochs} passes over {count} pictures, loss {loss:.3f}")
    weights = {name: value.cpu() for name, value in model["tower"].state_dict().items()}
    return SmallClipEncoder(config.shape, weights, device=device)


def _tower_and_heads(config: SmallClipConfig, text_dim: int) -> Any:
    """The tower, and the heads used only in training."""
    dim = config.shape.dim
    model = nn.ModuleDict(
        {
            "tower": build_tower(config.shape),
            "picture_head": nn.Linear(dim, 128, bias=False),
            "text_head": nn.Linear(max(text_dim, 1), 128, bias=False),
            "view_head": nn.Sequential(nn.Linear(dim, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 128)),
        }
    )
    model.register_parameter("log_scale", nn.Parameter(torch.tensor(math.log(1 / 0.07))))
    return model


class _SmallClipTask:
    """Order and views are derived from seed and epoch, so checkpoints are written between epochs."""

    losses = ("loss",)

    def __init__(
        self, config: SmallClipConfig, model: Any, pictures_N3HW: npt.NDArray[np.uint8], text_NT: Vectors, seed: int
    ) -> None:
        self.module, self.epoch_units = model, len(pictures_N3HW)
        self._config, self._pictures_N3HW, self._seed = config, pictures_N3HW, seed
        self._text_NT = torch.from_numpy(np.asarray(text_NT, np.float32))
        self._epochs = epochs_for(config, self.epoch_units)
        self._batches = max(1, round(self.epoch_units / config.batch_size))
        self._views = Views(config.min_area, stretch=0.29, colour=config.colour)

    def batches(self, epoch: int, done: int) -> Iterator[tuple[npt.NDArray[np.int64], torch.Generator]]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)
        order = torch.randperm(self.epoch_units, generator=generator).numpy()
        for rows in np.array_split(order, self._batches)[done:]:
            yield np.sort(rows), generator

    def optimizer_values(self, at: Position) -> Mapping[str, Any]:
        total = self._epochs * self._batches
        warm = max(1, total // 20)
        step = at.total
        share = (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))
        return {"lr": self._config.learning_rate * share}

    def backward(
        self,
        batch: tuple[npt.NDArray[np.int64], torch.Generator],
        at: Position,
        scale: Callable[[torch.Tensor], torch.Tensor],
    ) -> StepResult:
        rows, generator = batch
        device = self.module.log_scale.device
        pixels = torch.from_numpy(self._pictures_N3HW[rows]).to(device)
        loss = self._loss(pixels.float() / 255.0, self._text_NT[rows].to(device), generator)
        scale(loss).backward()  # type: ignore[no-untyped-call]
        ones = torch.ones_like(loss, dtype=torch.float64)
        return StepResult(torch.stack((loss.detach().double(), ones))[None] * len(rows), len(rows))

    def validate(self) -> Mapping[str, float]:
        return {}

    def describe(self, means: Sequence[float], at: Position) -> str:
        return f"pass {len(at.epochs) + (at.steps > 0)}/{self._epochs}, loss {means[0]:.3f}"

    def _loss(self, pixels: torch.Tensor, text_BT: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        config, model = self._config, self.module
        views = [random_view(pixels, config.shape.image_size, generator, self._views) for _ in range(2)]
        inputs = standardise(torch.cat(views) * 255.0).contiguous(memory_format=torch.channels_last)
        image_VD = model["tower"](inputs)
        loss = torch.zeros((), device=pixels.device)
        if config.views:
            first, second = model["view_head"](image_VD).chunk(2)
            loss = loss + config.views * two_views(first, second, config.temperature)
        with_words = text_BT.norm(dim=1) > 0
        if config.words and int(with_words.sum()) > 1:
            text_BT = F.normalize(text_BT[with_words], dim=1)
            same_BB = text_BT @ text_BT.T > _SAME_TEXT
            words = F.normalize(model["text_head"](text_BT), dim=1)
            pictures = F.normalize(model["picture_head"](image_VD), dim=1).chunk(2)
            scale = model.log_scale.exp().clamp(max=100.0)
            for view in pictures:
                loss = loss + config.words / 2 * agree(view[with_words], words, scale, same_BB=same_BB)
        return loss


def _identity(
    pictures: npt.NDArray[np.uint8], text: Vectors, config: SmallClipConfig, seed: int, device: torch.device
) -> str:
    digest = hashlib.sha256(json.dumps([asdict(config), seed, device.type, pictures.shape]).encode())
    digest.update(np.ascontiguousarray(text).tobytes())
    for row in pictures:
        digest.update(np.ascontiguousarray(row).tobytes())
    return digest.hexdigest()


def _check(pictures: npt.NDArray[np.uint8], text: Vectors) -> None:
    if pictures.ndim != 4 or pictures.shape[1] != 3 or pictures.dtype != np.uint8:
        raise InvalidArgumentError(
            f"pictures have shape {pictures.shape} and type {pictures.dtype}; they must be (N, 3, H, W) uint8",
            field="pictures",
        )
    if text.ndim != 2 or len(text) != len(pictures):
        raise InvalidArgumentError(
            f"there are {len(pictures)} pictures and text vectors of shape {text.shape}; pass one row for "
            "each picture, zeros where there are no words",
            field="text_vectors",
        )
