"""How a whole column is read: what its values agree on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.catalogue.column_kinds import tally_of, text_reason


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([], "text"),
        (["", " "], "text"),
        (["5", "", "7.5"], "number"),
        (["1.299", "0.5"], "number"),
        (["1.299", "12,99"], "number-comma"),
        (["1.299", "2,499"], "text"),
        (["1,299", "7"], "text"),
        (["1,299", "12.5"], "number"),
        (["1,299", "12,5"], "number-comma"),
        (["5 EUR", "7 €", "9"], "number"),
        (["5 EUR", "7 USD"], "text"),
        (["10%", "7%"], "number"),
        (["10%", "7"], "text"),
        (["05/06/2024", "06/05/2024"], "text"),
        (["05/06/2024", "31/05/2024"], "date-dmy"),
        (["05/06/2024", "05/31/2024"], "date-mdy"),
        (["05/06/2024", "2024-05-31"], "text"),
        (["31/05/2024", "05/31/2024"], "text"),
        (["2024-05-31", "May 31, 2024"], "date"),
        (["yes", "true"], "boolean"),
        (["yes", "7"], "text"),
        (["a|b", "c", "5"], "list"),
        (["2024-05-31", "5"], "text"),
    ],
)
def test_the_kind_of_a_column(values: list[str], kind: str) -> None:
    assert tally_of(values).kind == kind


@pytest.mark.parametrize(
    ("values", "says", "row"),
    [
        (["", "5", "7", "on request"], "it holds 'on request'", 3),
        (["5 EUR", "7 USD"], "its amounts are in EUR and USD", 1),
        (["7", "1,299"], "'1,299' and all others can be read with a decimal point and with a decimal comma", 1),
        (["05/06/2024"], "'05/06/2024' and all others can be read with the day first and with the month first", 0),
        (["", "red"], "", 1),
        ([""], "", None),
    ],
)
def test_why_a_column_is_text(values: list[str], says: str, row: int | None) -> None:
    assert text_reason(tally_of(values), values) == (says, row)


TEXTS = st.sampled_from(
    ["", "5", "1,299", "12.5", "5 EUR", "7 USD", "10%", "31/05/2024", "05/06/2024", "yes", "a|b", "x"]
)


@given(st.lists(TEXTS, max_size=8), st.lists(st.tuples(st.integers(0, 7), TEXTS), max_size=8))
def test_counts_that_are_carried_on_say_what_new_ones_say(values: list[str], changes: list[tuple[int, str]]) -> None:
    tally = tally_of(values)
    for row, text in changes:
        if row < len(values):
            tally = tally.updated([(row, text)], [values[row]])
            values = [*values[:row], text, *values[row + 1 :]]
    anew = tally_of(values)
    assert (tally.counts, tally.kind, tally.meaning) == (anew.counts, anew.kind, anew.meaning)
    assert text_reason(tally, values) == text_reason(anew, values)
