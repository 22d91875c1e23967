"""Values that no request could name, told one by one and by column."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.data.value_limits import limit_problem, rows_over_limits


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("item_id", "x" * 513, "item_id has 513 characters; an id has at most 512"),
        ("user_id", "x" * 513, "user_id has 513 characters; an id has at most 512"),
        ("title", "x" * 100_001, "title has 100,001 characters; at most 100,000 are accepted: shorten it"),
        ("item_id", "\ud800", "item_id holds half of a surrogate pair at character 0"),
        ("item_id", "a\x1bb", "item_id 'a\\x1bb' has the control character U+001B"),
        ("user_id", "a\n", "user_id 'a\\n' has the control character U+000A"),
        ("item_id", "\x85", "has the control character U+0085"),
    ],
)
def test_a_value_that_no_request_could_name_is_told(column: str, value: str, message: str) -> None:
    assert message in limit_problem(column, value)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("item_id", "x" * 512),
        ("item_id", ""),
        ("item_id", "ab\u00adc\u2028"),
        ("title", "two\nlines"),
        ("size", "x" * 513),
    ],
)
def test_a_value_that_requests_take_has_no_problem(column: str, value: str) -> None:
    assert limit_problem(column, value) == ""
    assert rows_over_limits(column, pa.array([value])) == []


LONG = st.builds(
    lambda text, times: text * times, st.text(st.characters(exclude_categories=["Cs"]), max_size=4), st.integers(1, 300)
)


@given(st.lists(LONG, max_size=8))
def test_the_rows_of_a_column_are_those_that_are_told_one_by_one(values: list[str]) -> None:
    expected = [row for row, value in enumerate(values) if limit_problem("item_id", value)]
    assert rows_over_limits("item_id", pa.array(values, pa.large_string())) == expected
    chunked = pa.chunked_array([values[:3], values[3:]], pa.string())
    assert rows_over_limits("item_id", chunked) == expected
