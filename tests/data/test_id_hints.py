"""What unknown ids are probably meant to be."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from mmrec.data.id_hints import unknown_id_hint


def _texts(*values: str) -> Any:
    return pa.array(values, pa.large_string())


def _hint(unknown: list[str], known: list[str], users: list[str] | None = None) -> str:
    others = users or ["somebody"] * len(unknown)
    return unknown_id_hint(_texts(*unknown), _texts(*known), _texts(*others), "item_id", "user_id")


@pytest.mark.parametrize(
    ("unknown", "known", "hint"),
    [
        (["7"], ["00000007"], "'7' is unknown and '00000007' is known (all of them): they differ by zeros"),
        (["007"], ["7"], "'007' is unknown and '7' is known (all of them): they differ by zeros"),
        (["1.0", "x"], ["1"], "'1.0' is unknown and '1' is known (1 of the 2 looked at): they differ by a decimal"),
        (["1"], ["1.0"], "a decimal point"),
        (["ab-1"], ["AB-1"], "capital and small letters"),
        ([" ab"], ["ab"], "spaces around the id"),
        ([" AB.. 0"], ["ab.. 0"], "at once"),
        (["1.23E+12"], ["1230000000000"], "a number that a spreadsheet has rounded"),
        (["nan", "nan"], ["a"], "'nan' is what programs write where there is no value"),
        (["NULL"], ["a"], "'NULL' is what programs write"),
        (["1", "2"], ["sku-1", "sku-2", "sku-3"], "the known ids begin with 'sku-' and the others do not"),
        (["gid://shop/1", "gid://shop/2"], ["1", "2"], "the unknown ids begin with 'gid://shop/'"),
        (["zzz"], ["b", "c"], "ids that are known look like 'b', 'c'"),
    ],
)
def test_what_unknown_ids_have_in_common(unknown: list[str], known: list[str], hint: str) -> None:
    assert hint in _hint(unknown, known)


def test_columns_that_are_swapped() -> None:
    assert "item_id and user_id are swapped" in _hint(["ann", "bob"], ["1", "2"], users=["1", "2"])


def test_without_items_there_is_no_hint() -> None:
    assert _hint(["a"], []) == ""


def test_few_ids_that_fit_by_chance_are_no_hint() -> None:
    assert "differ by" not in _hint(["01", *(f"x{i}" for i in range(500))], ["1"])
