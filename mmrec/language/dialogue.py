"""The policy of a conversation: what to conclude from a customer's words, and whether to ask or to suggest.

New constraints join the old ones: another value of a column with one value an item replaces the old one, criticism
tightens, and what contradicts is dropped. Items that were shown are never shown again. A question is asked where its
answer is expected to tell much about what is left, about no column twice, and only a few times. Where nothing fits,
this is said and nothing is suggested. Unit of work: one turn; the state comes with the request and goes back with the
reply.
"""

# Axes: N items, C candidates

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.catalogue import Catalogue
from mmrec.contract.conversation import (
    MAX_CONSTRAINTS,
    MAX_SAID_CHARS,
    Constraint,
    ConversationState,
    ConversationTurn,
    ConverseRequest,
)
from mmrec.contract.items import ScoredItem
from mmrec.contract.rules import MAX_HISTORY
from mmrec.errors import InvalidArgumentError, prefixed
from mmrec.filters.filter import CatalogueFilter
from mmrec.filters.grammar import parse_filter
from mmrec.language.attributes import name_words
from mmrec.language.constraints import StatedConstraint, columns_in, joined_filter, statement_of
from mmrec.language.parser import ParsedWish, WishParser
from mmrec.language.questions import QuestionChooser
from mmrec.language.wording import confirmation, nothing_fits, suggestion
from mmrec.language.words import phrase_at, stem, tokens_of, vocabulary

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class DialogueConfig:
    """When to ask and when to suggest.

    Attributes:
        sure: A constraint of less confidence is dropped where nothing would be left with it, 0 to 1.
        max_questions: Most questions of a conversation, those after criticism aside.
        few: With so many items left, or fewer, nothing is asked.
        least_bits: Least information that the answer to a question is expected to give.
    """

    sure: float = 0.75
    max_questions: int = 4
    few: int = 3
    least_bits: float = 0.5


class Wanted(NamedTuple):
    """What to choose items by.

    Attributes:
        request: What the customer said.
        filter: Every constraint and the caller's own condition.
        deny: Items that are not shown, by id.
        wish: Words that no filter expresses.
    """

    request: ConverseRequest
    filter: str
    deny: tuple[str, ...]
    wish: str


Choose = Callable[[Wanted], Sequence[ScoredItem]]
"""Chooses at most ``request.k`` items that pass the filter, best first."""


class Dialogue:
    """Conversations about one catalogue.

    Args:
        catalogue: The items.
        filters: Conditions over its columns.
        parser: Reads sentences about it.
        config: When to ask.
    """

    def __init__(
        self, catalogue: Catalogue, filters: CatalogueFilter, parser: WishParser, config: DialogueConfig | None = None
    ) -> None:
        self._catalogue = catalogue
        self._filters = filters
        self._parser = parser
        self._config = config or DialogueConfig()
        self._sponsored = _sponsored_column(parser)

    def turn(self, request: ConverseRequest, choose: Choose) -> ConversationTurn:
        """Answer one message of a customer.

        Args:
            request: What was said, and the state.
            choose: Chooses among the items that may be suggested.

        Raises:
            InvalidArgumentError: a condition of the request or of its state does not fit the catalogue, or the column
                of sponsored items is none of true and false.
        """
        self._check(request)
        sponsored = request.sponsored_column or self._sponsored
        shown = self._catalogue.rows_of(request.state.shown_ids)
        parsed = self._parser.parse(request.text, shown, asked=request.state.question)
        state = self._understood(request, parsed)
        state = self._without_doubtful(request, state)
        candidates_C = self._candidates(request, state)
        if not len(candidates_C):
            text = nothing_fits(state.constraints, self._relaxed(request, state))
            return ConversationTurn(text, state=replace(state, shown_ids=()))
        if request.k and not _says_anywhere(request.text, "insists"):
            asked = self._question(request, parsed, state, candidates_C, sponsored)
            if asked is not None:
                return asked
        left_out = (*request.history, *state.rejected_ids)
        items = choose(Wanted(request, self._filter(request, state), left_out, state.wish))
        state = replace(state, shown_ids=tuple(scored.item_id for scored in items))
        records = [scored.item for scored in items]
        paid = [_is_true(record.attributes.get(sponsored, "")) for record in records]
        if not items:
            return ConversationTurn(nothing_fits(state.constraints, ()), state=state)
        return ConversationTurn(suggestion(records, paid, state.constraints), tuple(items), state)

    # --- understanding -----------------------------------------------------------------------------------------------

    def _understood(self, request: ConverseRequest, parsed: ParsedWish) -> ConversationState:
        """The state after the customer's words; no item is shown in it."""
        old = request.state
        stated = [as_constraint(one) for one in parsed.constraints]
        if old.offered and not stated and _says(request.text, "yes"):
            stated = list(old.offered)
        constraints = merged(old.constraints, stated, replaces=_says_anywhere(request.text, "instead"))
        wish = " ".join(dict.fromkeys(f"{old.wish} {parsed.rest}".split()))[-MAX_SAID_CHARS:]
        rejected = tuple(dict.fromkeys((*old.rejected_ids, *old.shown_ids)))[-MAX_HISTORY:]
        return ConversationState(
            constraints=constraints[-MAX_CONSTRAINTS:],
            rejected_ids=rejected,
            asked_columns=old.asked_columns,
            wish=wish,
            turns=old.turns + 1,
        )

    def _without_doubtful(self, request: ConverseRequest, state: ConversationState) -> ConversationState:
        """The state without readings that are not sure, where they would leave nothing."""
        while not len(self._candidates(request, state)):
            doubtful = min(state.constraints, key=lambda one: one.confidence, default=None)
            if doubtful is None or doubtful.confidence >= self._config.sure:
                break
            state = replace(state, constraints=tuple(one for one in state.constraints if one is not doubtful))
        return state

    # --- asking ------------------------------------------------------------------------------------------------------

    def _question(
        self,
        request: ConverseRequest,
        parsed: ParsedWish,
        state: ConversationState,
        candidates_C: Rows,
        sponsored: str,
    ) -> ConversationTurn | None:
        """A question, where one is worth asking; None: suggest something."""
        config = self._config
        chooser = QuestionChooser(self._parser.attributes, (sponsored,))
        if parsed.unsure and not parsed.constraints and not request.state.offered:
            offered = tuple(as_constraint(one) for one in parsed.unsure[:1])
            return ConversationTurn(confirmation(offered[0]), state=replace(state, offered=offered))
        if len(candidates_C) <= config.few:
            return None
        # Criticism says in which direction, not how far: the customer may say so, once.
        criticised = [
            one.column for one in parsed.constraints if one.relative and one.column not in state.asked_columns
        ]
        if criticised:
            return self._asks(chooser, criticised[0], state, candidates_C)
        if len(state.asked_columns) >= config.max_questions:
            return None
        column = chooser.best(candidates_C, self._settled(request, state), config.least_bits)
        return self._asks(chooser, column, state, candidates_C) if column else None

    def _asks(
        self, chooser: QuestionChooser, column: str, state: ConversationState, candidates_C: Rows
    ) -> ConversationTurn:
        asked = replace(state, asked_columns=(*state.asked_columns, column)[-MAX_CONSTRAINTS:], question=column)
        return ConversationTurn(chooser.question(column, candidates_C), state=asked, asked_column=column)

    def _settled(self, request: ConverseRequest, state: ConversationState) -> frozenset[str]:
        """Columns that are asked about already, or that something holds on but what is not wanted."""
        settled = set(state.asked_columns)
        if request.filter.strip():
            settled |= columns_in(parse_filter(request.filter))
        for one in state.constraints:
            condition = parse_filter(one.condition)
            if statement_of(condition).way != "lacks":
                settled |= columns_in(condition)
        return frozenset(settled)

    # --- items -------------------------------------------------------------------------------------------------------

    def _candidates(self, request: ConverseRequest, state: ConversationState) -> Rows:
        """Rows of the items that may be suggested. Shape: (C,), int64."""
        return self._passing(self._filter(request, state), (*request.history, *state.rejected_ids))

    def _passing(self, condition: str, left_out: Sequence[str]) -> Rows:
        passing_N = self._filters.bitmap(condition).copy()
        passing_N[self._catalogue.rows_of(left_out)] = False
        return np.flatnonzero(passing_N)

    def _filter(self, request: ConverseRequest, state: ConversationState) -> str:
        return joined_filter([request.filter, *(one.condition for one in state.constraints)])

    def _relaxed(self, request: ConverseRequest, state: ConversationState) -> list[tuple[Constraint, int]]:
        """Constraints without which there would be items, with their number, the most first."""
        found = []
        for place, one in enumerate(state.constraints):
            others = (*state.constraints[:place], *state.constraints[place + 1 :])
            count = len(self._candidates(request, replace(state, constraints=others)))
            if count:
                found.append((one, count))
        return sorted(found, key=lambda entry: -entry[1])

    def _check(self, request: ConverseRequest) -> None:
        self._filters.check(request.filter)
        for name, constraints in (("constraints", request.state.constraints), ("offered", request.state.offered)):
            for place, one in enumerate(constraints):
                try:
                    self._filters.check(one.condition)
                except InvalidArgumentError as err:
                    raise prefixed(err, f"state.{name}[{place}]") from None
        column = request.sponsored_column
        if column and not self._parser.attributes.is_boolean(column):
            raise InvalidArgumentError(
                f"sponsored_column is {column!r:.80}, which is no column of true and false; name one that is, or leave "
                "it out",
                field="sponsored_column",
            )


# --- constraints of a conversation ----------------------------------------------------------------------------------


def merged(old: Sequence[Constraint], new: Sequence[Constraint], *, replaces: bool = False) -> tuple[Constraint, ...]:
    """Old constraints with new ones, which win where the two do not go together.

    Args:
        old: Those of the conversation so far.
        new: Those of the last message.
        replaces: Whether the customer says that something is wanted instead: then old values of a column of lists go
            too.
    """
    kept = list(old)
    for one in new:
        statement = statement_of(parse_filter(one.condition))
        is_list = ":" in one.condition and statement.way in ("has", "lacks")
        kept = [other for other in kept if not _gives_way(other, one, is_list=is_list, replaces=replaces, new=new)]
        kept.append(one)
    return tuple(kept)


def _gives_way(other: Constraint, one: Constraint, *, is_list: bool, replaces: bool, new: Sequence[Constraint]) -> bool:
    """Whether an older constraint is replaced by a newer one."""
    if other.condition == one.condition:
        return True
    before, after = (statement_of(parse_filter(constraint.condition)) for constraint in (other, one))
    if not after.column or before.column != after.column or other in new:
        return False
    if after.way in ("upper", "lower"):
        return before.way in (after.way, "has")
    if before.way in ("upper", "lower"):
        return after.way == "has"
    if before.way != after.way:
        return bool(before.values & after.values) or before.values <= {"true", "false"}
    return after.way == "has" and (not is_list or replaces)


def as_constraint(stated: StatedConstraint) -> Constraint:
    """A constraint as clients see it."""
    return Constraint(
        stated.column, stated.condition, stated.words[:MAX_SAID_CHARS], min(1.0, stated.confidence), stated.negated
    )


# --- words -----------------------------------------------------------------------------------------------------------


def _says(text: str, what: str) -> bool:
    """Whether a message begins with one of some replies."""
    return bool(phrase_at(tokens_of(text), 0, vocabulary().table["replies"][what]))


def _says_anywhere(text: str, what: str) -> bool:
    tokens = tokens_of(text)
    return any(phrase_at(tokens, at, vocabulary().table["replies"][what]) for at in range(len(tokens)))


def _sponsored_column(parser: WishParser) -> str:
    words = {stem(word) for word in vocabulary().table["replies"]["sponsored"]}
    attributes = parser.attributes.attributes.values()
    return next((one.name for one in attributes if one.kind == "boolean" and words & set(name_words(one.name))), "")


def _is_true(text: str) -> bool:
    return text.strip().casefold() in ("true", "yes", "1", "y", "t", "on")
