"""What of the items is words in an embedding job that has no encoders of its own to say so.

The catalogue is read in windows and never held whole, so which of its columns are words is found from its first
`FIRST_ROWS` items, written down in the output folder, and stays so: a run that goes on, or tomorrow's over a longer
catalogue, words its items alike. Knows nothing about models.
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
"""Items that decide which columns are words."""
_WINDOW = 256


def job_words(
    dataset: Path, template: str | None, settings: WordSettings, recorded: Mapping[str, Any] | None
) -> ItemWords:
    """What of the items is words.

    Args:
        dataset: The dataset folder.
        template: Asked for; None for none.
        settings: What the owner of the dataset says.
        recorded: What the output folder says that its vectors depend on; None for a new folder.

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
        # Pictures in the table would be most of the memory.
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
