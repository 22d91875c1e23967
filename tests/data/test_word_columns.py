"""Which columns of a catalogue are words."""

from __future__ import annotations

import pytest

from mmrec.catalogue.catalogue import Catalogue
from mmrec.catalogue.item_words import EVERY_COLUMN, ItemWords
from mmrec.data.settings import WordSettings
from mmrec.data.word_columns import find_words, is_words
from mmrec.errors import InvalidArgumentError


def catalogue_of(**attributes: list[str]) -> Catalogue:
    count = len(next(iter(attributes.values())))
    ids = tuple(f"i{row}" for row in range(count))
    titles = tuple(f"Title {row}" for row in range(count))
    return Catalogue(ids, titles, ("A plot.",) * count, ("",) * count, {k: tuple(v) for k, v in attributes.items()})


@pytest.mark.parametrize(
    "values",
    [
        ["Acme", "Umbrella", ""],
        ["red|blue", "green", "red"],
        ["1995", "2024", ""],
        ["1995", "unknown", "2001"],
        ["WH-1000XM4", "iPhone 15", "RX100"],
        ["XL", "42", "43"],
        ["deadbeefcafe", "facade", "decade"],
        ["", " "],
    ],
)
def test_words(values: list[str]) -> None:
    assert is_words(values)


@pytest.mark.parametrize(
    "values",
    [
        ["5", "7.5", "42"],
        ["1995", "1500", "12"],
        ["5.50 USD", "129.00 USD"],
        ["5 USD", "7 EUR"],
        ["1,299", "2,500"],
        ["5.50 USD"] * 19 + ["on request"],
        ["true", "false"],
        ["yes", "no"],
        ["2024-05-31", "2023-01-01"],
        ["31/05/2024", "05/06/2024"],
        ["05/06/2024", "06/05/2024"],
        ["https://example.com/a", "www.example.com/b"],
        ["http://a.com/1|http://a.com/2", "http://a.com/3, http://a.com/4"],
        ["4006381333931", "0012345678905"],
        ["978-3-16-148410-0", "0-306-40615-2"],
        ["1234567890123456789", "9876543210987654321"],
        ["red shoe 1.jpg", "b.PNG", "img/c.webp?width=100"],
        ["123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-12D3-A456-426614174001"],
        ["d41d8cd98f00b204e9800998ecf8427e", "9e107d9d372bb6826bd81d3542a419d6"],
        ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
        ["1.5|2.25", "3.5|0"],
    ],
)
def test_no_words(values: list[str]) -> None:
    assert not is_words(values)


@pytest.mark.parametrize(
    ("values", "configured", "words"),
    [
        (["5", "7"], "text", True),
        (["5", "7"], "list", True),
        (["https://a.com", "https://b.com"], "text", False),
        (["on request", "ask us", "5"], "number", False),
        (["1995", "1996"], "number", True),
        (["a", "b"], "boolean", False),
    ],
)
def test_what_a_column_is_said_to_be_counts(values: list[str], configured: str, words: bool) -> None:
    assert is_words(values, configured) == words


def test_the_columns_of_films_and_of_beauty_products_are_worded_as_all_columns_are() -> None:
    films = catalogue_of(
        year=["1995", "unkonwn", "1994"],
        genres=["Animation|Children's|Comedy", "", "Drama"],
        director=["John Lasseter", "", "Frank Darabont"],
        actors=["Tom Hanks|Tim Allen", "", "Tim Robbins"],
    )
    assert find_words(films) == ItemWords(columns=("year", "genres", "director", "actors"))
    assert films.texts(find_words(films)) == films.texts(EVERY_COLUMN)
    assert films.texts(find_words(films))[0] == (
        "Title 0. A plot. year: 1995. genres: Animation, Children's, Comedy. director: John Lasseter. "
        "actors: Tom Hanks, Tim Allen"
    )
    beauty = catalogue_of(brand_and_categories=["e.l.f. Cosmetics | Makeup | Face", "Makeup | Eyes | Mascara"])
    assert beauty.texts(find_words(beauty)) == beauty.texts(EVERY_COLUMN)
    assert beauty.texts(find_words(beauty))[0] == (
        "Title 0. A plot. brand_and_categories: e.l.f. Cosmetics, Makeup, Face"
    )


def test_settings_say_otherwise() -> None:
    shop = catalogue_of(brand=["Acme", "Umbrella"], note=["call Bob", "fragile"], price=["5", "7"])
    assert find_words(shop).columns == ("brand", "note")
    assert find_words(shop, WordSettings(leave_out=("note",))).columns == ("brand",)
    assert find_words(shop, WordSettings("{title}")) == ItemWords("{title}")
    assert find_words(shop, WordSettings(leave_out=("note",)), "{note}") == ItemWords("{note}")
    with pytest.raises(InvalidArgumentError, match="names 'colour'"):
        find_words(shop, WordSettings("{colour}"))
