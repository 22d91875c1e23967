"""Sentences of customers become constraints on the columns of catalogues that the parser has never seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest

from benchmarks.language_constraints import WISHES, Counts, count_slots, read_catalogue
from mmrec.filters.filter import CatalogueFilter
from mmrec.language.attributes import Attributes
from mmrec.language.parser import ParsedWish, WishParser
from mmrec_encoders.minilm import MINILM
from mmrec_encoders.sentence_texts import SentenceTextConfig, SentenceTextEncoder

pytestmark = pytest.mark.slow


@cache
def _encoder() -> SentenceTextEncoder:
    return SentenceTextEncoder(SentenceTextConfig(model=MINILM, device="cpu"))


def _encode(texts: Sequence[str]) -> np.ndarray:
    return _encoder().encode(texts)


@cache
def _parser(catalogue: str) -> WishParser:
    return WishParser(Attributes(read_catalogue(WISHES / f"{catalogue}.csv"), _encode))


@pytest.fixture(scope="module")
def said() -> Callable[..., list[str]]:
    def conditions(catalogue: str, words: str, shown: Sequence[int] = ()) -> list[str]:
        return [found.condition for found in _parser(catalogue).parse(words, shown).constraints]

    return conditions


def test_sentences_that_nothing_was_tuned_to() -> None:
    counts: Counts = count_slots(WISHES / "test.jsonl", _encode)
    assert counts.sentences == 313
    assert counts.precision >= 0.95
    assert counts.f1 >= 0.90
    assert counts.exact_share >= 0.72


@pytest.mark.parametrize(
    ("catalogue", "words", "expected"),
    [
        ("films", "something scary under two hours", ['genres:"Horror"', "runtime <= 120"]),
        ("films", "on Netflix or Hulu", ['(available_on:"Netflix" OR available_on:"Hulu")']),
        ("films", "anything but a musical", ['NOT genres:"Musical"']),
        ("films", "nothing beats a musical, but no horror", ['genres:"Musical"', 'NOT genres:"Horror"']),
        ("films", "I can't get enough of horror", ['genres:"Horror"']),
        ("films", "from the nineties", ["released >= 1990-01-01", "released < 2000-01-01"]),
        ("films", "an hour and a half at most", ["runtime <= 90"]),
        ("films", "only R, please", ['age_rating = "R"']),
        ("clothes", "between 20 and 40 euros", ["price >= 20", "price <= 40"]),
        ("clothes", "a scarf without wool", ['category = "Scarf"', 'NOT material = "Wool"']),
        ("clothes", "red or green", ['colour IN ("Red", "Green")']),
        ("homes", "pets allowed, with wifi", ["pets_allowed = true", 'amenities:"Wi-Fi"']),
        ("films", "above 6.5 please", ["score >= 6.5"]),
        ("homes", "no pets", ["pets_allowed = false"]),
        ("homes", "less than 2 miles from the beach", ["beach_distance_km <= 3.218688"]),
    ],
)
def test_the_filter_that_is_made(
    said: Callable[..., list[str]], catalogue: str, words: str, expected: list[str]
) -> None:
    assert said(catalogue, words) == expected


def test_every_condition_of_every_sentence_is_a_filter_of_its_catalogue() -> None:
    filters = {name: CatalogueFilter(read_catalogue(WISHES / f"{name}.csv")) for name in ("films", "clothes", "homes")}
    import json

    for line in (WISHES / "test.jsonl").read_text(encoding="utf-8").splitlines():
        wish = json.loads(line)
        for found in _parser(wish["catalogue"]).parse(wish["words"], [0, 1, 2]).constraints:
            filters[wish["catalogue"]].check(found.condition)


@pytest.mark.parametrize(
    "words", ["Lumen+ or Hulu", "on Hulu or Lumen+", "I have Hulu and Lumen+", "Lumen plus or Hulu"]
)
def test_a_value_with_a_sign_in_a_list(said: Callable[..., list[str]], words: str) -> None:
    (condition,) = said("films", words)
    assert sorted(condition.strip("()").split(" OR ")) == ['available_on:"Hulu"', 'available_on:"Lumen+"']


def test_a_word_of_a_columns_name_is_no_value(said: Callable[..., list[str]]) -> None:
    assert said("clothes", "some material, any colour, what category of things") == []


def test_a_critique_is_relative_to_the_item_that_was_shown(said: Callable[..., list[str]]) -> None:
    assert said("films", "too long", [0]) == ["runtime < 142"]
    assert said("films", "too long", [1]) == ["runtime < 104"]


def test_a_critique_of_nothing_states_nothing(said: Callable[..., list[str]]) -> None:
    assert said("films", "too long") == []


def test_a_reference_and_what_is_said_beside_it() -> None:
    parsed = _parser("clothes").parse("the second one, but in green", [0, 1])
    assert parsed.reference == 1
    assert [found.condition for found in parsed.constraints] == ['colour = "Green"']


def test_a_reference_to_more_items_than_were_shown() -> None:
    assert _parser("clothes").parse("the third one", [0, 1]).reference is None


def test_indifference() -> None:
    assert _parser("films").parse("I don't mind") == ParsedWish()


def test_values_with_signs_of_the_filter_language_stay_values() -> None:
    from mmrec.language.constraints import StatedConstraint

    made = StatedConstraint('odd "name"', "has", ('*" OR item_id = "x',), "", 1.0)
    assert made.condition == '"odd \\"name\\"" = "\\*\\" OR item_id = \\"x"'
