"""What a mode makes ready for a training. Knows nothing about modes."""

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
    """A training's towers and data.

    Attributes:
        model: To train.
        pairs: Those whose picture can be read.
        unreadable: The others: item id and reason.
        save: Writes the result into the folder and gives the fingerprints of its sides.
        close: Ends what runs in the background.
        calibrate: Puts scale and bias of the loss where they suit the vectors as they are, given the pairs of a step.
    """

    model: ContrastiveModel
    pairs: Pairs
    unreadable: tuple[tuple[str, str], ...]
    save: Callable[[Path], dict[str, str]]
    close: Callable[[], Any] = lambda: None
    calibrate: Callable[[int], None] = lambda step: None


def without_failures(pairs: Pairs, failures: Sequence[PictureFailure]) -> tuple[Pairs, tuple[tuple[str, str], ...]]:
    """The pairs whose picture can be read, and the item id and reason of the others.

    Raises:
        InvalidDatasetError: hardly any is left.
    """
    keep_M = np.ones(len(pairs.catalogue), np.bool_)
    keep_M[[failure.row for failure in failures]] = False
    unreadable = tuple((pairs.catalogue.item_ids[failure.row], failure.message) for failure in failures)
    kept = pairs.take(keep_M)
    training, held = len(kept.training_rows), len(kept.held_rows)
    if training < 2 or held < 1:
        raise InvalidDatasetError(
            f"{len(unreadable):,} of {len(keep_M):,} pictures cannot be read, which leaves {training:,} pairs to train "
            f"on and {held:,} held out; repair the pictures: mmrec check names them (the first: {unreadable[0][1]})"
        )
    # Words of pictures that cannot be read are not encoded.
    return kept._replace(train=kept.train.only(kept.training_rows)), unreadable
