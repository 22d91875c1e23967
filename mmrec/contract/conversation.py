"""A conversation with a customer: what is said, what is answered, and the state that the client carries along.

The engine keeps nothing between two turns: each reply holds the whole state, and the client sends it back with the next
words, changed or not. Knows nothing of protobuf, torch or files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from mmrec.contract.items import NO_VERSIONS, ScoredItem, Versions
from mmrec.contract.rules import (
    MAX_FILTER_CHARS,
    MAX_HISTORY,
    Checked,
    Doc,
    Each,
    Flag,
    Id,
    Ids,
    Instance,
    Picture,
    Share,
    Size,
    Text,
    Whole,
)
from mmrec.errors import InvalidArgumentError

MAX_SAID_CHARS = 2_000
"""Longest message of a customer, in characters."""
MAX_CONSTRAINTS = 50
"""Most constraints of a conversation."""
MAX_TURNS = 200
"""Most messages of a customer in one conversation."""
MAX_TALKED_ITEMS = 10
"""Most items in one turn."""


@dataclass(frozen=True, slots=True)
class Constraint(Checked):
    """A condition that a customer's words state."""

    column: Annotated[str, Id(), Doc("The column that it is about; empty where it is about several.")] = ""
    condition: Annotated[
        str, Text(MAX_FILTER_CHARS), Doc("The condition in the language of filters, as in `price < 50`.")
    ] = ""
    words: Annotated[str, Text(MAX_SAID_CHARS), Doc("The words that state it; empty where a client added it.")] = ""
    confidence: Annotated[float, Share(), Doc("How sure the reading is, 0 to 1.")] = 1.0
    negated: Annotated[bool, Flag(), Doc("Whether it names what is not wanted.")] = False

    def _check_together(self) -> None:
        if not self.condition.strip():
            raise InvalidArgumentError(
                "condition is empty; write one such as price < 50, or leave the constraint out", field="condition"
            )


_CONSTRAINTS = Each(Instance((Constraint,), "mmrec.Constraint values"), "mmrec.Constraint values", MAX_CONSTRAINTS)


@dataclass(frozen=True, slots=True)
class ConversationState(Checked):
    """Everything that a conversation has come to. The client keeps it and may edit it."""

    constraints: Annotated[
        tuple[Constraint, ...], _CONSTRAINTS, Doc("What the customer wants, oldest first; all of them hold.")
    ] = ()
    shown_ids: Annotated[tuple[str, ...], Ids(MAX_HISTORY), Doc("Items of the last turn that showed some.")] = ()
    rejected_ids: Annotated[
        tuple[str, ...], Ids(MAX_HISTORY), Doc("Items that were shown before; they are never shown again.")
    ] = ()
    asked_columns: Annotated[
        tuple[str, ...], Ids(MAX_CONSTRAINTS), Doc("Columns that the customer was asked about, oldest first.")
    ] = ()
    question: Annotated[str, Id(), Doc("The column that the last turn asked about; empty for none.")] = ""
    offered: Annotated[
        tuple[Constraint, ...], _CONSTRAINTS, Doc("Constraints that the customer was last asked to confirm.")
    ] = ()
    wish: Annotated[
        str, Text(MAX_SAID_CHARS), Doc("Words of the customer that no filter expresses; they steer the choice.")
    ] = ""
    turns: Annotated[
        int,
        Whole(0, MAX_TURNS),
        Doc("Messages of the customer so far, at most 200."),
    ] = 0


NO_STATE = ConversationState()
"""The state at the beginning."""
BEGINNING = "Hello"
"""A message that stands for none, where a conversation is made before anything is said."""


@dataclass(frozen=True, slots=True)
class ConverseRequest(Checked):
    """What a customer says, and how the conversation stands."""

    text: Annotated[str, Text(MAX_SAID_CHARS), Doc("What the customer says, at most 2,000 characters.")] = ""
    state: Annotated[
        ConversationState,
        Instance((ConversationState,), "a mmrec.ConversationState"),
        Doc("The state of the last reply, as it was or edited; empty at the beginning."),
    ] = NO_STATE
    history: Annotated[
        tuple[str, ...],
        Ids(None, MAX_HISTORY),
        Doc("Item ids the customer has acted on, oldest first; they are never shown. Only the last 1,000 are read."),
    ] = ()
    user_id: Annotated[str, Id(), Doc("A user with a stored history, which is put before `history`; may be empty.")] = (
        ""
    )
    filter: Annotated[
        str,
        Text(MAX_FILTER_CHARS),
        Doc("A condition of the caller that always holds, whatever the customer says; empty for none."),
    ] = ""
    image: Annotated[
        bytes | None, Picture(), Doc("A picture that the customer shows (JPEG, PNG, WebP, GIF, BMP), or its path.")
    ] = None
    k: Annotated[
        int,
        Size(1, MAX_TALKED_ITEMS),
        Doc("Most items in one turn; 0 means 1, more than 10 is coerced to it."),
    ] = 1
    sponsored_column: Annotated[
        str,
        Id(),
        Doc("A column of true and false that says which items are sponsored; empty: found by its name."),
    ] = ""

    def _check_together(self) -> None:
        if not self.text.strip() and self.image is None:
            raise InvalidArgumentError("neither text nor image is given; pass what the customer says", field="text")
        if self.state.turns >= MAX_TURNS:
            raise InvalidArgumentError(
                f"state.turns is {self.state.turns}; a conversation has at most {MAX_TURNS} turns: begin another one",
                field="state.turns",
            )


@dataclass(frozen=True, slots=True)
class ConversationTurn:
    """What is answered.

    Attributes:
        text: What to say; of a piece of a turn, the next part of it.
        items: Items that the text recommends, best first; none where it asks, or where nothing fits.
        state: The state to send with the next words.
        asked_column: The column that the text asks about; empty where it asks about none.
        done: Whether the turn is complete; of the pieces of a turn, the last one has it, and everything but the text.
        missing_ids: Ids of the request that the catalogue lacks, in order of first appearance.
        versions: What the reply was made with.
        worded: Whether a language model worded the text or a part of it; otherwise it is made from templates.
    """

    text: str
    items: tuple[ScoredItem, ...] = ()
    state: ConversationState = NO_STATE
    asked_column: str = ""
    done: bool = True
    missing_ids: tuple[str, ...] = ()
    versions: Versions = NO_VERSIONS
    worded: bool = False

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Ids of the items, best first."""
        return tuple(scored.item_id for scored in self.items)

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """What the customer wants, as far as it was understood."""
        return self.state.constraints
