"""Training log: losses and metric of each epoch, and the best epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """Figures of one epoch.

    Attributes:
        epoch: From 1.
        item_loss: Mean cross-entropy of the item head, in nats.
        semantic_id_loss: Mean negative log-probability of a whole path, in nats.
        ndcg_at_10: Of the item head on the validation set, over the whole catalogue without seen items.
        seconds: Wall time of the epoch, validation included.
    """

    epoch: int
    item_loss: float
    semantic_id_loss: float
    ndcg_at_10: float
    seconds: float


class TrainingResult(NamedTuple):
    """All epochs, and the number of the one whose weights were kept."""

    epochs: tuple[EpochRecord, ...]
    best_epoch: int
