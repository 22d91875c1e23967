"""Model, data and callbacks that each fine-tuning mode prepares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mmrec.errors import InvalidDatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmrec_encoders.finetuning.model import ContrastiveModel
    from mmrec_encoders.finetuning.pairs import Pairs
    from mmrec_encoders.picture_reading import PictureFailure


class Prepared(NamedTuple):
    """Model and data of a fine-tuning.

    Attributes:
        model: The model to train.
        pairs: Pairs with a readable picture.
        unreadable: Item id and reason of the other pairs.
        save: Writes the result into a folder and returns the fingerprints of its towers.
        close: Ends background threads.
        calibrate: Initialises scale and bias of the loss for the current vectors, given the pairs per step.
    """

    model: ContrastiveModel
    pairs: Pairs
    unreadable: tuple[tuple[str, str], ...]
    save: Callable[[Path], dict[str, str]]
    close: Callable[[], Any] = lambda: None
    calibrate: Callable[[int], None] = lambda step: None


def without_failures(pairs: Pairs, failures: Sequence[PictureFailure]) -> tuple[Pairs, tuple[tuple[str, str], ...]]:
    """Pairs with a readable picture, and the item id and reason of the others.

    Raises:
        InvalidDatasetError: too few pairs remain.
    """
    readable_M = np.ones(len(pairs.catalogue), np.bool_)
    readable_M[[failure.row for failure in failures]] = False
    unreadable = tuple((pairs.catalogue.item_ids[failure.row], failure.message) for failure in failures)
    readable = pairs.take(readable_M)
    training, held = len(readable.training_rows), len(readable.held_rows)
    if training < 2 or held < 1:
        raise InvalidDatasetError(
            f"{len(unreadable):,} of {len(readable_M):,} pictures cannot be read, which leaves {training:,} pairs "
            f"to train on and {held:,} held out; repair the pictures: mmrec check names them "
            f"(the first: {unreadable[0][1]})"
        )
    # Texts of unreadable pictures are not encoded.
    return readable._replace(train=readable.train.only(readable.training_rows)), unreadable
