"""Which columns of a catalogue are words, found once from its values.

Numbers, prices, dates and flags say little to a text encoder and much that misleads it, and links, codes, names of
files and hashes say nothing; columns of which nine in ten values are such stay out. A column stays in where all of its
numbers are years (whole numbers from 1000 to 2100): the year of a film or of a wine is part of what it is called. So
does one that is said to be text or lists, if it is none of links, codes, names of files and hashes.

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

_MOST_OTHERS = 0.1
"""Share of the values of a column that may be words although the column is none, as ``on request`` among prices."""
_MOST_LOOKED_AT = 10_000
"""Different values of a column that are looked at, taken evenly from all of them in their order."""
_LONGEST = 20_000
_LINK = r"(?:[a-z][a-z0-9+.-]*:)?//\S+|www\.\S+"
_FILE = r"\S[^|]*\.(?:jpe?g|png|webp|gif|bmp|svg|tiff?|avif|heic|mp4|webm|mov|pdf|glb)(?:\?\S*)?"
_CODE = r"\d[\d -]{6,}[\dxX]"
_UUID = r"\{?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\}?"
_HASH = r"(?:[a-z0-9]{1,8}[:_-])?(?=[a-f]*\d)[0-9a-f]{16,128}"
_NO_WORD = re.compile(rf"(?:{_LINK})|(?:{_FILE})|(?:{_CODE})|(?:{_UUID})|(?:{_HASH})", re.ASCII | re.IGNORECASE)
_GAPS = re.compile(r"\s*[|,;\s]\s*")


def find_words(catalogue: Catalogue, settings: WordSettings | None = None, template: str | None = None) -> ItemWords:
    """What of the items of a catalogue is words.

    Args:
        catalogue: The items.
        settings: Of ``dataset.toml``; None: none.
        template: How words are put together, instead of the settings; None: as in the settings, or else title,
            description and the columns that are words.

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
        values: One per item; blank ones say nothing. A column without any value counts as words.
        configured: The kind that ``dataset.toml`` sets for the column; empty for none.
    """
    distinct = Counter(text.strip() for text in values)
    del distinct[""]
    if len(distinct) > _MOST_LOOKED_AT:
        step = -(-len(distinct) // _MOST_LOOKED_AT)
        distinct = Counter(dict(islice(distinct.items(), 0, None, step)))
    years = tally_of(list(distinct)).years
    if FAMILIES.get(configured, "text") != "text" and not years:
        return False
    typed_too = years or bool(configured)
    wordy = sum(count for text, count in distinct.items() if _is_word(text, typed_too=typed_too))
    return wordy > _MOST_OTHERS * distinct.total() or not distinct


def _is_word(text: str, *, typed_too: bool) -> bool:
    fit = fit_of(text)
    if fit is not None and "list" in fit.kinds:
        return any(_is_word(entry.strip(), typed_too=typed_too) for entry in text.split("|") if entry.strip())
    if fit is not None and fit.kinds and not typed_too:
        return False
    if len(text) > _LONGEST:
        return True
    return not (_NO_WORD.fullmatch(text) or all(_NO_WORD.fullmatch(part) for part in _GAPS.split(text) if part))
