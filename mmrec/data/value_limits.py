"""Checks ids and texts of a dataset by the rules of requests.

An id that breaks them could be recommended, but no request could name it. Unit of work: one value, or one
column of values. Knows nothing of files and rows.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mmrec.contract.rules import CONTROL_CHARACTERS, MAX_ID_CHARS, MAX_TEXT_CHARS, Id, Rule, Text
from mmrec.errors import InvalidArgumentError

ID_COLUMNS = frozenset({"item_id", "user_id"})
"""Columns whose values are ids; all others hold text."""


def limit_problem(column: str, value: str) -> str:
    """Why a value cannot be used, with the rule and the remedy; '' for a good one, and for an empty one.

    Args:
        column: Decides whether it is an id (`ID_COLUMNS`) or text.
        value: The value.
    """
    rule: Rule = Id(new=True) if column in ID_COLUMNS else Text()
    try:
        rule.check(value, column)
    except InvalidArgumentError as err:
        return err.message
    return ""


def name_problem(column: str) -> str:
    """Why a column cannot have this name; '' for a good one."""
    try:
        Id().check(column, "the name of a column")
    except InvalidArgumentError as err:
        return f"{err.message}: shorten it" if len(column) > MAX_ID_CHARS else err.message
    return "" if column else "a column has no name; name it"


def rows_over_limits(column: str, texts: Any) -> list[int]:
    """Indices of the rows of a column for which `limit_problem` returns a message, ascending.

    Args:
        column: As in `limit_problem`.
        texts: pyarrow strings without nulls. Shape: (R,).
    """
    is_id = column in ID_COLUMNS
    over = pc.greater(pc.utf8_length(texts), MAX_ID_CHARS if is_id else MAX_TEXT_CHARS)
    if is_id:
        over = pc.or_(over, pc.match_substring_regex(texts, CONTROL_CHARACTERS))
    rows: list[int] = pc.indices_nonzero(
        over.combine_chunks() if isinstance(over, pa.ChunkedArray) else over
    ).to_pylist()
    return rows
