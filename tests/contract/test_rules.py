"""What the fields of requests declare, and what is made of it: checks with a path, descriptions, exact forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest

from mmrec.contract import changes, items, requests
from mmrec.contract.rules import Checked, Doc, Each, Flag, Id, Ids, Share, Size, Text, Whole, field_rules
from mmrec.errors import InvalidArgumentError

REQUESTS = [
    kind
    for module in (requests, changes, items)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Checked) and kind is not Checked
]


@dataclass(frozen=True, slots=True)
class Order(Checked):
    amount: Annotated[int, Size(3, 5), Doc("How many.")] = 3
    note: Annotated[str | None, Text(4), Doc("For the parcel."), Doc("What is written on it.")] = None
    free: object = None

    def _check_together(self) -> None:
        if self.note == "none" and self.amount > 4:
            raise InvalidArgumentError("note is 'none' and amount is over 4", field="note")


def test_a_field_declares_its_rule_and_its_description() -> None:
    amount, note, free = field_rules(Order)
    assert (amount.name, amount.rule, amount.doc, amount.optional) == ("amount", Size(3, 5), "How many.", False)
    assert (note.doc, note.optional) == ("What is written on it.", True)
    assert (free.rule, free.doc) == (None, "")


def test_values_are_checked_and_get_their_one_exact_form() -> None:
    assert Order(0) == Order(3)
    assert Order(np.int64(9)).amount == 5  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="note has 5 characters; at most 4 are accepted: shorten it"):
        Order(note="x" * 5)
    with pytest.raises(InvalidArgumentError, match="over 4") as refused:
        Order(5, "none")
    assert refused.value.violations[0].field == "note"


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: kind.__name__)
def test_every_field_of_a_request_says_what_it_is_for(kind: type[Any]) -> None:
    assert [field.name for field in field_rules(kind) if not field.doc] == []


@pytest.mark.parametrize(
    ("rule", "value", "field", "says"),
    [
        (Whole(), -1, "x", "x is -1; it must be 0 or more"),
        (Whole(1, 16), 17, "x", "x is 17; it must lie between 1 and 16"),
        (Whole(), 1.0, "x", "x is 1.0; it must be a whole number, 0 or more"),
        (Size(10), -1, "x", "x is -1; it must be 0 or more (0 means the default of 10)"),
        (Size(0), -1, "x", "x is -1; it must be 0 or more (0 means that the server chooses)"),
        (Share(), 1.5, "x", "x is 1.5; it must lie between 0 and 1"),
        (Flag(), 1, "x", "x is 1; it must be True or False"),
        (Id(), 7, "x", "x is 7 (int); ids are strings, so pass '7'"),
        (Id(empty="name it"), "", "x", "x is empty; name it"),
        (Id(new=True), "a\tb", "x", "x 'a\\tb' has the control character U+0009"),
        (Ids(1), ["a", "b"], "x", "x has 2 ids; at most 1 are accepted"),
        (Ids(None, last=2), ["a", "b", 7], "x[2]", "x[2] is 7 (int); ids are strings"),
        (Each(Text(), "names", 1, "ask in parts"), ["a", "b"], "x", "x has 2 entries; at most 1 are accepted: ask in"),
        (Each(Each(Whole(), "codes"), "paths"), [[1], [2, -3]], "x[1][1]", "x[1][1] is -3; it must be 0 or more"),
        (Each(Text(), "names"), "ab", "x", "x is the single string 'ab'; pass a list of names, as in ['ab']"),
    ],
)
def test_a_refusal_names_the_path_the_value_and_the_rule(rule: Any, value: object, field: str, says: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        rule.check(value, "x")
    assert refused.value.message.startswith(says)
    assert [violation.field for violation in refused.value.violations] == [field]
