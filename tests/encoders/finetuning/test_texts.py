from __future__ import annotations

import numpy as np
import pytest

from mmrec.catalogue.catalogue import Catalogue
from mmrec_encoders.finetuning.texts import category_columns, draw_texts, text_table, true_texts

CATALOGUE = Catalogue(
    ("1", "2", "3", "4"),
    ("Mug", "Mug", "Hat", ""),
    ("", "", "", ""),
    ("", "", "", ""),
    {"main_colour": ("red", "blue", "red|blue", ""), "maker": ("a", "b", "c", "d"), "sold": ("yes", "yes", "yes", "")},
)


def test_columns_that_sort_items_into_classes_are_found() -> None:
    # `maker` is different everywhere, `sold` the same; `red|blue` is a value of its own here.
    many = Catalogue(
        tuple(map(str, range(8))),
        ("t",) * 8,
        ("",) * 8,
        ("",) * 8,
        {"colour": ("red", "blue") * 4, "code": tuple("abcdefgh"), "sold": ("yes",) * 8},
    )
    assert category_columns(many) == ("colour",)


def test_every_kind_of_text() -> None:
    columns = ("main_colour",)

    def first(kind: str, row: int = 0) -> list[str]:
        table = text_table(CATALOGUE, ((kind, 1.0),), columns)
        return [table.texts[text] for text in table.ids_NS[row] if text >= 0]

    assert first("title") == ["Mug"]
    assert first("item") == ["Mug. main_colour: red. maker: a. sold: yes"]
    assert first("phrase") == ["main colour: red"]
    assert first("value") == ["red"]
    assert first("columns") == ["main colour: red"]
    assert first("{title} by {maker}") == ["Mug by a"]
    assert first("phrase", 2) == ["main colour: red, blue"]
    assert first("phrase", 3) == first("title", 3) == []


def test_the_same_text_has_one_number_and_weight_zero_is_left_out() -> None:
    table = text_table(CATALOGUE, (("title", 0.5), ("phrase", 0.5), ("item", 0.0)), ("main_colour", "maker"))
    assert table.texts == (
        "Mug",
        "Hat",
        "main colour: red",
        "main colour: blue",
        "main colour: red, blue",
        "maker: a",
        "maker: b",
        "maker: c",
        "maker: d",
    )
    assert table.ids_NS.tolist() == [[0, 2, 5], [0, 3, 6], [1, 4, 7], [-1, -1, 8]]
    assert table.weights_S.tolist() == [0.5, 0.25, 0.25]


def test_the_texts_of_some_items_are_numbered_anew_and_the_others_are_gone() -> None:
    table = text_table(CATALOGUE, (("title", 1.0),), ()).only(np.array([2]))
    assert table.texts == ("Hat",)
    assert table.ids_NS.tolist() == [[-1], [-1], [0], [-1]]


def test_texts_are_drawn_by_weight_and_only_those_that_are_there() -> None:
    table = text_table(CATALOGUE, (("title", 3.0), ("phrase", 1.0)), ("main_colour",))
    rows = np.zeros(4, np.int64)
    assert draw_texts(table, rows, np.array([0.0, 0.74, 0.76, 0.999])).tolist() == [0, 0, 2, 2]
    maker = text_table(CATALOGUE, (("title", 3.0), ("{maker}", 1.0)), ())
    # Item 4 has no title.
    assert {maker.texts[text] for text in draw_texts(maker, np.full(3, 3), np.array([0.0, 0.5, 0.99]))} == {"d"}


def test_a_text_is_true_of_every_picture_whose_item_has_it() -> None:
    table = text_table(CATALOGUE, (("title", 1.0), ("phrase", 1.0)), ("main_colour",))
    rows = np.array([0, 1, 2])
    titles = true_texts(table.ids_NS[rows], table.ids_NS[rows, 0])
    assert titles.tolist() == [[True, True, False], [True, True, False], [False, False, True]]
    phrases = true_texts(table.ids_NS[rows], table.ids_NS[rows, 1])
    assert phrases.tolist() == np.eye(3, dtype=bool).tolist()


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.9999999])
def test_missing_texts_are_never_drawn(chance: float) -> None:
    table = text_table(CATALOGUE, (("title", 1.0), ("value", 1.0)), ("main_colour", "sold", "maker"))
    for row in range(4):
        assert draw_texts(table, np.array([row]), np.array([chance]))[0] >= 0
