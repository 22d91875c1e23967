"""The checker of worded explanations: what evidence says is accepted in many wordings, anything else is rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mmrec.contract.engine import Stop, never
from mmrec.contract.items import Statement, StatementKind
from mmrec.language.checker import EvidenceChecker
from mmrec.language.rewording import word
from mmrec.language.sentences import plain_sentence

TITLES = {
    "1": "Red Kettle",
    "2": "Café Crème Bowl (2019)",
    "3": "Dr. Who's Lamp, No. 5",
    "4": "It",
    "5": "Old Mill, The",
    "6": "",
    "7": "Really Loud!",
}
COLUMNS = ("material", "made_for", "kind")
NAMES = (*TITLES.values(), "You Like It Here", "steel", "Blue Kettle")


def title_of(item_id: str) -> str:
    return TITLES[item_id]


def made(kind: StatementKind, *args: object, popular: bool = False, **fields: object) -> Statement:
    statement = Statement(kind, "", *args, **fields)  # type: ignore[arg-type]
    return replace(statement, text=plain_sentence(statement, title_of, popular=popular))


HISTORY = made(StatementKind.HISTORY, ("1", "2"))
TOGETHER = made(StatementKind.TOGETHER, ("3",), count=42)
STEEL = made(StatementKind.ATTRIBUTE, ("1", "2", "3", "5"), "material", "Stainless Steel")
PICTURE = made(StatementKind.PICTURE, ("5",))
WORDS = made(StatementKind.WORDS, ("6",))
POPULAR = made(StatementKind.POPULARITY, count=1234, popular=True)
CHOSEN = made(StatementKind.POPULARITY, count=1234)
NEW = made(StatementKind.NEW_ITEM)
PROMOTION = made(StatementKind.PROMOTION)
NAMED_IT = made(StatementKind.HISTORY, ("4",))
LOUD = made(StatementKind.HISTORY, ("7",))
EVERY = (HISTORY, TOGETHER, STEEL, PICTURE, WORDS, POPULAR, CHOSEN, NEW, PROMOTION, NAMED_IT)
CHECKER = EvidenceChecker(title_of, NAMES, COLUMNS)


def test_the_plain_sentences() -> None:
    assert [statement.text for statement in EVERY] == [
        'Suggested because of "Red Kettle" and "Café Crème Bowl (2019)" in your history.',
        '42 customers who chose "Dr. Who\'s Lamp, No. 5" chose this too.',
        'Like "Red Kettle", "Café Crème Bowl (2019)" and 2 more from your history, it has "Stainless Steel" as its '
        "material.",
        'Its picture resembles that of "Old Mill, The" from your history.',
        'Its text resembles that of "6" from your history.',
        "It is popular: 1,234 customers chose it.",
        "1,234 customers chose it.",
        "It is new here.",
        "It is a promoted item.",
        'Suggested because of "It" in your history.',
    ]


@pytest.mark.parametrize("statement", EVERY, ids=lambda statement: statement.text[:30])
def test_a_plain_sentence_is_accepted_in_any_case(statement: Statement) -> None:
    assert CHECKER.check(statement.text, [statement]) is None
    assert CHECKER.check(statement.text.upper(), [statement]) is None


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("You chose red kettles and the cafe creme bowl, so here is something similar", None),
        ("Because you liked cafe creme bowl.", HISTORY),
        ("We think this goes well with your Red Kettle!", HISTORY),
        ("Forty-two people who picked Dr Whos lamp no 5 also chose this.", TOGETHER),
        ("It shares its material with Red Kettle and 3 more: stainless steel.", STEEL),
        ("Its look is close to that of The Old Mill.", PICTURE),
        ("One thousand two hundred and thirty-four customers chose this.", CHOSEN),
        ("This one is new.", NEW),
        ("Sponsored.", PROMOTION),
        ('Suggested because of "Really Loud!" in your history.', LOUD),
        ("Since you liked Really Loud! from your history.", LOUD),
    ],
)
def test_other_words_for_the_same_are_accepted(text: str, statement: Statement | None) -> None:
    assert (CHECKER.check(text, [statement or HISTORY]) is None) == (statement is not None)


@pytest.mark.parametrize(
    ("text", "statement", "found"),
    [
        ("Because you liked Blue Kettle.", HISTORY, "Blue"),
        ("Because you liked Red Kettle Deluxe.", HISTORY, "Deluxe"),
        ("Because you liked Red Kettle and Dr. Who's Lamp, No. 5.", HISTORY, "Dr"),
        ("Because you chose You Like It Here and Red Kettle.", HISTORY, "You Like It Here"),
        ('Because you chose "It" and Red Kettle.', HISTORY, "It"),
        ("Because you chose It.", HISTORY, "It"),
        ("43 customers who chose Dr. Who's Lamp, No. 5 chose this too.", TOGETHER, "43"),
        ("Forty-three customers who chose Dr. Who's Lamp, No. 5 chose this too.", TOGETHER, "Forty - three"),
        ("Most customers who chose Dr. Who's Lamp, No. 5 chose this too.", TOGETHER, "Most"),
        ("42% of the customers who chose Dr. Who's Lamp, No. 5 chose this too.", TOGETHER, "42 %"),
        ("Like Red Kettle and 2 more, its material is stainless steel.", STEEL, "2"),
        ("Like Red Kettle, its material is brass.", STEEL, "brass"),
        ("Like Red Kettle, its kind is stainless steel.", STEEL, "kind"),
        ("Like Red Kettle, its material is not stainless steel.", STEEL, "not"),
        ("Like Red Kettle, its material isn't stainless steel.", STEEL, "isn't"),
        ("Unlike Red Kettle, its material is stainless steel.", STEEL, "Unlike"),
        ("Like Red Kettle, its material is stainless steel and it is cheap.", STEEL, "cheap"),
        ("Its picture resembles that of Red Kettle.", STEEL, "picture"),
        ("Its picture never resembles that of Old Mill, The.", PICTURE, "never"),
        ("It is popular: 1,234 customers chose it.", CHOSEN, "popular"),
        ("1,234 customers chose it.", NEW, "1,234"),
        ("It is new here.", HISTORY, "new"),
        ("Red Kettle is suggested because of your history.", HISTORY, "Red Kettle"),
        ("You already chose this, like Red Kettle.", HISTORY, "this"),
        ("You will enjoy this.", HISTORY, ""),
        ("", HISTORY, ""),
        ("Because you liked Red Kettle. It is a masterpiece.", HISTORY, "masterpiece"),
    ],
)
def test_what_the_evidence_does_not_hold_is_rejected_and_named(text: str, statement: Statement, found: str) -> None:
    rejection = CHECKER.check(text, [statement])
    assert rejection is not None
    assert rejection.found == found
    assert rejection.reason


def test_each_sentence_rests_on_one_statement() -> None:
    both = "Because you liked Red Kettle. Its picture is close to that of The Old Mill."
    assert CHECKER.check(both, [HISTORY, PICTURE]) is None
    swapped = "Because you liked The Old Mill. Its picture is close to that of Red Kettle."
    assert CHECKER.check(swapped, [HISTORY, PICTURE]) is not None
    mixed = "Like Red Kettle, its picture is close to that of The Old Mill."
    assert CHECKER.check(mixed, [HISTORY, PICTURE]) is not None
    assert CHECKER.check(both, []) is not None


class Writer:
    """Answers from a table; `asked` has the sentences that it was given."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def reword(self, sentences: Sequence[str], stop: Stop = never) -> list[str]:
        self.asked += sentences
        return self.answers


def test_a_language_model_s_words_are_taken_if_the_evidence_holds_and_else_the_plain_sentence_stays() -> None:
    writer = Writer("You liked  Red Kettle,\nso this may suit you.", "All 99 friends of Old Mill love its picture!")
    worded = word((PROMOTION, HISTORY, PICTURE), writer, CHECKER, title_of)
    assert writer.asked == [
        'Suggested because of "X" and "Y" in your history.',
        'Its picture resembles that of "X" from your history.',
    ]
    assert [one.text for one in worded] == [
        "It is a promoted item.",
        "You liked Red Kettle, so this may suit you.",
        'Its picture resembles that of "Old Mill, The" from your history.',
    ]
    assert [one.worded for one in worded] == [False, True, False]
    assert [one.item_ids for one in worded] == [(), ("1", "2"), ("5",)]


def test_a_language_model_that_answers_too_little_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        word((HISTORY, PICTURE), Writer("You liked Red Kettle."), CHECKER, title_of)
