from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.contract.items import ItemInput
from mmrec.errors import InvalidArgumentError
from mmrec_serving.change_log import Change, Delete, StoreFolder, Upsert
from mmrec_serving.change_log.rows import COLUMNS, checksum, from_microseconds, pack, to_microseconds, unpack
from tests.serving.change_log.making import upsert

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ids = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
upserts_of_anything = st.builds(
    Upsert,
    item_id=ids,
    item=st.builds(
        ItemInput,
        title=texts.map("x".__add__),
        description=texts,
        image=st.none() | st.binary(min_size=1, max_size=40),
        attributes=st.dictionaries(texts, texts, max_size=3),
    ),
    payload=st.binary(max_size=40),
    encoder_version=texts,
    fields=st.lists(st.just("title") | ids.map("attributes.".__add__), max_size=3),
)


@given(upserts_of_anything | ids.map(Delete))
def test_any_change_comes_back_as_it_was(change: Change) -> None:
    assert unpack(pack(change)) == change


@pytest.mark.parametrize("at", range(len(COLUMNS)))
def test_a_row_with_another_value_anywhere_is_not_read(at: int) -> None:
    row = list(pack(upsert("a", description="blue", image=b"picture", fields=("title",))))
    row[at] = {int: 7, str: "other", bytes: b"other"}[type(row[at])]
    with pytest.raises(ValueError, match="its checksum is another"):
        unpack(row)


def test_a_row_that_never_was_a_change_is_not_read() -> None:
    content = ("", 1, None, None, None, None, None, None, None)
    with pytest.raises(ValueError, match="item_id is empty"):
        unpack((*content, checksum(content)))


def test_the_checksum_tells_kinds_and_borders_of_values_apart() -> None:
    assert len({checksum(values) for values in ([], [None], [""], [b""], ["1"], [1], ["1", ""], ["", "1"])}) == 8


def test_moments_are_kept_to_the_microsecond_in_any_zone() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=5)))
    assert from_microseconds(to_microseconds(moment)) == moment
    assert from_microseconds(0) == datetime(1970, 1, 1, tzinfo=UTC)
    with pytest.raises(InvalidArgumentError, match="has no time zone"):
        to_microseconds(datetime(2026, 1, 2))


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_a_place_that_breaks_a_rule_is_refused(seconds: float) -> None:
    with pytest.raises(InvalidArgumentError, match=f"busy_timeout_s is {seconds}"):
        StoreFolder(Path("store"), seconds)
