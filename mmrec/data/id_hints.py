"""Suggests why ids do not match the known ones: lost zeros, another case, spaces, a prefix, swapped columns.

Unit of work: two columns of ids. Knows nothing of tables. Of many ids, a random sample is examined.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmrec.data.problems import quoted

_SAMPLE = 20_000
"""Unknown ids that are examined at most."""
_MAX_HINTS = 3
_MIN_SHARE = 0.01
"""Smallest share of the ids that a change must explain, in [0, 1]."""
_PLACEHOLDER = r"(?i)^\s*(nan|none|null|nil|n/?a|<na>|#n/a|undefined|missing|-)\s*$"
_ROUNDED = r"^\s*\d(\.\d+)?[eE]\+\d+\s*$"
_FRACTION = r"^(\d+)\.0+$"


class _Change(NamedTuple):
    """A change that programs commonly make to ids.

    change: normalises both sides before they are compared.  words: the cause and the remedy.
    """

    change: Callable[[Any], Any]
    words: str


def _without_spaces(ids: Any) -> Any:
    return pc.utf8_trim_whitespace(ids)


def _without_fraction(ids: Any) -> Any:
    return pc.replace_substring_regex(ids, _FRACTION, r"\1")


def _without_zeros(ids: Any) -> Any:
    return pc.utf8_ltrim(ids, characters="0")


def _normalised(ids: Any) -> Any:
    return pc.utf8_lower(_without_zeros(_without_fraction(_without_spaces(ids))))


_CHANGES = (
    _Change(_without_spaces, "spaces around the id; write ids without them"),
    _Change(
        _without_fraction, "a decimal point (1.0 for 1), as when a program reads ids as numbers; write ids as text"
    ),
    _Change(_without_zeros, "zeros at the front, which programs that read ids as numbers take away; write ids as text"),
    _Change(pc.utf8_lower, "capital and small letters; write ids the same way in both tables"),
)
_COMBINED = _Change(_normalised, "spaces, zeros, decimal points and letters at once; write ids the same way everywhere")


def unknown_id_hint(unknown: Any, known: Any, others: Any, column: str, other_column: str) -> str:
    """The probable cause of unknown ids, with the remedy; '' where none is found.

    Args:
        unknown: The unknown ids, with repetitions, none of them empty. Shape: (M,), pyarrow strings.
        known: The known ids. Shape: (N,), pyarrow strings.
        others: Ids of the other column of the same rows, which may have been swapped with it. Shape: (M,).
        column: Name of the column, for the message.
        other_column: Name of the other column.
    """
    sample = unknown
    if len(unknown) > _SAMPLE:
        # Random rather than every n-th: logs are often periodic.
        sample = unknown.take(np.sort(np.random.default_rng(0).choice(len(unknown), _SAMPLE, replace=False)))
    if not len(sample):
        return ""
    hints = _patterns(sample, column)
    if len(known):
        found = sorted(
            (hint for change in _CHANGES if (hint := _change_hint(change, sample, known))), key=lambda hint: -hint[0]
        )
        found = found or [
            hint for hint in [_change_hint(_COMBINED, sample, known) or _prefix_hint(sample, known)] if hint
        ]
        hints += [text for _, text in found]
        swapped = pc.sum(pc.is_in(others, value_set=known)).as_py() or 0
        if 2 * swapped > len(others):
            hints.append(f"{other_column} holds the ids instead: {column} and {other_column} are swapped; rename them")
    if not hints:
        examples = ", ".join(quoted(value, 40) for value in known[:3].to_pylist())
        return f"ids that are known look like {examples}" if examples else ""
    return "; ".join(hints[:_MAX_HINTS])


def _share(count: int, sample: Any) -> str:
    return "all of them" if count == len(sample) else f"{count:,} of the {len(sample):,} looked at"


def _patterns(sample: Any, column: str) -> list[str]:
    hints = []
    empty = pc.sum(pc.match_substring_regex(sample, _PLACEHOLDER)).as_py()
    if empty:
        first = sample.filter(pc.match_substring_regex(sample, _PLACEHOLDER))[0].as_py()
        hints.append(
            f"{quoted(first)} is what programs write where there is no value; leave rows without {column} out of the "
            "export"
        )
    rounded = pc.sum(pc.match_substring_regex(sample, _ROUNDED)).as_py()
    if rounded:
        first = sample.filter(pc.match_substring_regex(sample, _ROUNDED))[0].as_py()
        hints.append(
            f"{quoted(first)} is a number that a spreadsheet has rounded ({_share(rounded, sample)}), and its last "
            "digits are lost; export again with ids as text"
        )
    return hints


def _change_hint(change: _Change, sample: Any, known: Any) -> tuple[int, str] | None:
    """Number of ids that match after the change, and the hint; None where too few match."""
    places = pc.index_in(change.change(sample), value_set=change.change(known))
    hits = pc.indices_nonzero(pc.is_valid(places))
    if not len(hits) or len(hits) < _MIN_SHARE * len(sample):
        return None
    at = hits[0].as_py()
    unknown_id, known_id = sample[at].as_py(), known[places[at].as_py()].as_py()
    return len(hits), (
        f"{quoted(unknown_id)} is unknown and {quoted(known_id)} is known ({_share(len(hits), sample)}): they differ "
        f"by {change.words}"
    )


def _prefix_hint(sample: Any, known: Any) -> tuple[int, str] | None:
    """Number of ids that match with a common prefix added or removed, and the hint."""
    for side, missing in ((known, False), (sample, True)):
        ends = pc.min_max(side)
        start = os.path.commonprefix([ends["min"].as_py(), ends["max"].as_py()])  # noqa: RUF071 - by character
        if not start:
            continue
        if missing:
            tested = pc.utf8_slice_codeunits(sample, len(start))
        else:
            tested = pc.binary_join_element_wise(pa.scalar(start, sample.type), sample, pa.scalar("", sample.type))
        hits = pc.indices_nonzero(pc.is_in(tested, value_set=known))
        if 2 * len(hits) > len(sample):  # short ids without their prefix match by chance
            at = hits[0].as_py()
            whose = "the unknown ids begin" if missing else "the known ids begin"
            return len(hits), (
                f"{quoted(sample[at].as_py())} is unknown and {quoted(tested[at].as_py())} is known "
                f"({_share(len(hits), sample)}): {whose} with {quoted(start)} and the others do not; write ids the "
                "same way in both tables"
            )
    return None
