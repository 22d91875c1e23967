"""Sentences about the items of a small catalogue."""

import numpy as np

from mmrec.catalogue.catalogue import Catalogue
from mmrec.language.wishes import WORDINGS, make_wishes

SHOP = Catalogue(
    item_ids=("a", "b", "c"),
    titles=("A", "B", "C"),
    descriptions=("A mug for the long mornings. Blue.", "", "Two words"),
    images=("", "", ""),
    attributes={
        "colour": ("red|blue", "red", ""),
        "in_stock": ("true", "false", "true"),
        "price": ("1", "2.5", "3"),
        "year": ("", "1999", ""),
    },
)


def said_of(row: int, most: int = 100) -> list[str]:
    wishes = make_wishes(SHOP, most)
    begin, end = wishes.begin_N1[row : row + 2]
    return [wishes.sentences[sentence] for sentence in wishes.sentences_E[begin:end]]


def test_every_value_of_a_column_of_words_is_wished_for_in_every_wording() -> None:
    red = {wording.format(value="red", column="colour") for wording in WORDINGS}
    assert "the colour should be red" in red
    assert set(said_of(1)) == red
    assert red < set(said_of(0))
    assert "something blue" in said_of(0)
    assert not any("stock" in text or "2.5" in text or "1999" in text for row in range(3) for text in said_of(row))


def test_a_sentence_of_an_items_description_is_one_about_it() -> None:
    assert "A mug for the long mornings" in said_of(0)
    assert "Blue" not in said_of(0)
    assert said_of(2) == []


def test_values_of_more_items_are_drawn_more_often() -> None:
    wishes = make_wishes(SHOP, 100)
    begin, end = wishes.begin_N1[:2]
    weights = wishes.weights_E[begin:end]
    texts = [wishes.sentences[sentence] for sentence in wishes.sentences_E[begin:end]]
    red, blue, own = (sum(weights[i] for i, text in enumerate(texts) if word in text) for word in ("red", "blue", "A "))
    assert np.allclose([red, blue, own], [np.sqrt(2) / (1 + np.sqrt(2)), 1 / (1 + np.sqrt(2)), 3 / 7])


def test_too_many_values_for_the_sentences_that_may_be_made() -> None:
    ids = tuple(map(str, range(900)))
    values = tuple(f"kind {number % 300}" for number in range(900))
    many = Catalogue(ids, ids, ("",) * 900, ("",) * 900, {"kind": values})
    wishes = make_wishes(many, 1000)
    assert len(wishes.sentences) <= 1000
    assert len(wishes.begin_N1) == 901
    assert len(make_wishes(SHOP, 1).sentences) <= 1
