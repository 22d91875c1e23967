"""Rows by id, extended as a catalogue grows, equal sorting all ids again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.recommender import id_order
from mmrec.recommender.id_order import IdOrder

ids = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6), unique=True, max_size=40)


def _sorted(item_ids: list[str]) -> list[int]:
    return sorted(range(len(item_ids)), key=item_ids.__getitem__)


@given(ids, st.lists(st.integers(0, 40), max_size=5))
def test_rows_are_in_the_order_of_their_ids_however_the_catalogue_has_grown(
    item_ids: list[str], lengths: list[int]
) -> None:
    order = IdOrder()
    # A shorter one is asked for again after a longer one: a question that has begun goes on with its own.
    for length in (*sorted(lengths), len(item_ids), *lengths):
        here = item_ids[:length]
        assert order.rows(here).tolist() == _sorted(here)


@pytest.mark.parametrize("most_placed", [0, 1000])
def test_new_rows_get_their_places_one_by_one_or_by_sorting(monkeypatch: pytest.MonkeyPatch, most_placed: int) -> None:
    monkeypatch.setattr(id_order, "MOST_INSERTED", most_placed)
    order, item_ids = IdOrder(), ["m", "\U0001f600", "a", "z\u00e9"]
    assert order.rows(item_ids).tolist() == [2, 0, 3, 1]
    assert order.rows([*item_ids, "b", "\uffff"]).tolist() == [2, 4, 0, 3, 5, 1]


@given(ids, st.text(st.characters(exclude_categories=["Cs"]), max_size=3), st.integers(1, 5), st.data())
def test_the_first_rows_after_an_id_that_pass(item_ids: list[str], last: str, most: int, data: st.DataObject) -> None:
    passing = data.draw(st.lists(st.booleans(), min_size=len(item_ids), max_size=len(item_ids)))
    found = IdOrder().after(item_ids, last, np.array(passing, np.bool_), most)
    expected = [row for row in _sorted(item_ids) if passing[row] and item_ids[row] > last]
    assert found.tolist() == expected[:most]


def test_rows_far_down_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_order, "LEAST_WINDOW", 2)
    item_ids = [f"{number:04}" for number in range(500)]
    passing_N = np.zeros(500, np.bool_)
    passing_N[[3, 490, 499]] = True
    assert IdOrder().after(item_ids, "0003", passing_N, 1).tolist() == [490]
    assert IdOrder().after(item_ids, "0003", passing_N, 5).tolist() == [490, 499]
    assert IdOrder().after(item_ids, "9", passing_N, 5).tolist() == []
