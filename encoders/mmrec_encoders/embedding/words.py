"""Chooses the word columns of an embedding job whose encoders do not define them.

The catalogue is streamed, so the columns are chosen from its first `FIRST_ROWS` items and recorded in the output
folder; a resumed run, or a later one over a longer catalogue, uses the same columns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmrec.catalogue.item_words import ItemWords
from mmrec.data.settings import WordSettings
from mmrec.data.streaming import ItemStream, StreamedItem
from mmrec.data.word_columns import find_words
from mmrec_encoders.embedding.sample import catalogue_of

FIRST_ROWS = 10_000
"""Items from which word columns are chosen."""
_WINDOW = 256


def job_words(
    dataset: Path, template: str | None, settings: WordSettings, recorded: Mapping[str, Any] | None
) -> ItemWords:
    """Word columns or template of the items.

    Args:
        dataset: The dataset folder.
        template: Requested template; None for none.
        settings: Word settings of the dataset.
        recorded: Job description in the output folder; None for a new folder.

    Raises:
        InvalidArgumentError: the template names a column that is not there, or is not a format string.
    """
    if template is None and settings.template is None:
        known = _recorded(recorded)
        if known is not None and not {*known} & {*settings.leave_out}:
            return ItemWords(columns=known)
    stream = ItemStream(dataset, _WINDOW)
    items: list[StreamedItem] = []
    for window in stream.windows():
        # Drop pictures, to save memory.
        items += [item._replace(picture=None) for item in window.items]
        if len(items) >= FIRST_ROWS:
            break
    return find_words(catalogue_of(items[:FIRST_ROWS], stream.columns), settings, template)


def _recorded(job: Mapping[str, Any] | None) -> tuple[str, ...] | None:
    try:
        columns = json.loads((job or {})["fingerprints"]["words"])
        return tuple(map(str, columns)) if isinstance(columns, list) else None
    except (KeyError, TypeError, ValueError):
        return None
