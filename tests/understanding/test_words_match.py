"""Words in common, and numbers that contradict each other."""

from __future__ import annotations

import numpy as np
import pytest

from mmrec.understanding.words_match import WordsMatcher, words_of

TEXTS = [
    "Puma Men's Toe-Crusher Black T-shirt",
    "black tshirts: PUMA toe crusher, men",
    "Acme Lipstick 03",
    "Acme Lipstick 05",
    "Acme Lipstick",
    "Acme Lipstick 05 pack of 2",
    "",
    "!!",
    "Nike Women Shoes",
]


def match(one: int, two: int) -> tuple[float, bool]:
    found = WordsMatcher(TEXTS).match(np.array([one]), np.array([two]))
    return float(found.overlap_P[0]), bool(found.contradict_P[0])


def test_words() -> None:
    assert words_of("Men's  T-shirts, glass GLASSES! v2.0 42") == {"men", "tshirt", "glass", "glasse", "v20", "42"}


def test_case_order_and_punctuation_do_not_matter() -> None:
    assert match(0, 0) == (1.0, False)
    # One word of one is two of the other.
    assert 0.4 < match(0, 1)[0] < 1.0
    assert match(1, 0) == match(0, 1)


def test_numbers_contradict_where_each_has_its_own() -> None:
    assert match(2, 3)[1]
    assert not match(2, 4)[1]
    assert not match(3, 5)[1]
    assert match(2, 5)[1]


def test_nothing_is_like_nothing() -> None:
    assert match(6, 6) == (0.0, False)
    assert match(6, 7) == (0.0, False)
    assert match(0, 8) == (0.0, False)


def test_rare_words_count_more() -> None:
    texts = ["common rare", "common other", "strange rare", *[f"common {letter}" for letter in "abcdefgh"]]
    found = WordsMatcher(texts).match(np.array([0, 0]), np.array([1, 2]))
    assert found.overlap_P[0] < found.overlap_P[1]


def test_no_texts() -> None:
    matcher = WordsMatcher([])
    assert matcher.match(np.zeros(0, np.int64), np.zeros(0, np.int64)).overlap_P.shape == (0,)
    assert WordsMatcher(["", ""]).match(np.array([0]), np.array([1])).overlap_P[0] == pytest.approx(0.0)
