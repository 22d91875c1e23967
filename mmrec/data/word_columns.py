"""Finds which columns of a catalogue are words, from their values.

Numbers, prices, dates and flags tell a text encoder little and mislead it; links, codes, file names and hashes tell it
nothing; columns with nine in ten of such values are excluded. Columns are kept where all numbers are years (whole
numbers from 1000 to 2100), since the year of a film or of a wine is part of its name, and where ``dataset.toml``
declares text or lists, unless the values are links, codes, file names or hashes.

The unit of work is one catalogue. Knows nothing about encoders.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice

from mmrec.catalogue.catalogue import OWN_COLUMNS, Catalogue
from mmrec.catalogue.column_kinds import FAMILIES, tally_of
from mmrec.catalogue.item_words import ItemWords, check_words
from mmrec.catalogue.written_values import fit_of
from mmrec.data.settings import WordSettings

_MIN_WORD_SHARE = 0.1
"""A column is words if more than this share of its values are; prices may contain ``on request``."""
_MAX_VALUES = 10_000
"""Different values of a column that are examined, taken evenly in their order."""
_MAX_CHARS = 20_000
_LINK = r"(?:[a-z][a-z0-9+.-]*:)?//\S+|www\.\S+"
_FILE = r"\S[^|]*\.(?:jpe?g|png|webp|gif|bmp|svg|tiff?|avif|heic|mp4|webm|mov|pdf|glb)(?:\?\S*)?"
_CODE = r"\d[\d -]{6,}[\dxX]"
_UUID = r"\{?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\}?"
_HASH = r"(?:[a-z0-9]{1,8}[:_-])?(?=[a-f]*\d)[0-9a-f]{16,128}"
_NOT_A_WORD = re.compile(rf"(?:{_LINK})|(?:{_FILE})|(?:{_CODE})|(?:{_UUID})|(?:{_HASH})", re.ASCII | re.IGNORECASE)
_SEPARATORS = re.compile(r"\s*[|,;\s]\s*")


def find_words(catalogue: Catalogue, settings: WordSettings | None = None, template: str | None = None) -> ItemWords:
    """Find which columns of a catalogue are words.

    Args:
        catalogue: The items.
        settings: From ``dataset.toml``; None for the defaults.
        template: Replaces the template of the settings; None: that one, or else title, description and the columns
            that are words.

    Raises:
        InvalidArgumentError: the template names a column that is not there, or is not a format string.
    """
    settings = settings or WordSettings()
    template = template if template is not None else settings.template
    if template is not None:
        words = ItemWords(template)
        check_words(words, (*OWN_COLUMNS, *catalogue.attributes))
        return words
    return ItemWords(
        columns=tuple(
            name
            for name, values in catalogue.attributes.items()
            if name not in settings.leave_out and is_words(values, catalogue.kinds.get(name, ""))
        )
    )


def is_words(values: Sequence[str], configured: str = "") -> bool:
    """Whether the values of an attribute are words.

    Args:
        values: One per item; blank ones are ignored. A column without any value counts as words.
        configured: The kind that ``dataset.toml`` sets for the column; empty for none.
    """
    distinct = Counter(text.strip() for text in values)
    del distinct[""]
    if len(distinct) > _MAX_VALUES:
        step = -(-len(distinct) // _MAX_VALUES)
        distinct = Counter(dict(islice(distinct.items(), 0, None, step)))
    years = tally_of(list(distinct)).years
    if FAMILIES.get(configured, "text") != "text" and not years:
        return False
    allow_typed = years or bool(configured)
    words = sum(count for text, count in distinct.items() if _is_word(text, allow_typed=allow_typed))
    return words > _MIN_WORD_SHARE * distinct.total() or not distinct


def _is_word(text: str, *, allow_typed: bool) -> bool:
    fit = fit_of(text)
    if fit is not None and "list" in fit.kinds:
        return any(_is_word(entry.strip(), allow_typed=allow_typed) for entry in text.split("|") if entry.strip())
    if fit is not None and fit.kinds and not allow_typed:
        return False
    if len(text) > _MAX_CHARS:
        return True
    return not (
        _NOT_A_WORD.fullmatch(text) or all(_NOT_A_WORD.fullmatch(part) for part in _SEPARATORS.split(text) if part)
    )
