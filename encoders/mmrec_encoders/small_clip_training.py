"""Trains the small image encoder on a catalogue's own pictures and words.

Two tasks at once, after SLIP (Mu et al. 2021, arXiv:2112.12750): a picture and the frozen text vector of the
same item agree (CLIP), and two random views of the same picture agree (SimCLR). The second is what keeps
things the words do not mention, such as colours and patterns. Both tasks have heads of their own that are
thrown away: the vector used later is the one below the heads, which keeps what either task alone would drop.
Knows nothing about where pictures come from.
"""

# Axes: N pictures, B batch, D image dimensions, T text dimensions

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mmrec.errors import BundleError, InvalidArgumentError
from mmrec.runtime.device import resolve_device
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec_encoders.augment import random_view
from mmrec_encoders.losses import agree, two_views
from mmrec_encoders.protocols import Vectors
from mmrec_encoders.small_clip import SmallClipEncoder, SmallClipShape, build_tower, standardise
from mmrec_encoders.weights import read_weights, write_weights

if TYPE_CHECKING:
    import torch

_KIND, _FORMAT = "small_clip_checkpoint", 1
_SAME_TEXT = 0.999
"""Items whose texts are this close say the same, and are no wrong answers to each other's pictures."""


@dataclass(frozen=True, slots=True)
class SmallClipConfig:
    """How the small image encoder is trained.

    Attributes:
        shape: Shape of the tower.
        epochs: Most passes over the pictures.
        pictures: Most pictures shown in all; a large catalogue gets fewer passes, but never less than one.
        batch_size: Pictures per step, at least 2.
        learning_rate: Peak of the cosine schedule.
        weight_decay: Of AdamW.
        words: Weight of the picture-words task.
        views: Weight of the two-views task.
        temperature: Of the two-views task.
        min_area: Smallest share of a picture that a random crop keeps.
        colour: Largest relative colour change of a view.
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
        for name, low in (("epochs", 0), ("pictures", 0), ("batch_size", 2)):
            if getattr(self, name) < low:
                raise InvalidArgumentError(f"{name} is {getattr(self, name)}; it must be at least {low}", field=name)
        for name in ("learning_rate", "temperature", "min_area"):
            if not getattr(self, name) > 0:
                raise InvalidArgumentError(f"{name} is {getattr(self, name)}; it must be over 0", field=name)
        if self.words < 0 or self.views < 0 or self.words + self.views == 0:
            raise InvalidArgumentError(
                f"words is {self.words} and views is {self.views}; both must be 0 or more, and not both 0",
                field="words",
            )


def epochs_for(config: SmallClipConfig, pictures: int) -> int:
    """Passes over ``pictures`` pictures that the configuration allows."""
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
    """Train the encoder. The same seed gives the same encoder, also when it was killed and started again.

    Args:
        pictures_N3HW: Pictures as `small_clip.shrink` makes them, at `TRAINING_SIZE`; an array or a
            ``numpy.memmap``.
            Shape: (N, 3, 72, 72), uint8: 15,552 bytes each, 26 MB for 1,645 pictures, 566 MB for 36,358.
        text_NT: Unit vectors of the same items' words; a zero row for an item without words. Shape: (N, T).
        config: How to train; the default takes about 70 s of one CPU core for 400 pictures, 290 s for 1,645.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        seed: Of initialisation, order, and views.
        progress: Reports one unit per picture.
        checkpoint: A file written after every pass and continued from when it is of the same data and
            configuration; otherwise it is written over. Left in place at the end.

    Raises:
        InvalidArgumentError: pictures and texts differ in number, or the pictures have another shape or type.
    """
    import torch

    config = config or SmallClipConfig()
    _check(pictures_N3HW, text_NT)
    target = resolve_device(device)
    count = len(pictures_N3HW)
    # Chance comes from generators of our own; the caller's global generator is left as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _tower_and_heads(config, text_NT.shape[1]).to(target)
    epochs = epochs_for(config, count)
    if epochs:
        run = _Run(config, model, target, seed, epochs, count)
        identity = _identity(pictures_N3HW, text_NT, config, seed, target)
        done = run.resume(checkpoint, identity) if checkpoint else 0
        progress.start("training the small image encoder", epochs * count, "pictures")
        progress.advance(done * count)
        text = torch.from_numpy(np.asarray(text_NT, np.float32))
        figure = 0.0
        for epoch in range(done, epochs):
            figure = run.epoch(epoch, pictures_N3HW, text, progress)
            progress.say(f"pass {epoch + 1}/{epochs}, loss {figure:.3f}")
            if checkpoint:
                run.save(checkpoint, identity, epoch + 1)
        progress.finish(f"{epochs} passes over {count} pictures, loss {figure:.3f}")
    weights = {name: value.cpu() for name, value in model["tower"].state_dict().items()}
    return SmallClipEncoder(config.shape, weights, device=device)


def _tower_and_heads(config: SmallClipConfig, text_dim: int) -> Any:
    """The tower, and the heads that only training needs."""
    import torch
    from torch import nn

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


class _Run:
    """One training: the optimiser, and a pass that depends on nothing but the seed and its number."""

    def __init__(
        self, config: SmallClipConfig, model: Any, device: torch.device, seed: int, epochs: int, count: int
    ) -> None:
        import torch

        self.config, self.model, self.device, self.seed, self.epochs = config, model, device, seed, epochs
        self.batches = max(1, round(count / config.batch_size))
        decayed = [p for p in model.parameters() if p.ndim > 1]
        plain = [p for p in model.parameters() if p.ndim <= 1]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": config.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
        )

    def epoch(
        self, epoch: int, pictures_N3HW: npt.NDArray[np.uint8], text_NT: torch.Tensor, progress: Progress
    ) -> float:
        """One pass; the mean loss."""
        import torch

        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        order = torch.randperm(len(pictures_N3HW), generator=generator).numpy()
        self.model.train()
        total = 0.0
        for number, rows in enumerate(np.array_split(order, self.batches)):
            self._set_rate(epoch * self.batches + number)
            pixels = torch.from_numpy(pictures_N3HW[np.sort(rows)]).to(self.device)
            loss = self._loss(pixels.float() / 255.0, text_NT[np.sort(rows)].to(self.device), generator)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
            self.optimiser.step()
            total += float(loss.detach()) * len(rows)
            progress.advance(len(rows))
        return total / len(order)

    def _loss(self, pixels: torch.Tensor, text_BT: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        import torch
        import torch.nn.functional as F

        config, model = self.config, self.model
        size = config.shape.image_size
        views = [random_view(pixels, size, generator, min_area=config.min_area, colour=config.colour) for _ in range(2)]
        inputs = standardise(torch.cat(views) * 255.0).contiguous(memory_format=torch.channels_last)
        image_VD = model["tower"](inputs)
        loss = torch.zeros((), device=self.device)
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

    def _set_rate(self, step: int) -> None:
        total = self.epochs * self.batches
        warm = max(1, total // 20)
        share = (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * share

    def save(self, path: Path, identity: str, epochs_done: int) -> None:
        """All that a later process needs to go on; order and views follow from the seed and the pass."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for number, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": value for name, value in state.items()}
        write_weights(path, tensors, {"kind": _KIND, "format": _FORMAT, "identity": identity, "epochs": epochs_done})

    def resume(self, path: Path, identity: str) -> int:
        """Passes already done according to the file; 0 where it is missing, damaged or of something else."""
        try:
            tensors, description = read_weights(path, _KIND, _FORMAT)
        except BundleError:
            return 0
        if description.get("identity") != identity:
            return 0
        states: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimiser."):
                _, number, key = name.split(".", 2)
                states.setdefault(int(number), {})[key] = value
        self.model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
        whole = self.optimiser.state_dict()
        self.optimiser.load_state_dict({"state": states, "param_groups": whole["param_groups"]})
        return int(description["epochs"])


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
            f"each picture, "
            "zeros where there are no words",
            field="text_vectors",
        )
