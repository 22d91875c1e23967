"""Sentences about the items of a small catalogue."""

from dataclasses import replace

import numpy as np

from mmrec.catalogue.catalogue import Catalogue
from mmrec.language.wishes import OTHER_WORDINGS, WORDINGS, make_described_wishes, make_wishes

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


def test_other_wordings_without_the_items_own_words() -> None:
    wishes = make_wishes(SHOP, 100, wordings=OTHER_WORDINGS, own_words=False)
    red = {wording.format(value="red", column="colour") for wording in OTHER_WORDINGS}
    begin, end = wishes.begin_N1[1:3]
    assert {wishes.sentences[sentence] for sentence in wishes.sentences_E[begin:end]} == red
    assert not red & set(make_wishes(SHOP, 100).sentences)
    assert not any("mug" in text for text in wishes.sentences)


def test_wishes_that_go_on_in_the_words_of_another_item() -> None:
    told = ("A mug for the long mornings.", "A bowl.", "A cup.")
    wishes = make_described_wishes(replace(SHOP, descriptions=told), ["colour"])
    of_each = [
        {wishes.sentences[sentence] for sentence in wishes.sentences_E[begin:end]}
        for begin, end in zip(wishes.begin_N1[:-1], wishes.begin_N1[1:], strict=True)
    ]
    # Only one item is blue, and the third has no colour.
    assert of_each == [{"red: A bowl."}, {"red: A mug for the long mornings."}, set()]
    assert make_described_wishes(SHOP, ["colour"]).sentences == ()
    assert make_described_wishes(replace(SHOP, descriptions=told), []).sentences == ()
