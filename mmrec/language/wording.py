"""What is said in a conversation, from templates: suggestions, questions, and that nothing fits.

Every word about an item comes from its own row. Unit of work: one turn. Knows nothing about how items are chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mmrec.contract.conversation import Constraint
from mmrec.contract.items import ItemRecord
from mmrec.filters.grammar import parse_filter
from mmrec.language.checker import SuggestedItem
from mmrec.language.constraints import columns_in, statement_of
from mmrec.language.questions import said

_LONGEST_VALUE = 80
_MOST_FACTS = 4
_MOST_NAMED = 6
_SPONSORED = "It is sponsored."


class Said(NamedTuple):
    """A sentence of a turn.

    Attributes:
        text: The sentence.
        about: The item that it suggests; None: it suggests none, and is said in these words alone.
    """

    text: str
    about: SuggestedItem | None = None


def suggestion(items: Sequence[ItemRecord], sponsored: Sequence[bool], constraints: Sequence[Constraint]) -> str:
    """Names items, says which are sponsored, and what speaks for them.

    Args:
        items: Best first, at least one.
        sponsored: Whether each is sponsored.
        constraints: What the customer wants; the columns that they name are told.
    """
    sentences = []
    for said_of, paid in zip(_suggesting(items, constraints), sponsored, strict=True):
        sentences += [said_of.text, *([_SPONSORED] if paid else [])]
    return " ".join(sentences)


def sentences_of(text: str, items: Sequence[ItemRecord], constraints: Sequence[Constraint]) -> list[Said]:
    """The sentences of a turn's text, those that suggest items with what they are about.

    Args:
        text: From `suggestion`, or any other text, which is one sentence then.
        items: Items of the turn.
        constraints: Those of its state.
    """
    found: list[Said] = []
    rest = text
    for sentence in _suggesting(items, constraints):
        if not rest.startswith(sentence.text):
            return [Said(text)]
        found.append(sentence)
        rest = rest[len(sentence.text) :].lstrip()
        if rest.startswith(_SPONSORED):
            found.append(Said(_SPONSORED))
            rest = rest[len(_SPONSORED) :].lstrip()
    return [Said(text)] if rest else found


def _suggesting(items: Sequence[ItemRecord], constraints: Sequence[Constraint]) -> Iterator[Said]:
    """A sentence for each item."""
    columns = list(dict.fromkeys(column for one in constraints for column in columns_in(parse_filter(one.condition))))
    for place, item in enumerate(items):
        facts = tuple(
            (column, _short(item.attributes[column]))
            for column in columns[:_MOST_FACTS]
            if item.attributes.get(column, "").strip()
        )
        told = f" ({', '.join(f'{said(column)}: {value}' for column, value in facts)})" if facts else ""
        begin = "I suggest" if place == 0 else "Or"
        yield Said(f"{begin} {named(item)}{told}.", SuggestedItem(item.item_id, named(item), facts))


def nothing_fits(constraints: Sequence[Constraint], relaxed: Sequence[tuple[Constraint, int]]) -> str:
    """Says that no item meets every constraint, and how many would without one of them.

    Args:
        constraints: What the customer wants.
        relaxed: Constraints whose removal would leave items, with the number of these.
    """
    if not constraints:
        return "There is nothing left that I could suggest."
    wanted = "; ".join(described(one) for one in constraints[:_MOST_NAMED])
    text = f"Nothing in the catalogue fits all of this: {wanted}."
    if relaxed:
        constraint, count = relaxed[0]
        text += f" Without {described(constraint)} there would be {count:,}."
    return text


def confirmation(constraint: Constraint) -> str:
    """Asks whether a constraint is meant."""
    return f"Do you mean {described(constraint)}?"


def described(constraint: Constraint) -> str:
    """A constraint in words: ``runtime at most 120``."""
    statement = statement_of(parse_filter(constraint.condition))
    if not statement.column:
        return constraint.condition
    values = sorted(statement.values)
    if statement.way in ("upper", "lower"):
        strict = "=" not in constraint.condition
        words = {"upper": "under" if strict else "at most", "lower": "over" if strict else "at least"}[statement.way]
        return f"{said(statement.column)} {words} {values[0]}"
    joined = " or ".join(map(_short, values))
    return f"{said(statement.column)} {'not ' if statement.way == 'lacks' else ''}{joined}"


def named(item: ItemRecord) -> str:
    """An item by its title, or by its id where it has none."""
    return " ".join((item.title or item.item_id).split())


def _short(value: str) -> str:
    flat = ", ".join(part.strip() for part in " ".join(value.split()).split("|"))
    return flat if len(flat) <= _LONGEST_VALUE else flat[: _LONGEST_VALUE - 1].rstrip() + "…"
