from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.errors import InvalidArgumentError
from mmrec.semantic_ids.decode_index import build_decode_index
from mmrec.semantic_ids.path_lookup import check_path, parse_path, path_range, print_path

CODES = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=8).map(tuple)


@given(CODES)
def test_what_is_printed_is_read_back(codes: tuple[int, ...]) -> None:
    assert parse_path(print_path(codes)) == codes


@given(st.text("0123456789/- +_.x٣", max_size=12))
def test_a_path_is_written_in_one_way_only(text: str) -> None:
    try:
        codes = parse_path(text)
    except InvalidArgumentError:
        assert not re.fullmatch(r"[0-9]{1,9}(/[0-9]{1,9})*", text, re.ASCII) or re.search(r"\b0[0-9]", text)
    else:
        assert print_path(codes) == text


def test_a_path_as_people_write_it() -> None:
    assert parse_path("12/200/7") == (12, 200, 7)
    assert parse_path("0") == (0,)
    assert print_path(np.array([12, 200, 7], dtype=np.int32)) == "12/200/7"


@pytest.mark.parametrize(
    "text", ["", "/", "12/", "/12", "12//7", "-1", "1.5", "007", "+1", " 1", "a", "1_0", "٣", "4294967296"]
)
def test_what_is_no_path_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="as in 12/200/7") as refused:
        parse_path(text)
    assert [violation.field for violation in refused.value.violations] == ["path"]


@st.composite
def paths_and_a_beginning(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, ...]]:
    levels = draw(st.integers(1, 4))
    path = st.tuples(*[st.integers(0, 3)] * levels)
    paths = np.array(draw(st.lists(path, min_size=1, max_size=40, unique=True)), dtype=np.int32)
    return paths, tuple(draw(st.lists(st.integers(0, 4), max_size=levels + 1)))


@given(paths_and_a_beginning())
def test_a_range_holds_exactly_the_items_whose_paths_begin_so(drawn: tuple[np.ndarray, tuple[int, ...]]) -> None:
    paths, codes = drawn
    index = build_decode_index(paths)
    found = path_range(index, codes)
    rows = index.items_N[found.begin : found.end].tolist()
    below = [row for row, path in enumerate(paths.tolist()) if tuple(path[: len(codes)]) == codes]
    assert sorted(rows) == below
    assert found.items == len(below)
    assert [paths[row].tolist() for row in rows] == sorted(paths[row].tolist() for row in below)


def test_a_code_that_no_catalogue_could_have_leads_nowhere() -> None:
    index = build_decode_index(np.array([[1, 0], [0, 2]], dtype=np.int32))
    assert path_range(index, (2**32 - 1,)).items == 0
    assert path_range(index, (1, 2**32 - 1)).items == 0


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ((), "has 0 codes; a semantic ID of this catalogue has 3: give the first 1 to 3"),
        ((0, 0, 0, 0), "has 4 codes"),
        ((4,), r"code 1 of semantic_ids\[2\] is 4; that level has the codes 0 to 3"),
        ((3, 8), r"code 2 of semantic_ids\[2\] is 8; that level has the codes 0 to 7"),
        ((-1,), "is -1"),
    ],
)
def test_what_cannot_be_a_path_of_the_catalogue_is_refused(codes: tuple[int, ...], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message) as refused:
        check_path(codes, (4, 8, 2), "semantic_ids[2]")
    assert [violation.field for violation in refused.value.violations] == ["semantic_ids[2]"]


def test_the_last_code_counts_items_and_has_no_end() -> None:
    check_path((3, 7, 1000), (4, 8, 2))
