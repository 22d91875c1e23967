"""What is told of a wish: the item's own value, where the item meets the condition by it."""

from __future__ import annotations

import pytest

from mmrec.contract.items import Statement, StatementKind
from mmrec.language.checker import EvidenceChecker
from mmrec.language.statements import ItemEvidence, WishEvidence, ranked_statements, wish_evidence

ITEM = {"genres": "Comedy|Crime", "runtime": "95", "language": "English", "note": "x" * 90, "empty": " "}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('genres:"crime"', WishEvidence("genres", "Crime", True)),
        ('(genres:"Crime" OR genres:"Drama")', WishEvidence("genres", "Crime", True)),
        ("runtime <= 120", WishEvidence("runtime", "95", False)),
        ('language IN ("English", "French")', WishEvidence("language", "English", False)),
        ('NOT genres:"Horror"', None),
        ('language != "French"', None),
        ('genres:"Comedy" OR runtime < 100', None),
        ('note:"x"', None),
        ('empty = ""', None),
        ('title = "Heat"', None),
    ],
)
def test_the_value_that_meets_a_condition(condition: str, expected: WishEvidence | None) -> None:
    assert wish_evidence(condition, ITEM) == expected


def test_wishes_come_first_after_a_promotion_two_at_most() -> None:
    wishes = [
        WishEvidence("genres", "Crime", True),
        WishEvidence("runtime", "95", False),
        WishEvidence("a", "b", False),
    ]
    evidence = ItemEvidence({"h": 2.0}, None, (), (), 3, False, 0.5, 0.0, False, True, 0.1, wishes, 0.25)
    found = ranked_statements(evidence, lambda item_id: "Heat")
    assert [one.text for one in found] == [
        "It is a promoted item.",
        'As you wished, it has "Crime" among its genres.',
        'As you wished, it has "95" as its runtime.',
        'Suggested because of "Heat" in your history.',
        "3 customers chose it.",
    ]
    assert found[1] == Statement(StatementKind.WISH, found[1].text, (), "genres", "Crime", share=0.25)


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ('As you wished, it has "Crime" among its genres.', True),
        ("You asked for Crime among the genres.", True),
        ("You asked for Comedy among the genres.", False),
        ("You asked for Crime, and it is popular.", False),
    ],
)
def test_other_words_for_a_wish(text: str, accepted: bool) -> None:
    wish = Statement(StatementKind.WISH, "", (), "genres", "Crime")
    checker = EvidenceChecker(lambda item_id: item_id, (), ITEM)
    assert (checker.check(text, [wish]) is None) == accepted
    attribute = Statement(StatementKind.ATTRIBUTE, "", ("1",), "genres", "Crime")
    assert checker.check("As you wished, it has Crime among its genres.", [attribute]) is not None
