"""Conversations over an invented catalogue: constraints that merge, questions, criticism, and nothing that fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from benchmarks.language_constraints import WISHES, read_catalogue
from mmrec.contract.conversation import Constraint, ConversationState, ConversationTurn, ConverseRequest
from mmrec.contract.items import ScoredItem
from mmrec.errors import InvalidArgumentError
from mmrec.filters.filter import CatalogueFilter
from mmrec.language.attributes import Attributes
from mmrec.language.dialogue import Dialogue, DialogueConfig, Wanted, merged
from mmrec.language.parser import WishParser

FILMS = read_catalogue(WISHES / "films.csv")
FILTERS = CatalogueFilter(FILMS)
NO_QUESTIONS = DialogueConfig(max_questions=0)


@cache
def _parser() -> WishParser:
    return WishParser(Attributes(FILMS))


def _first(wanted: Wanted) -> Sequence[ScoredItem]:
    """The first items of the catalogue that may be shown."""
    rows = np.flatnonzero(FILTERS.bitmap(wanted.filter))
    left = [row for row in rows.tolist() if FILMS.item_ids[row] not in wanted.deny]
    return [ScoredItem(FILMS.record(row), 1.0) for row in left[: wanted.request.k]]


def _talk(
    *said: str, config: DialogueConfig = NO_QUESTIONS, state: ConversationState | None = None, **fields: object
) -> list[ConversationTurn]:
    """A conversation; keyword arguments are fields of its requests."""
    dialogue = Dialogue(FILMS, FILTERS, _parser(), config)
    turns: list[ConversationTurn] = []
    state = state or ConversationState()
    for text in said:
        turns.append(dialogue.turn(ConverseRequest(text, state, **fields), _first))  # type: ignore[arg-type]
        state = turns[-1].state
    return turns


def _conditions(turn: ConversationTurn) -> list[str]:
    return [one.condition for one in turn.constraints]


def test_what_is_suggested_meets_every_constraint_and_the_callers_condition() -> None:
    (turn,) = _talk("a comedy of at most two hours", filter='language = "English"', k=10)
    assert _conditions(turn) == ['genres:"Comedy"', "runtime <= 120"]
    assert turn.item_ids == ("f4", "f5")


def test_an_item_that_was_shown_or_is_in_the_history_is_never_shown() -> None:
    history = FILMS.item_ids[:5]
    turns = _talk(*["another one"] * 25, history=history)
    shown = [item_id for turn in turns for item_id in turn.item_ids]
    assert len(shown) == len(set(shown)) == 25
    assert not set(shown) & set(history)


def test_when_every_item_was_shown() -> None:
    turn = _talk("another one", history=FILMS.item_ids)[0]
    assert (turn.items, turn.text) == ((), "There is nothing left that I could suggest.")


def test_when_nothing_can_fit_it_is_said_with_what_stands_in_the_way() -> None:
    (turn,) = _talk("a western of at most twenty minutes")
    assert turn.items == ()
    assert turn.asked_column == ""
    assert turn.text.startswith("Nothing in the catalogue fits all of this: genres Western; runtime at most 20.")
    assert "Without runtime at most 20 there would be" in turn.text
    assert "?" not in turn.text


def test_a_reading_that_is_not_sure_does_not_rule_everything_out() -> None:
    doubtful = Constraint("language", 'language = "Klingon"', "kling", 0.7)
    sure = replace(doubtful, confidence=0.9)
    assert _talk("a comedy", state=ConversationState(constraints=(doubtful,)))[0].items
    assert _talk("a comedy", state=ConversationState(constraints=(sure,)))[0].items == ()


def test_a_later_value_of_a_column_with_one_value_takes_the_place_of_the_old_one() -> None:
    turns = _talk("a French film", "no, a Korean one")
    assert _conditions(turns[-1]) == ['language = "Korean"']


def test_a_later_value_of_a_list_joins_the_old_one_unless_it_is_wanted_instead() -> None:
    assert _conditions(_talk("a comedy", "with romance")[-1]) == ['genres:"Comedy"', 'genres:"Romance"']
    assert _conditions(_talk("a comedy", "romance instead")[-1]) == ['genres:"Romance"']


def test_a_later_negation_takes_back_what_it_names() -> None:
    assert _conditions(_talk("a comedy", "no comedy, please")[-1]) == ['NOT genres:"Comedy"']
    assert _conditions(_talk("no comedy", "a comedy after all")[-1]) == ['genres:"Comedy"']


def test_criticism_tightens_relative_to_the_item_that_was_shown() -> None:
    turns = _talk("something", "too long", filter='item_id = "f1" OR runtime < 100')
    assert turns[0].item_ids == ("f1",)
    assert _conditions(turns[1]) == ["runtime < 142"]


def test_that_is_no_comedy_asks_for_one_where_the_item_is_none() -> None:
    turns = _talk("something", "that is not a comedy", filter='item_id = "f1" OR genres:"Comedy"')
    assert _conditions(turns[1]) == ['genres:"Comedy"']


def test_criticism_asks_how_far_to_go_once() -> None:
    turns = _talk("a film", "too long", "at most 110 minutes", "too long")
    assert turns[1].asked_column == "runtime"
    assert turns[1].items == ()
    assert _conditions(turns[2]) == ["runtime <= 110"]
    assert turns[3].asked_column == ""


def test_questions_are_about_different_columns_and_only_a_few() -> None:
    turns = _talk(*["I don't mind"] * 7, config=DialogueConfig(max_questions=4))
    asked = [turn.asked_column for turn in turns]
    assert all(asked[:4])
    assert len(set(asked[:4])) == 4
    assert asked[4:] == ["", "", ""]
    assert all(turn.text.endswith("?") for turn in turns[:4])
    assert all(turn.items for turn in turns[4:])


def test_a_column_that_something_holds_on_is_not_asked_about() -> None:
    turns = _talk("a comedy", *["up to you"] * 4, config=DialogueConfig(), filter='language = "English"')
    assert not {"genres", "language"} & {turn.asked_column for turn in turns}


def test_a_bare_number_answers_the_question() -> None:
    state = ConversationState(question="score", asked_columns=("score",))
    (turn,) = _talk("7", state=state)
    assert _conditions(turn) == ["score >= 7"]


def test_nothing_is_asked_of_a_customer_who_insists() -> None:
    (turn,) = _talk("please just pick one", config=DialogueConfig())
    assert len(turn.items) == 1


def test_an_offered_constraint_is_taken_by_a_yes_and_dropped_by_anything_else() -> None:
    offered = (Constraint("genres", 'genres:"Horror"', "eerie", 0.6),)
    state = ConversationState(offered=offered)
    assert _conditions(_talk("yes, please", state=state)[0]) == ['genres:"Horror"']
    assert _conditions(_talk("no", state=state)[0]) == []


def test_sponsored_items_are_called_so_and_others_are_not() -> None:
    turns = _talk(*["another one"] * len(FILMS))
    for turn in turns:
        paid = turn.items[0].item.attributes["promoted"] == "true"
        assert ("sponsored" in turn.text) == paid
    assert any("sponsored" in turn.text for turn in turns)


def test_a_chip_that_the_client_removed_or_added() -> None:
    state = _talk("a French comedy")[0].state
    edited = replace(state, constraints=(Constraint("language", 'language = "Danish"'),))
    (turn,) = _talk("go on", state=edited, k=10)
    assert {scored.item.attributes["language"] for scored in turn.items} == {"Danish"}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"filter": "no_such_column = 1"}, "filter"),
        ({"sponsored_column": "runtime"}, "sponsored_column"),
        ({"state": ConversationState(constraints=(Constraint("x", "runtime <"),))}, "state.constraints[0].filter"),
        ({"state": ConversationState(offered=(Constraint("x", "shoes = 1"),))}, "state.offered[0].filter"),
    ],
)
def test_conditions_that_do_not_fit_the_catalogue(fields: dict[str, object], field: str) -> None:
    dialogue = Dialogue(FILMS, FILTERS, _parser())
    with pytest.raises(InvalidArgumentError) as refused:
        dialogue.turn(ConverseRequest("hello", **fields), _first)  # type: ignore[arg-type]
    assert refused.value.violations[0].field == field


def test_both_ends_of_a_range_stay_and_a_new_bound_replaces_the_old_one_of_its_side() -> None:
    old = (Constraint("runtime", "runtime >= 90"), Constraint("runtime", "runtime <= 120"))
    new = (Constraint("runtime", "runtime <= 100"),)
    assert [one.condition for one in merged(old, new)] == ["runtime >= 90", "runtime <= 100"]
