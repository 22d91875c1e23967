"""Trains the fusion on a catalogue's vectors and on pairs of items that follow each other in training histories.

Four losses, each averaged over all trained prefixes. Modalities: picture-only and text-only vectors of an item match.
Histories: items that follow each other match. Dropout: an item without one modality matches the whole item. Structure:
neighbours by picture, by text and by both stay neighbours, so that items unseen in training are placed well.

Training starts from each encoder's principal axes, those of pictures turned towards those of words, and from the mix of
both that ranks pairs best: as good as the encoders' own vectors, which training must not lose.
"""

# Axes: N items, B batch, P pairs, I image dimensions, T text dimensions, D fused dimensions

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from mmrec.errors import InvalidArgumentError
from mmrec.runtime.checkpoint import Position
from mmrec.runtime.device import resolve_device
from mmrec.runtime.limits import check_numbers
from mmrec.runtime.processes import Processes
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec.runtime.schedule import one_cycle
from mmrec.runtime.trainer import StepResult, Trainer, TrainerConfig, TrainingRun
from mmrec_encoders.fusion import Fusion, ItemFeatures, Projection, check_features
from mmrec_encoders.losses import agree, structure

if TYPE_CHECKING:
    from mmrec_encoders.protocols import Vectors

_SAMPLE = 1000
_STEPS_PER_PASS = 20


@dataclass(frozen=True, slots=True)
class FusionConfig:
    """Shape and training options of the fusion.

    Attributes:
        dimension: Length of a fused vector.
        prefixes: Shorter lengths trained to be usable by themselves, ascending.
        steps: Maximum optimiser steps.
        passes: Maximum epochs over the pairs, or over the items if there are more; limits steps of small catalogues.
        batch_size: Pairs, or items where there are no pairs, per step; at least 2.
        learning_rate: Peak of the cosine schedule.
        weight_decay: Of AdamW.
        temperature: Of the contrastive losses.
        structure_temperature: Of the structure loss.
        modality_dropout: Share of items in a batch that lose a modality in the histories loss, 0 to 1.
        modalities: Weight of the modalities loss.
        histories: Weight of the histories loss.
        dropout: Weight of the dropout loss.
        structure: Weight of the structure loss.
    """

    dimension: int = 256
    prefixes: tuple[int, ...] = (64, 128)
    steps: int = 300
    passes: int = 100
    batch_size: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    temperature: float = 0.1
    structure_temperature: float = 0.1
    modality_dropout: float = 0.3
    modalities: float = 0.5
    histories: float = 1.0
    dropout: float = 0.5
    structure: float = 2.0

    def __post_init__(self) -> None:
        ordered = tuple(sorted(set(self.prefixes)))
        if ordered != tuple(self.prefixes) or (ordered and not 0 < ordered[0] <= ordered[-1] < self.dimension):
            raise InvalidArgumentError(
                f"prefixes is {self.prefixes} and dimension is {self.dimension}; prefixes must ascend, "
                "each between 1 and dimension - 1",
                field="prefixes",
            )
        check_numbers(self, "dimension", low=1)
        check_numbers(self, "steps", "passes", low=0)
        check_numbers(self, "batch_size", low=2)
        check_numbers(self, "learning_rate", "temperature", "structure_temperature", over=0)
        check_numbers(self, "modality_dropout", low=0, high=1)


def train_fusion(
    features: ItemFeatures,
    pairs_P2: npt.NDArray[np.int64],
    config: FusionConfig | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = NO_PROGRESS,
) -> Fusion:
    """Train the fusion. The same seed gives the same fusion on the same kind of device.

    Args:
        features: Frozen encoder vectors of the catalogue.
        pairs_P2: Items that follow each other in training histories, as catalogue rows; may be empty.
            Shape: (P, 2), int64.
        config: How to train.
        seed: Of initialisation and order.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: Reports one unit per step.

    Raises:
        InvalidArgumentError: features of different lengths, or pairs that name items that are not there.
    """
    config = config or FusionConfig()
    check_features(features)
    pairs = np.asarray(pairs_P2, np.int64).reshape(-1, 2)
    count = len(features.image_NI)
    if len(pairs) and not 0 <= pairs.min() <= pairs.max() < count:
        raise InvalidArgumentError(
            f"pairs name items {pairs.min()} to {pairs.max()}; the catalogue has rows 0 to {count - 1}",
            field="pairs",
        )
    processes = Processes.alone(resolve_device(device))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fusion = Fusion(features.image_NI.shape[1], features.text_NT.shape[1], config.dimension, config.prefixes)
    _start_from_main_axes(fusion.image, features.image_NI[features.has_image_N])
    _start_from_main_axes(fusion.text, features.text_NT[features.has_text_N])
    _turn_towards_words(fusion, features)
    words_share = _words_share(features, pairs, seed)
    _balance_gate(fusion, features, words_share)
    fusion.to(processes.device)
    steps = steps_for(config, count, len(pairs))
    if steps == 0:
        return fusion.eval()
    progress.start("training the fusion", steps, "steps")
    task = _FusionTask(config, fusion, features, pairs, words_share, seed)
    passes = math.ceil(steps / _STEPS_PER_PASS)
    trainer_config = TrainerConfig(passes, config.weight_decay, decay_vectors=True)
    at = Trainer(task, trainer_config, TrainingRun(processes, progress=progress)).fit()
    progress.finish(f"{steps} steps, {task.describe([at.epochs[-1]['loss']], at)}")
    return fusion


def steps_for(config: FusionConfig, items: int, pairs: int) -> int:
    """Optimiser steps for a catalogue; 0 with fewer than two items."""
    if items < 2:
        return 0
    rows = max(items, pairs)
    return min(config.steps, math.ceil(config.passes * rows / min(config.batch_size, rows)))


def _start_from_main_axes(projection: Projection, rows: Vectors) -> None:
    """Initialise with the principal axes, largest variance first, which preserve cosines well."""
    if len(rows) < 2:
        return
    mean = rows.mean(axis=0)
    centred = (rows - mean).astype(np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1].T[: projection.linear.out_features]
    # The sign of an axis is arbitrary and differs between linear algebra libraries.
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    with torch.no_grad():
        projection.mean.copy_(torch.from_numpy(mean))
        weight = projection.linear.weight
        weight.zero_()
        weight[: len(axes)] = torch.from_numpy(axes.astype(np.float32))


def _turn_towards_words(fusion: Fusion, features: ItemFeatures) -> None:
    """Rotate the pictures' axes so that an item's picture and words point the same way; cosines of pictures stay.

    Source: Schönemann 1966, "A generalized solution of the orthogonal Procrustes problem".
    """
    both_N = features.has_image_N & features.has_text_N
    if np.count_nonzero(both_N) < 2:
        return
    with torch.no_grad():
        image_ND = fusion.image.reduce(torch.from_numpy(features.image_NI[both_N]))
        text_ND = fusion.text.reduce(torch.from_numpy(features.text_NT[both_N]))
        left_DD, _, right_DD = torch.linalg.svd((image_ND.T @ text_ND).double())
        fusion.image.linear.weight.copy_((left_DD @ right_DD).T.float() @ fusion.image.linear.weight)


def _words_share(features: ItemFeatures, pairs: npt.NDArray[np.int64], seed: int) -> float:
    """Weight of words against pictures, 0 to 1, with which the cosines rank pairs best; half without pairs."""
    known_P = (features.has_image_N & features.has_text_N)[pairs].all(axis=1) & (pairs[:, 0] != pairs[:, 1])
    pairs = pairs[known_P]
    if len(pairs) < _SAMPLE // 10:
        return 0.5
    rng = np.random.default_rng(seed)
    pairs_S2 = pairs[rng.permutation(len(pairs))[:_SAMPLE]]
    others_M = rng.permutation(np.flatnonzero(features.has_image_N & features.has_text_N))[: 2 * _SAMPLE]
    scored = []
    for rows in (features.image_NI, features.text_NT):
        unit = rows - rows[others_M].mean(axis=0)
        unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-9)
        target_S1 = (unit[pairs_S2[:, 0]] * unit[pairs_S2[:, 1]]).sum(axis=1, keepdims=True)
        others_SM = unit[pairs_S2[:, 0]] @ unit[others_M].T
        scored.append((target_S1 - others_SM) / max(float(others_SM.std()), 1e-3))
    shares = np.linspace(0.1, 0.9, 9)
    ranks = [np.log1p(((1 - share) * scored[0] + share * scored[1] < 0).sum(axis=1)).mean() for share in shares]
    return float(shares[int(np.argmin(ranks))])


def _balance_gate(fusion: Fusion, features: ItemFeatures, words_share: float) -> None:
    """Initialise the gate so that both modalities contribute to cosines by their shares.

    Cosines of one encoder may spread several times wider than those of the other and would dominate a plain average.
    """
    spreads = []
    for rows, present in ((features.image_NI, features.has_image_N), (features.text_NT, features.has_text_N)):
        known = rows[present]
        # Evenly spaced rows are enough for a standard deviation.
        sample = torch.from_numpy(known[:: max(1, len(known) // _SAMPLE)])
        spreads.append(float(_spread(_cosines(sample))) if len(sample) > 2 else 1.0)
    with torch.no_grad():
        fusion.gate_out.weight.mul_(0.1)
        ratio = (1 - words_share) / words_share * max(spreads[1], 1e-3) / max(spreads[0], 1e-3)
        fusion.gate_out.bias.fill_(0.5 * float(np.log(ratio)))


def _cosines(rows_BD: torch.Tensor) -> torch.Tensor:
    """Cosine similarities around the rows' mean. Shape: (B, D) to (B, B)."""
    unit_BD = F.normalize(rows_BD - rows_BD.mean(dim=0), dim=1)
    return unit_BD @ unit_BD.T


def _spread(cosines_BB: torch.Tensor) -> torch.Tensor:
    """Standard deviation of the similarities of different rows."""
    different_BB = ~torch.eye(len(cosines_BB), dtype=torch.bool, device=cosines_BB.device)
    return cosines_BB[different_BB].std()


class _FusionTask:
    """Epochs of a few steps, for reporting; all random draws come from one generator."""

    losses = ("loss",)
    epoch_units = _STEPS_PER_PASS

    def __init__(
        self,
        config: FusionConfig,
        fusion: Fusion,
        features: ItemFeatures,
        pairs: npt.NDArray[np.int64],
        words_share: float,
        seed: int,
    ) -> None:
        self.config, self.module, self.device = config, fusion, fusion.gate_out.weight.device
        self.image_NI = torch.from_numpy(features.image_NI).to(self.device)
        self.text_NT = torch.from_numpy(features.text_NT).to(self.device)
        with torch.no_grad():
            self.image_ND, self.text_ND = fusion.image.reduce(self.image_NI), fusion.text.reduce(self.text_NT)
        self.words_share = words_share
        self.has_image_N = torch.from_numpy(features.has_image_N).to(self.device)
        self.has_text_N = torch.from_numpy(features.has_text_N).to(self.device)
        self.pairs = torch.from_numpy(pairs)
        # Popular items are negatives more often; their log share is subtracted from their logits.
        shares = np.bincount(pairs.ravel(), minlength=len(features.image_NI)) + 1.0
        self.log_share_N = torch.from_numpy(np.log(shares / shares.sum()).astype(np.float32)).to(self.device)
        self.generator = torch.Generator().manual_seed(seed)
        self.steps = steps_for(config, len(features.image_NI), len(pairs))
        self.lengths = (*config.prefixes, config.dimension)

    def batches(self, epoch: int, done: int) -> Iterable[None]:
        return repeat(None, min(_STEPS_PER_PASS, self.steps - epoch * _STEPS_PER_PASS) - done)

    def optimizer_values(self, at: Position) -> Mapping[str, Any]:
        cycle = partial(one_cycle, at.total, self.steps + 1, 0.05)
        peak = self.config.learning_rate
        return {"lr": cycle(peak / 25, peak, peak / 25 / 1e4), "betas": (cycle(0.95, 0.85, 0.95), 0.999)}

    def backward(self, batch: None, at: Position, scale: Callable[[torch.Tensor], torch.Tensor]) -> StepResult:
        loss = self._content(self._draw(len(self.image_NI)))
        if len(self.pairs) and self.config.histories:
            pairs_B2 = self.pairs[self._draw(len(self.pairs))].to(self.device)
            loss = loss + self.config.histories * self._histories(pairs_B2)
        scale(loss).backward()  # type: ignore[no-untyped-call]
        return StepResult(torch.stack((loss.detach(), torch.ones_like(loss)))[None].double(), 1)

    def validate(self) -> Mapping[str, float]:
        return {}

    def describe(self, means: Sequence[float], at: Position) -> str:
        return f"loss {means[0]:.3f}"

    def _draw(self, count: int) -> torch.Tensor:
        size = min(self.config.batch_size, count)
        if count <= size * 4:
            return torch.randperm(count, generator=self.generator)[:size]
        return torch.randint(count, (size,), generator=self.generator)

    def _projected(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.module.image.adjust(self.image_ND[rows]), self.module.text.adjust(self.text_ND[rows])

    def _histories(self, pairs_B2: torch.Tensor) -> torch.Tensor:
        """Loss of items that follow each other, with modality dropout."""
        fused = []
        for rows in pairs_B2.T:
            image, text = self.has_image_N[rows], self.has_text_N[rows]
            chance = torch.rand(len(rows), 2, generator=self.generator).to(self.device)
            drop = (chance[:, 0] < self.config.modality_dropout) & image & text
            image_BD, text_BD = self._projected(rows)
            image, text = image & ~(drop & (chance[:, 1] < 0.5)), text & ~(drop & (chance[:, 1] >= 0.5))
            fused.append(self.module.mix(image_BD, image, text_BD, text))
        first, second = pairs_B2[:, 0], pairs_B2[:, 1]
        loss = torch.zeros((), device=self.device)
        for length in self.lengths:
            left, right = (F.normalize(vectors[:, :length], dim=1) for vectors in fused)
            for a, b, rows in ((left, right, second), (right, left, first)):
                same_BB = rows[:, None] == rows[None, :]
                loss = loss + 0.5 * agree(
                    a,
                    b,
                    1 / self.config.temperature,
                    same_BB=same_BB,
                    bias_B=self.log_share_N[rows],
                    symmetric=False,
                )
        return loss / len(self.lengths)

    def _content(self, rows: torch.Tensor) -> torch.Tensor:
        """Modalities, dropout and structure losses."""
        config = self.config
        rows = rows.unique().to(self.device)  # type: ignore[no-untyped-call]
        image, text = self.has_image_N[rows], self.has_text_N[rows]
        none = torch.zeros_like(image)
        both = image & text
        image_BD, text_BD = self._projected(rows)
        whole = self.module.mix(image_BD, image, text_BD, text)
        by_image = self.module.mix(image_BD, image, text_BD, none)
        by_text = self.module.mix(image_BD, none, text_BD, text)
        image_BB, image_spread = self._known_cosines(self.image_NI[rows], image)
        text_BB, text_spread = self._known_cosines(self.text_NT[rows], text)
        by_words, by_picture = self.words_share, 1 - self.words_share
        known = by_picture * image.float()[:, None] * image.float() + by_words * text.float()[:, None] * text.float()
        # Scaled to the same spread, so that the shares alone decide.
        narrow = torch.minimum(image_spread, text_spread)
        whole_BB = image_BB * (by_picture * narrow / image_spread) + text_BB * (by_words * narrow / text_spread)
        whole_BB = whole_BB / known.clamp(min=1e-6)
        same_BB = (text_BB > 0.999) | (image_BB > 0.999)
        loss = torch.zeros((), device=self.device)
        scale = 1 / config.temperature
        for length in self.lengths:
            whole_u, image_u, text_u = (F.normalize(part[:, :length], dim=1) for part in (whole, by_image, by_text))
            loss = loss + config.structure * structure(whole_u, whole_BB, config.structure_temperature)
            for part_u, present, cosines_BB in ((image_u, image, image_BB), (text_u, text, text_BB)):
                if int(present.sum()) < 2:
                    continue
                teacher = cosines_BB[present][:, present]
                loss = loss + config.structure / 2 * structure(part_u[present], teacher, config.structure_temperature)
                similarity = (part_u[present] * whole_u[present].detach()).sum(dim=1)
                loss = loss + config.dropout / 2 * (1 - similarity).mean()
            if int(both.sum()) > 1:
                same = same_BB[both][:, both]
                loss = loss + config.modalities * agree(image_u[both], text_u[both], scale, same_BB=same)
        return loss / len(self.lengths)

    @staticmethod
    def _known_cosines(rows: torch.Tensor, present: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Similarities, 0 where a row is missing, and the spread of the others."""
        cosines_BB = rows.new_zeros(len(rows), len(rows))
        if int(present.sum()) < 3:
            return cosines_BB, rows.new_ones(())
        known = _cosines(rows[present])
        at = present.nonzero()[:, 0]
        cosines_BB[at[:, None], at[None, :]] = known
        return cosines_BB, _spread(known).clamp(min=1e-3)
