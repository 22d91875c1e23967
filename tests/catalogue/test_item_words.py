"""The words of one item: which of its columns, in which order, without HTML."""

from __future__ import annotations

import pytest

from mmrec.catalogue.item_words import ItemWords, item_text
from mmrec.contract.items import ItemRecord
from mmrec.errors import InvalidArgumentError

ITEM = ItemRecord(
    "7", "Red shoe", "Soft.", "a.jpg", {"brand": "Acme", "tags": "red|warm", "price": "5 EUR", "note": ""}
)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (ItemWords(), "Red shoe. Soft. brand: Acme. tags: red, warm. price: 5 EUR"),
        (ItemWords(columns=("tags", "note", "gone", "brand")), "Red shoe. Soft. tags: red, warm. brand: Acme"),
        (ItemWords(columns=()), "Red shoe. Soft."),
        (ItemWords("{title} by {brand}"), "Red shoe by Acme"),
    ],
)
def test_what_of_an_item_is_words(words: ItemWords, text: str) -> None:
    assert item_text(ITEM, words) == text


@pytest.mark.parametrize("template", ["{title:>1900000000}", "{title:{brand}}", "{title}" * 300])
def test_a_short_template_makes_no_text_of_gigabytes(template: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^the text template .*(format specification|at most 2,000)"):
        ItemWords(template)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ("<p>Soft &amp; warm.</p><ul><li>Washable</li></ul>", "Soft & warm. Washable"),
        ("AT&T, a < b, <3", "AT&T, a < b, <3"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_html_becomes_text_and_other_text_stays(value: str, plain: str) -> None:
    item = ItemRecord("7", "Shoe", value, attributes={"note": value})
    assert item_text(item) == f"Shoe. {plain}{' ' if plain.endswith('.') else '. '}note: {plain}"
    assert item_text(item, ItemWords("{description}")) == plain


def test_words_that_differ_have_different_fingerprints() -> None:
    kinds = [ItemWords(), ItemWords("{title}"), ItemWords(columns=()), ItemWords(columns=("a",)), ItemWords("[]")]
    prints = [words.fingerprint for words in kinds]
    assert prints == ["", "{title}", "[]", '["a"]', "[]"]


def test_a_template_and_columns_exclude_each_other() -> None:
    with pytest.raises(InvalidArgumentError, match="give one or the other"):
        ItemWords("{title}", ("brand",))
