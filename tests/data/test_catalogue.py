"""The catalogue: rows, records, texts, and the way into a bundle and back."""

from __future__ import annotations

import numpy as np
import pytest

from mmrec.data.catalogue import Catalogue
from mmrec.data.item_words import ItemWords
from mmrec.errors import InvalidArgumentError, InvalidDatasetError
from mmrec.types import ItemRecord


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(
        item_ids=("007", "8", "9"),
        titles=("Bond", "Hat", ""),
        descriptions=("A spy.", "", ""),
        images=("1.jpg", "", ""),
        attributes={"brand": ("MI6", "", ""), "tags": ("spy|film", "felt", "")},
    )


def test_rows_are_found_by_id(catalogue: Catalogue) -> None:
    assert (catalogue.row_of("007"), catalogue.row_of("7"), len(catalogue)) == (0, None, 3)


def test_a_record(catalogue: Catalogue) -> None:
    assert catalogue.record(0) == ItemRecord("007", "Bond", "A spy.", "1.jpg", {"brand": "MI6", "tags": "spy|film"}, ())


def test_texts_without_a_template(catalogue: Catalogue) -> None:
    assert catalogue.texts() == ["Bond. A spy. brand: MI6. tags: spy, film", "Hat. tags: felt", ""]


def test_texts_with_a_template(catalogue: Catalogue) -> None:
    assert catalogue.texts(ItemWords("{title} by {brand}")) == ["Bond by MI6", "Hat by", "by"]


@pytest.mark.parametrize(
    "template", ["{colour}", "{title.__class__}", "{title[0]}", "{0}", "{}", "{title", "{title:>9}"]
)
def test_a_template_names_columns_and_nothing_else(catalogue: Catalogue, template: str) -> None:
    with pytest.raises(InvalidArgumentError, match="template"):
        catalogue.texts(ItemWords(template))


def test_taking_rows(catalogue: Catalogue) -> None:
    assert catalogue.take(np.array([2, 0])).item_ids == ("9", "007")
    assert catalogue.take(np.array([False, True, False])).attributes == {"brand": ("",), "tags": ("felt",)}
    assert len(catalogue.take(np.zeros(0, dtype=np.int64))) == 0


def test_the_table_and_back(catalogue: Catalogue) -> None:
    assert Catalogue.from_table(catalogue.to_table()) == catalogue


def test_has_words(catalogue: Catalogue) -> None:
    assert catalogue.has_words().tolist() == [True, True, False]


@pytest.mark.parametrize("ids", [("1", "1"), ("1", ""), ("1",)])
def test_columns_that_do_not_fit(ids: tuple[str, ...]) -> None:
    with pytest.raises(InvalidDatasetError):
        Catalogue(ids, ("a", "b"), ("", ""), ("", ""))
