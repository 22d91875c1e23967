"""Statements about a recommendation, made of evidence at hand and ranked: nothing is invented.

Unit of work: one recommended item. Knows nothing about models: what a score rests on comes in as evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from mmrec.contract.items import Statement, StatementKind
from mmrec.filters.grammar import parse_filter
from mmrec.language.attributes import entries_of
from mmrec.language.constraints import statement_of
from mmrec.language.sentences import TitleOf, plain_sentence

MOST_STATEMENTS = 5
"""Most statements about one item."""
_MOST_ATTRIBUTES = 2
_MOST_WISHES = 2
MOST_SENTENCES = 2
"""Sentences of an explanation."""
_LONGEST_WISH = 80
_WORTH = {
    StatementKind.HISTORY: 0.25,
    StatementKind.TOGETHER: 0.5,
    StatementKind.PICTURE: 0.5,
    StatementKind.WORDS: 0.5,
    StatementKind.POPULARITY: 0.5,
    StatementKind.NEW_ITEM: 1.0,
}
"""What a statement says to a reader, per unit of its share; that of an attribute follows from its value."""


class SharedEvidence(NamedTuple):
    """A value that the item shares with items of the history.

    Attributes:
        column: The column.
        value: The value, or one entry of a list.
        item_ids: The history items that have it too, those with the largest parts of the score first.
        in_list: Whether the column holds lists.
        worth: What it says to a reader, per unit of its share: 0 (every item has it, or the history has
            it no more often than any items) to 1.
        share: Sum of the parts of the score that rest on these items.
    """

    column: str
    value: str
    item_ids: tuple[str, ...]
    in_list: bool
    worth: float
    share: float


class LikeEvidence(NamedTuple):
    """A history item whose picture or words are among the 5% that are most like the item's.

    Attributes:
        kind: ``PICTURE`` or ``WORDS``.
        item_id: The history item.
        share: The part of the score that rests on this likeness.
    """

    kind: StatementKind
    item_id: str
    share: float


class WishEvidence(NamedTuple):
    """A value of the item that the customer's words ask for.

    Attributes:
        column: The column.
        value: The value, or one entry of a list.
        in_list: Whether the value is one of several.
    """

    column: str
    value: str
    in_list: bool


def wish_evidence(condition: str, attributes: Mapping[str, str]) -> WishEvidence | None:
    """What speaks for an item because it meets a condition; None for a negated one, or one about several columns.

    Args:
        condition: A condition that the item meets.
        attributes: The item's values by column.
    """
    statement = statement_of(parse_filter(condition))
    entries = entries_of(attributes.get(statement.column, ""), "list")
    if statement.way == "lacks" or not entries:
        return None
    named = {value.casefold() for value in statement.values}
    meant = [entry for entry in entries if entry.casefold() in named] or (entries if len(entries) == 1 else [])
    short = [entry for entry in meant if len(entry) <= _LONGEST_WISH]
    return WishEvidence(statement.column, short[0], len(entries) > 1) if short else None


@dataclass(frozen=True, slots=True)
class ItemEvidence:
    """Everything that can be said about one recommended item.

    Attributes:
        history: Parts of the score by history item, above 0, the largest first.
        together: A history item, the number of customers who chose both, and the part of the score that rests on what
            customers chose one after the other; None: too few did.
        shared: Values that it shares with the history.
        alike: History items that are like it.
        customers: Number of customers who chose it.
        popular: Whether more customers chose it than four of five items.
        popularity: Part of the score that rests on popularity.
        novelty: Part of the score that rests on its being new.
        new: Whether nobody has chosen it yet.
        promoted: Whether the request promotes it.
        promotion: Part of the score that rests on that.
        wishes: Values that the customer's words ask for.
        wish: Part of the score that rests on these words.
    """

    history: Mapping[str, float]
    together: tuple[str, int, float] | None
    shared: Sequence[SharedEvidence]
    alike: Sequence[LikeEvidence]
    customers: int
    popular: bool
    popularity: float
    novelty: float
    new: bool
    promoted: bool
    promotion: float
    wishes: Sequence[WishEvidence] = ()
    wish: float = 0.0


class _Candidate(NamedTuple):
    worth: float
    statement: Statement
    in_list: bool = False


def ranked_statements(evidence: ItemEvidence, title_of: TitleOf) -> tuple[Statement, ...]:
    """Statements about an item, best first: that it is promoted, what was wished, then by share and how much they say.

    Args:
        evidence: What is known.
        title_of: Titles of history items.
    """
    chosen: list[_Candidate] = []
    attributes = 0
    for candidate in sorted(_candidates(evidence), key=lambda candidate: -candidate.worth):
        attribute = candidate.statement.kind is StatementKind.ATTRIBUTE
        if len(chosen) < MOST_STATEMENTS and not (attribute and attributes == _MOST_ATTRIBUTES):
            chosen.append(candidate)
            attributes += attribute
    first = [
        _Candidate(0.0, Statement(StatementKind.WISH, "", (), column, value, share=evidence.wish), in_list)
        for column, value, in_list in evidence.wishes[:_MOST_WISHES]
    ]
    if evidence.promoted:
        first.insert(0, _Candidate(0.0, Statement(StatementKind.PROMOTION, "", share=evidence.promotion)))
    chosen = [*first, *chosen[: MOST_STATEMENTS - len(first)]]
    return tuple(
        replace(
            one.statement,
            text=plain_sentence(one.statement, title_of, in_list=one.in_list, popular=evidence.popular),
        )
        for one in chosen
    )


def explanation_of(statements: Sequence[Statement]) -> str:
    """A sentence or two: the best statements."""
    return " ".join(statement.text for statement in statements[:MOST_SENTENCES])


def _candidates(evidence: ItemEvidence) -> list[_Candidate]:
    """Everything that may be said."""
    found: list[_Candidate] = []

    def add(statement: Statement, worth: float, in_list: bool = False) -> None:
        found.append(_Candidate(worth, statement, in_list))

    strongest = list(evidence.history.items())
    # Items with less than half of the largest part are not what the score rests on.
    strongest = [(item_id, share) for item_id, share in strongest[:3] if share >= strongest[0][1] / 2]
    if strongest:
        share = sum(share for _, share in strongest)
        item_ids = tuple(item_id for item_id, _ in strongest)
        add(Statement(StatementKind.HISTORY, "", item_ids, share=share), share * _WORTH[StatementKind.HISTORY])
    if evidence.together:
        item_id, count, share = evidence.together
        together = Statement(StatementKind.TOGETHER, "", (item_id,), count=count, share=share)
        add(together, share * _WORTH[StatementKind.TOGETHER])
    for shared in evidence.shared:
        statement = Statement(
            StatementKind.ATTRIBUTE, "", shared.item_ids, shared.column, shared.value, share=shared.share
        )
        add(statement, shared.share * shared.worth, shared.in_list)
    for like in evidence.alike:
        add(Statement(like.kind, "", (like.item_id,), share=like.share), like.share * _WORTH[like.kind])
    if evidence.new:
        new = Statement(StatementKind.NEW_ITEM, "", share=evidence.novelty)
        add(new, max(evidence.novelty, 0.0) * _WORTH[StatementKind.NEW_ITEM])
    elif evidence.customers and (evidence.popularity > 0 or not found):
        popular = Statement(StatementKind.POPULARITY, "", count=evidence.customers, share=evidence.popularity)
        add(popular, max(evidence.popularity, 0.0) * _WORTH[StatementKind.POPULARITY])
    return found
