"""How many items or labels are encoded at once."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from mmrec.contract.items import ItemFailure, ItemInput
from mmrec.errors import InvalidArgumentError
from mmrec.understanding.chunks import item_chars, item_chunks, label_chars, label_chunks


def test_short_entries_are_counted() -> None:
    assert [len(chunk) for chunk in item_chunks(["x"] * 70)] == [32, 32, 6]
    assert [len(chunk) for chunk in label_chunks(["hat"] * 70, ("a {label}", "one {label}"))] == [32, 32, 6]
    assert [len(chunk) for chunk in label_chunks(["hat"] * 70, ())] == [16, 16, 16, 16, 6]
    assert item_chunks([]) == []


def test_long_entries_are_bounded_by_their_characters_and_the_longest_go_alone() -> None:
    assert item_chunks(["a", "b", "c", "d"], [900, 1100, 1, 5000]) == [("a", "b"), ("c",), ("d",)]
    assert [len(chunk) for chunk in label_chunks(["x" * 1000] * 3, ())] == [1, 1, 1]
    assert [len(chunk) for chunk in label_chunks(["x" * 1000] * 5, ("{label}",))] == [2, 2, 1]


def test_characters_of_what_is_encoded() -> None:
    assert item_chars(ItemInput("a", "hat", "of felt", attributes={"colour": "red"})) == 13
    assert item_chars(ItemInput("a", "hat", image=b"picture")) == 253
    assert item_chars(ItemInput("a", description="x" * 50_000)) == 2000
    assert item_chars(ItemFailure("a", InvalidArgumentError("no"))) == 0
    assert label_chars("hat", ("a {label}", "one {label}")) == 6
    assert label_chars("hat", ()) == 12


@pytest.mark.parametrize(
    ("kind", "side", "chars"),
    [("PNG", 40, 253), ("WebP", 1_000, 653), ("JPEG", 1_000, 353), ("PNG", 1_001, 253), ("PNG", 8_000, 253)],
)
def test_pixels_count_as_characters_except_those_of_large_pictures(kind: str, side: int, chars: int) -> None:
    file = io.BytesIO()
    Image.new("1" if kind == "PNG" else "RGB", (side, side)).save(file, kind)
    assert item_chars(ItemInput("a", "hat", image=file.getvalue())) == chars
