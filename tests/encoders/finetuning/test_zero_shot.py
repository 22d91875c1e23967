from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from mmrec.catalogue.catalogue import Catalogue
from mmrec.errors import InvalidArgumentError
from mmrec_encoders.finetuning.zero_shot import label_columns, zero_shot
from mmrec_encoders.protocols import Vectors

PLACES = {"red": 0, "blue": 1, "green": 2}


def encode(texts: Sequence[str]) -> Vectors:
    """A text's vector points along the colour that it names."""
    rows = np.zeros((len(texts), 3), np.float32)
    for row, text in enumerate(texts):
        rows[row, next(place for colour, place in PLACES.items() if colour in text)] = 1
    return rows


def test_the_nearest_label_is_compared_with_the_column() -> None:
    values = ["red", "blue", "", "red|green", "blue", "red"]
    # Pictures of items 0, 1, 2, 3 and 4, of which 2 has no label and 4 looks green.
    pictures = np.eye(3, dtype=np.float32)[[0, 1, 0, 2, 2]]
    found = zero_shot("main_colour", values, np.arange(5), pictures, encode, ("{value}", "{column} {value}"))
    assert found is not None
    assert (found.labels, found.pictures, found.accuracy) == (3, 4, 0.75)
    # Red, blue, red and green, blue: two of four are red.
    assert found.commonest == 0.5


def test_no_label_on_any_held_out_item_is_nothing_to_report() -> None:
    assert (
        zero_shot("colour", ["red", ""], np.array([1]), np.eye(3, dtype=np.float32)[:1], encode, ("{value}",)) is None
    )


def test_prompts_name_the_column_without_its_underscores() -> None:
    heard: list[str] = []

    def listen(texts: Sequence[str]) -> Vectors:
        heard.extend(texts)
        return encode(texts)

    zero_shot("main_colour", ["red"], np.array([0]), np.eye(3, dtype=np.float32)[:1], listen, ("{column}: {value}!",))
    assert heard == ["main colour: red!"]


def test_columns_are_those_asked_for_or_those_that_sort_items() -> None:
    values = {"colour": ("red", "blue") * 4, "code": tuple("abcdefgh"), "blank": ("",) * 8}
    catalogue = Catalogue(tuple("12345678"), ("t",) * 8, ("",) * 8, ("",) * 8, values)
    assert label_columns(catalogue, ()) == ("colour",)
    assert label_columns(catalogue, ("code",)) == ("code",)
    with pytest.raises(InvalidArgumentError, match="labels names 'blank', which the items table lacks or leaves empty"):
        label_columns(catalogue, ("blank",))
