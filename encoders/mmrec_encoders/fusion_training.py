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
from typing import TYPE_CHECKING, Any, NamedTuple

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
from mmrec_encoders.losses import agree, neighbours, structure

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
    trainer_config = TrainerConfig(passes, config.weight_decay, decay_vectors=True, fused=True)
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


class _Known(NamedTuple):
    """What the encoders know of some items, which training must keep.

    Attributes:
        at_image: Places of the items with a picture.
        at_text: Places of those with words.
        at_both: Places of those with both.
        whole_BB: `neighbours` by all that is known of the items.
        image_BB: `neighbours` by pictures, of those that have one.
        text_BB: `neighbours` by words, of those that have some.
        same_BB: Which of the items with both mean the same.
    """

    at_image: torch.Tensor
    at_text: torch.Tensor
    at_both: torch.Tensor
    whole_BB: torch.Tensor
    image_BB: torch.Tensor
    text_BB: torch.Tensor
    same_BB: torch.Tensor


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
        loss = self._loss()
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

    def _loss(self) -> torch.Tensor:
        """All losses on a draw of items and of pairs, whose vectors are fused together."""
        rows_C = self._draw(len(self.image_NI)).unique()  # type: ignore[no-untyped-call]
        pairs_B2 = self.pairs[:0]
        if len(self.pairs) and self.config.histories:
            pairs_B2 = self.pairs[self._draw(len(self.pairs))]
        items, pairs = len(rows_C), len(pairs_B2)
        rows_X = torch.cat([rows_C, pairs_B2.T.flatten()]).to(self.device)
        image_X, text_X = self.has_image_N[rows_X], self.has_text_N[rows_X]
        image_XD = self.module.image.adjust(self.image_ND[rows_X])
        text_XD = self.module.text.adjust(self.text_ND[rows_X])
        # Each item with all it has, with its picture alone and with its words alone, and the items of the pairs.
        image_C, text_C = image_X[:items], text_X[:items]
        none_C = torch.zeros_like(image_C)
        image_P, text_P = self._some_dropped(image_X[items:], text_X[items:])
        fused = self.module.mix(
            torch.cat([image_XD[:items], image_XD[:items], image_XD]),
            torch.cat([image_C, image_C, none_C, image_P]),
            torch.cat([text_XD[:items], text_XD[:items], text_XD]),
            torch.cat([text_C, none_C, text_C, text_P]),
        )
        known = self._known(rows_X[:items], image_C, text_C)
        first_B, second_B = pairs_B2.T.to(self.device)
        loss = torch.zeros((), device=self.device)
        for length in self.lengths:
            unit = F.normalize(fused[:, :length], dim=1)
            whole_CD, image_CD, text_CD, first_BD, second_BD = torch.split(unit, [items, items, items, pairs, pairs])
            loss = loss + self._content(whole_CD, image_CD, text_CD, known)
            if pairs:
                both_ways = self._following(first_BD, second_BD, second_B) + self._following(
                    second_BD, first_BD, first_B
                )
                loss = loss + self.config.histories * 0.5 * both_ways
        return loss / len(self.lengths)

    def _some_dropped(self, image_P: torch.Tensor, text_P: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Which items keep their picture and which their words: some that have both lose one of them."""
        chance_P2 = torch.rand(len(image_P), 2, generator=self.generator).to(self.device)
        drop_P = (chance_P2[:, 0] < self.config.modality_dropout) & image_P & text_P
        image_goes_P = chance_P2[:, 1] < 0.5
        return image_P & ~(drop_P & image_goes_P), text_P & ~(drop_P & ~image_goes_P)

    def _following(self, left_BD: torch.Tensor, right_BD: torch.Tensor, right_B: torch.Tensor) -> torch.Tensor:
        """Loss of items that follow each other, found from the left ones; `right_B` are the rows of the right ones."""
        return agree(
            left_BD,
            right_BD,
            1 / self.config.temperature,
            same_BB=right_B[:, None] == right_B[None, :],
            bias_B=self.log_share_N[right_B],
            symmetric=False,
        )

    def _known(self, rows: torch.Tensor, image: torch.Tensor, text: torch.Tensor) -> _Known:
        config = self.config
        image_BB, image_spread = self._known_cosines(self.image_NI[rows], image)
        text_BB, text_spread = self._known_cosines(self.text_NT[rows], text)
        by_words, by_picture = self.words_share, 1 - self.words_share
        share = by_picture * image.float()[:, None] * image.float() + by_words * text.float()[:, None] * text.float()
        # Scaled to the same spread, so that the shares alone decide.
        narrow = torch.minimum(image_spread, text_spread)
        whole_BB = image_BB * (by_picture * narrow / image_spread) + text_BB * (by_words * narrow / text_spread)
        at_image, at_text, at_both = (present.nonzero()[:, 0] for present in (image, text, image & text))
        same_BB = (text_BB > 0.999) | (image_BB > 0.999)
        return _Known(
            at_image,
            at_text,
            at_both,
            neighbours(whole_BB / share.clamp(min=1e-6), config.structure_temperature),
            neighbours(image_BB[at_image][:, at_image], config.structure_temperature),
            neighbours(text_BB[at_text][:, at_text], config.structure_temperature),
            same_BB[at_both][:, at_both],
        )

    def _content(
        self, whole_BD: torch.Tensor, image_BD: torch.Tensor, text_BD: torch.Tensor, known: _Known
    ) -> torch.Tensor:
        """Modalities, dropout and structure losses of unit vectors."""
        config = self.config
        loss = config.structure * structure(whole_BD, known.whole_BB, config.structure_temperature)
        parts = ((image_BD, known.at_image, known.image_BB), (text_BD, known.at_text, known.text_BB))
        for part_BD, at, teacher_BB in parts:
            if len(at) < 2:
                continue
            part_BD = part_BD[at]
            loss = loss + config.structure / 2 * structure(part_BD, teacher_BB, config.structure_temperature)
            similarity_B = (part_BD * whole_BD[at].detach()).sum(dim=1)
            loss = loss + config.dropout / 2 * (1 - similarity_B).mean()
        if len(known.at_both) > 1:
            image_BD, text_BD = image_BD[known.at_both], text_BD[known.at_both]
            loss = loss + config.modalities * agree(image_BD, text_BD, 1 / config.temperature, same_BB=known.same_BB)
        return loss

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
