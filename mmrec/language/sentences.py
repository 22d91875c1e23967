"""Plain English sentences for statements, made of the titles and the columns of any catalogue.

Unit of work: one statement. Knows nothing about where its evidence comes from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from mmrec.contract.items import Statement, StatementKind

MOST_NAMED = 2
"""Most items that a sentence names; it counts the others."""
_LONGEST_TITLE = 80

TitleOf = Callable[[str], str]
"""Gives the title of an item by its id; empty where it has none."""


def shown_title(item_id: str, title: str) -> str:
    """An item's title as sentences show it: on one line, cut after 80 characters; the id where it has none."""
    words = " ".join((title.strip() or item_id).split())
    return words if len(words) <= _LONGEST_TITLE else words[: _LONGEST_TITLE - 1].rstrip() + "…"


def shown_column(column: str) -> str:
    """The name of a column as words: ``price_per_night`` and ``pricePerNight`` are ``price per night``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", column).replace("_", " ").strip().lower()


def plain_sentence(statement: Statement, title_of: TitleOf, *, in_list: bool = False, popular: bool = False) -> str:
    """The sentence of a statement that was made by `mmrec.language.statements`; it names all evidence, and only that.

    Args:
        statement: Its text is not read.
        title_of: Titles of the items.
        in_list: Whether the value is one entry of a list.
        popular: Whether more customers chose the item than four of five others.
    """
    named, count = _named(statement.item_ids, title_of), statement.count
    customers = "1 customer" if count == 1 else f"{count:,} customers"
    match statement.kind:
        case StatementKind.HISTORY:
            return f"Suggested because of {named} in your history."
        case StatementKind.TOGETHER:
            return f"{customers} who chose {named} chose this too."
        case StatementKind.ATTRIBUTE:
            place = "among its" if in_list else "as its"
            return (
                f'Like {named} from your history, it has "{statement.value}" {place} {shown_column(statement.column)}.'
            )
        case StatementKind.PICTURE:
            return f"Its picture resembles that of {named} from your history."
        case StatementKind.WORDS:
            return f"Its text resembles that of {named} from your history."
        case StatementKind.POPULARITY:
            return f"It is popular: {customers} chose it." if popular else f"{customers} chose it."
        case StatementKind.NEW_ITEM:
            return "It is new here."
        case StatementKind.WISH:
            place = "among its" if in_list else "as its"
            return f'As you wished, it has "{statement.value}" {place} {shown_column(statement.column)}.'
        case StatementKind.PROMOTION:
            return "It is a promoted item."
        case None:
            return ""


def _named(item_ids: Sequence[str], title_of: TitleOf) -> str:
    quoted = [f'"{shown_title(item_id, title_of(item_id))}"' for item_id in item_ids]
    if len(quoted) <= MOST_NAMED:
        return " and ".join(quoted)
    return f"{', '.join(quoted[:MOST_NAMED])} and {len(quoted) - MOST_NAMED} more"
