"""Rows that change over the vectors of a catalogue, and what is made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec import Recommender
from mmrec.contract.items import ItemInput, Modality
from mmrec.contract.replies import ItemTags, TagResults
from mmrec.contract.requests import TagRequest
from mmrec.recommender.changed_rows import (
    ChangedRows,
    changed_features,
    changed_presence,
    changed_thumbnails,
    features_of,
    layered,
)
from mmrec.recommender.modality_vectors import CatalogueSides
from mmrec.recommender.tagging import Tagger
from mmrec_encoders.fusion import ItemFeatures


def described(numbers: list[int]) -> ItemFeatures:
    """Features that tell items apart, pictures and words there or not."""
    values = np.array(numbers, np.float32).reshape(-1, 1)
    present = np.array(numbers, np.int64)
    return ItemFeatures(values @ np.ones((1, 3), np.float32), present % 2 == 0, -values, present % 3 == 0)


def pixels(numbers: list[int]) -> np.ndarray:
    return np.array(numbers, np.uint8).reshape(-1, 1, 1, 1) * np.ones((1, 3, 2, 2), np.uint8)


def same(one: ItemFeatures, two: ItemFeatures) -> bool:
    return all(map(np.array_equal, one, two))


CHANGES = st.lists(
    st.tuples(
        st.dictionaries(st.integers(0, 12), st.integers(1, 200), max_size=4),
        st.lists(st.integers(1, 200), max_size=3),
        st.sets(st.integers(0, 12), max_size=2),
    ),
    max_size=8,
)


@settings(max_examples=80, deadline=None)
@given(CHANGES)
def test_layers_say_what_the_changes_say_one_after_the_other(
    changes: list[tuple[dict[int, int], list[int], set[int]]],
) -> None:
    first = list(range(1, 6))
    written, thumbnails = described(first), pixels(first)
    expected, expected_pixels = ItemFeatures._make(map(np.copy, written)), pixels(first)
    layers: tuple[ChangedRows, ...] = ()
    states = []
    for some, more, gone in changes:
        items = len(expected.has_image_N)
        numbers = {row: number for row, number in some.items() if row < items}
        numbers |= {items + place: number for place, number in enumerate(more)}
        rows = np.array(sorted(numbers), np.int64)
        new = described([numbers[row] for row in rows.tolist()])
        gone_R = np.array(sorted(row for row in gone if row < items and row not in numbers), np.int64)
        if not len(rows):
            # As it comes with a change that nothing arrives with.
            nothing, no = np.zeros((0, 1), np.float32), np.zeros(0, np.bool_)
            new = ItemFeatures(nothing, no, nothing, no)
        values = pixels([numbers[row] for row in rows.tolist()])
        layers = layered(layers, ChangedRows(rows, new, values, gone_R, items + len(more)))
        grown = [np.concatenate([part, np.zeros((len(more), *part.shape[1:]), part.dtype)]) for part in expected]
        expected = ItemFeatures._make(grown)
        for part, values_M in zip(expected, new, strict=True):
            part[rows] = values_M
        expected.has_image_N[gone_R] = False
        expected.has_text_N[gone_R] = False
        expected_pixels = np.concatenate([expected_pixels, pixels([0] * len(more))])
        expected_pixels[rows] = values
        states.append((layers, expected, expected_pixels))
        expected, expected_pixels = ItemFeatures._make(map(np.copy, expected)), expected_pixels.copy()
    for made, features, thumbnails_N in states:
        assert same(changed_features(written, made), features)
        assert np.array_equal(changed_thumbnails(thumbnails, made), thumbnails_N)
        has_image_N, has_text_N = changed_presence(written, made)
        assert np.array_equal(has_image_N, features.has_image_N)
        assert np.array_equal(has_text_N, features.has_text_N)
        asked = np.array([*range(len(features.has_image_N)), 0, 3], np.int64)[::-1]
        assert same(features_of(written, made, asked), ItemFeatures._make(part[asked] for part in features))
    assert same(written, described(first))


def test_however_many_changes_there_were_there_are_few_layers() -> None:
    layers: tuple[ChangedRows, ...] = ()
    for number in range(200):
        rows = np.array([number % 50, 50 + number], np.int64)
        layers = layered(layers, ChangedRows(rows, described([1, 2]), pixels([1, 2]), rows[:0], 51 + number))
    assert len(layers) <= 6
    assert sum(layer.size for layer in layers) <= 400
    assert changed_features(described([1] * 50), layers).has_image_N.shape == (250,)


def test_nothing_changed_is_nothing_copied() -> None:
    written = described([1, 2])
    assert changed_features(written, ()) is written
    assert changed_presence(written, ())[0] is written.has_image_N


# --- with encoders ------------------------------------------------------------------------------------------------


def anew(sides: CatalogueSides) -> CatalogueSides:
    """The same sides, made of nothing but their features."""
    features, index = sides.features, sides.index(Modality.FUSED)
    return CatalogueSides(sides.fused_ND, index, sides.encoder, lambda: features, lambda: None)


def test_a_side_that_was_made_is_brought_on_and_the_old_one_stays(
    own: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = own.snapshot().sides
    words_ND, pictures_ND = before.words_ND.copy(), before.picture_ND.copy()
    own.upsert_items([ItemInput("new", "Quartz reading lamp"), ItemInput("p0004", "A green kettle")])
    own.delete_items(["p0006"])
    monkeypatch.setattr(CatalogueSides, "features", None)
    now = own.snapshot().sides
    words, pictures, present = now.words_ND, now.picture_ND, now.present(Modality.PICTURE)
    monkeypatch.undo()
    fresh = anew(now)
    assert np.allclose(words, fresh.words_ND, atol=1e-5)
    assert np.allclose(pictures, fresh.picture_ND, atol=1e-5)
    assert not words[5].any()
    assert np.linalg.norm(words[60]) == pytest.approx(1.0, abs=1e-5)
    assert present is not None
    assert np.array_equal(present, fresh.present(Modality.PICTURE))
    assert (present[3], present[5], present[60]) == (False, False, False)
    assert np.array_equal(before.words_ND, words_ND)
    assert np.array_equal(before.picture_ND, pictures_ND)
    assert own.search("green kettle", k=1, modality="words").item_ids == ("p0004",)


def tags(own: Recommender | Tagger) -> TagResults:
    (found,) = own.tag_many([TagRequest((ItemInput("a", "a lamp"),), column="category")])
    assert isinstance(found, TagResults)
    return found


def close(one: object, two: object) -> bool:
    """Whether two plain values are the same, numbers to float32 rounding."""
    if isinstance(one, float) and isinstance(two, float):
        return math.isclose(one, two, rel_tol=1e-4, abs_tol=1e-6)
    if isinstance(one, tuple | list) and isinstance(two, tuple | list):
        return len(one) == len(two) and all(map(close, one, two))
    return one == two


def test_labels_are_kept_and_a_column_where_a_change_does_not_touch_it(
    own: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, encoded = own.snapshot().sides.encoder.text, {True: 0, False: 0}
    encode = text.encode

    def counted(texts: Sequence[str], *, query: bool = False) -> np.ndarray:
        encoded[query] += len(texts)
        return encode(texts, query=query)

    monkeypatch.setattr(text, "encode", counted)

    def encodes() -> tuple[TagResults, int, int]:
        """What is found, and how many sentences of labels and texts of items were encoded for it."""
        encoded.update({True: 0, False: 0})
        return tags(own), encoded[True], encoded[False]

    first, sentences, items = encodes()
    assert (sentences, items > 20) == (12 * 5, True)
    own.upsert_items([ItemInput("blank", "Quartz reading lamp")])
    again, *counts = encodes()
    assert (again.items, counts) == (first.items, [0, 1])
    for change, new_sentences in (
        (lambda: own.upsert_items([ItemInput("other", "A kettle", attributes={"category": "kettles"})]), 5),
        (lambda: own.delete_items(["p0001"]), 0),
    ):
        change()
        told, sentences, items = encodes()
        assert (sentences, items > 20) == (new_sentences, True)
        # The column is read with the vectors that were kept: as those made anew, to float rounding.
        now = own.snapshot()
        anew = tags(Tagger(now.parts.catalogue, now.sides, now.versions))
        assert close(astuple(told.calibration), astuple(anew.calibration))
        assert close([astuple(entry) for entry in told.items], [astuple(entry) for entry in anew.items])
    found = own.tag([ItemInput("a", "a lamp")], column="category", k=100).items[0]
    assert isinstance(found, ItemTags)
    assert "kettles" in [tag.label for tag in found.tags]
