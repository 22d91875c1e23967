"""What a mode makes ready for a training. Knows nothing about modes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmrec_encoders.adapting.pairs import Pairs
    from mmrec_encoders.adapting.trainee import Trainee
    from mmrec_encoders.picture_reading import PictureFailure

__all__ = ["Prepared", "without_failures"]


class Prepared(NamedTuple):
    """A training's towers and data.

    Attributes:
        trainee: To train.
        pairs: Those whose picture can be read.
        unreadable: The others: item id and reason.
        save: Writes the result into the folder and gives the fingerprints of its sides.
        close: Ends what runs in the background.
    """

    trainee: Trainee
    pairs: Pairs
    unreadable: tuple[tuple[str, str], ...]
    save: Callable[[Path], dict[str, str]]
    close: Callable[[], Any] = lambda: None


def without_failures(pairs: Pairs, failures: Sequence[PictureFailure]) -> tuple[Pairs, tuple[tuple[str, str], ...]]:
    """The pairs whose picture can be read, and the item id and reason of the others."""
    keep_M = np.ones(len(pairs.catalogue), np.bool_)
    keep_M[[failure.row for failure in failures]] = False
    unreadable = tuple((pairs.catalogue.item_ids[failure.row], failure.message) for failure in failures)
    kept = pairs.take(keep_M)
    # Words of pictures that cannot be shown are not encoded.
    return kept._replace(train=kept.train.only(kept.training_rows)), unreadable
