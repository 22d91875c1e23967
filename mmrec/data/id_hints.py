"""What ids that are not among the known ones have in common, and how they would be: lost zeros, another case, spaces.

Unit of work: two columns of ids. Knows nothing of tables. Many ids are judged by a sample of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmrec.data.problems import shown

_LOOKED_AT = 20_000
"""Unknown ids that are looked at."""
_MOST_HINTS = 3
_FEWEST = 0.01
"""Share of the ids that a change has to explain; one in a million is no explanation."""
_PLACEHOLDER = r"(?i)^\s*(nan|none|null|nil|n/?a|<na>|#n/a|undefined|missing|-)\s*$"
_ROUNDED = r"^\s*\d(\.\d+)?[eE]\+\d+\s*$"
_FRACTION = r"^(\d+)\.0+$"


class _Change(NamedTuple):
    """A change that programs commonly make to ids.

    change: what is done to both sides before they are compared.  words: what happened, and how to fix it.
    """

    change: Callable[[Any], Any]
    words: str


def _no_spaces(ids: Any) -> Any:
    return pc.utf8_trim_whitespace(ids)


def _no_fraction(ids: Any) -> Any:
    return pc.replace_substring_regex(ids, _FRACTION, r"\1")


def _no_zeros(ids: Any) -> Any:
    return pc.utf8_ltrim(ids, characters="0")


def _all_of_them(ids: Any) -> Any:
    return pc.utf8_lower(_no_zeros(_no_fraction(_no_spaces(ids))))


_CHANGES = (
    _Change(_no_spaces, "spaces around the id; write ids without them"),
    _Change(_no_fraction, "a decimal point (1.0 for 1), as when a program reads ids as numbers; write ids as text"),
    _Change(_no_zeros, "zeros at the front, which programs that read ids as numbers take away; write ids as text"),
    _Change(pc.utf8_lower, "capital and small letters; write ids the same way in both tables"),
)
_SEVERAL = _Change(_all_of_them, "spaces, zeros, decimal points and letters at once; write ids the same way everywhere")


def unknown_id_hint(unknown: Any, known: Any, others: Any, column: str, other_column: str) -> str:
    """Why ids are probably unknown, and how to fix it; '' where nothing is seen.

    Args:
        unknown: The ids that are not known, each as often as it comes; none is empty. Shape: (M,), pyarrow strings.
        known: The ids that are. Shape: (N,), pyarrow strings.
        others: Ids of the other column of the same rows, which may have been swapped with it. Shape: (M,).
        column: Name of the column, for the message.
        other_column: Name of the other column.
    """
    looked = unknown
    if len(unknown) > _LOOKED_AT:
        # Drawn, not every n-th: logs have a rhythm of their own.
        looked = unknown.take(np.sort(np.random.default_rng(0).choice(len(unknown), _LOOKED_AT, replace=False)))
    if not len(looked):
        return ""
    hints = _patterns(looked, column)
    if len(known):
        found = sorted(
            (hint for change in _CHANGES if (hint := _tried(change, looked, known))), key=lambda hint: -hint[0]
        )
        found = found or [hint for hint in [_tried(_SEVERAL, looked, known) or _prefix(looked, known)] if hint]
        hints += [text for _, text in found]
        swapped = pc.sum(pc.is_in(others, value_set=known)).as_py() or 0
        if 2 * swapped > len(others):
            hints.append(f"{other_column} holds the ids instead: {column} and {other_column} are swapped; rename them")
    if not hints:
        examples = ", ".join(shown(value, 40) for value in known[:3].to_pylist())
        return f"ids that are known look like {examples}" if examples else ""
    return "; ".join(hints[:_MOST_HINTS])


def _share(count: int, looked: Any) -> str:
    return "all of them" if count == len(looked) else f"{count:,} of the {len(looked):,} looked at"


def _patterns(looked: Any, column: str) -> list[str]:
    hints = []
    empty = pc.sum(pc.match_substring_regex(looked, _PLACEHOLDER)).as_py()
    if empty:
        first = looked.filter(pc.match_substring_regex(looked, _PLACEHOLDER))[0].as_py()
        hints.append(
            f"{shown(first)} is what programs write where there is no value; leave rows without {column} out of the "
            "export"
        )
    rounded = pc.sum(pc.match_substring_regex(looked, _ROUNDED)).as_py()
    if rounded:
        first = looked.filter(pc.match_substring_regex(looked, _ROUNDED))[0].as_py()
        hints.append(
            f"{shown(first)} is a number that a spreadsheet has rounded ({_share(rounded, looked)}), and its last "
            "digits are lost; export again with ids as text"
        )
    return hints


def _tried(change: _Change, looked: Any, known: Any) -> tuple[int, str] | None:
    """How many ids are known after both sides are changed, and the hint; None where none is."""
    places = pc.index_in(change.change(looked), value_set=change.change(known))
    hits = pc.indices_nonzero(pc.is_valid(places))
    if not len(hits) or len(hits) < _FEWEST * len(looked):
        return None
    at = hits[0].as_py()
    unknown_id, known_id = looked[at].as_py(), known[places[at].as_py()].as_py()
    return len(hits), (
        f"{shown(unknown_id)} is unknown and {shown(known_id)} is known ({_share(len(hits), looked)}): they differ by "
        + change.words
    )


def _prefix(looked: Any, known: Any) -> tuple[int, str] | None:
    """The beginning that all ids of one side share, where the other side lacks it."""
    for side, missing in ((known, False), (looked, True)):
        ends = pc.min_max(side)
        start = _shared_start(ends["min"].as_py(), ends["max"].as_py())
        if not start:
            continue
        if missing:
            tested = pc.utf8_slice_codeunits(looked, len(start))
        else:
            tested = pc.binary_join_element_wise(pa.scalar(start, looked.type), looked, pa.scalar("", looked.type))
        hits = pc.indices_nonzero(pc.is_in(tested, value_set=known))
        if 2 * len(hits) > len(looked):  # a beginning that is taken away makes short ids, which are soon known
            at = hits[0].as_py()
            whose = "the unknown ids begin" if missing else "the known ids begin"
            return len(hits), (
                f"{shown(looked[at].as_py())} is unknown and {shown(tested[at].as_py())} is known "
                f"({_share(len(hits), looked)}): {whose} with {shown(start)} and the others do not; write ids the same "
                "way in both tables"
            )
    return None


def _shared_start(one: str, other: str) -> str:
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return one[:length]
