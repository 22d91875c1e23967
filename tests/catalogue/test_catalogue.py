"""The catalogue: rows, records, texts, and the way into a bundle and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mmrec.catalogue.catalogue import Catalogue
from mmrec.catalogue.item_words import ItemWords
from mmrec.contract.items import ItemRecord
from mmrec.errors import InvalidArgumentError, InvalidDatasetError


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


def test_what_columns_are_said_to_be_goes_with_them(catalogue: Catalogue, tmp_path: Path) -> None:
    told = replace(catalogue, kinds={"tags": "list", "brand": "text"})
    pq.write_table(told.to_table(), tmp_path / "catalogue.parquet")
    assert Catalogue.from_table(pq.read_table(tmp_path / "catalogue.parquet")) == told
    none = np.zeros(0, np.int64)
    assert told.take(np.array([1])).kinds == told.changed([], none, none).kinds == {"tags": "list", "brand": "text"}
    strange = replace(catalogue, kinds={"tags": "colour"})
    with pytest.raises(InvalidDatasetError, match="'tags' is said to be 'colour'; a column is read as one of"):
        Catalogue.from_table(strange.to_table())


def test_has_words(catalogue: Catalogue) -> None:
    assert catalogue.has_words().tolist() == [True, True, False]
    priced = replace(catalogue, titles=("", "", "Cap"), descriptions=("",) * 3, attributes={"price": ("5", "", "")})
    assert priced.has_words().tolist() == [True, False, True]
    assert priced.has_words(ItemWords(columns=("gone",))).tolist() == [False, False, True]


@pytest.mark.parametrize("ids", [("1", "1"), ("1", ""), ("1",)])
def test_columns_that_do_not_fit(ids: tuple[str, ...]) -> None:
    with pytest.raises(InvalidDatasetError):
        Catalogue(ids, ("a", "b"), ("", ""), ("", ""))
