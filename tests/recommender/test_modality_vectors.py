"""Vectors of a catalogue that changes: what its files hold, and what has changed of it since."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec import Recommender
from mmrec.catalogue.segments import Segmented
from mmrec.contract.items import ItemInput, Modality
from mmrec.contract.replies import ItemTags, TagResults
from mmrec.contract.requests import TagRequest
from mmrec.recommender.encoded_items import EncodedItems
from mmrec.recommender.modality_vectors import ModalityVectors
from mmrec.recommender.tagging import Tagger
from mmrec.understanding.vector_index import build_vector_index
from mmrec_encoders.fusion import ItemFeatures
from mmrec_encoders.item_encoder import ItemEncoder


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


def fused(numbers: list[int]) -> np.ndarray:
    """Unit rows, or zero for a number that three and two divide not."""
    angles = np.array(numbers, np.float64)
    has = np.array([number % 2 == 0 or number % 3 == 0 for number in numbers], np.float64)
    return (np.stack([np.cos(angles), np.sin(angles)], axis=1).reshape(-1, 2) * has.reshape(-1, 1)).astype(np.float32)


@settings(max_examples=80, deadline=None)
@given(CHANGES, st.booleans())
def test_whatever_changes_every_state_has_what_it_was_given(
    changes: list[tuple[dict[int, int], list[int], set[int]]], asked_before: bool
) -> None:
    first = list(range(1, 6))
    written, thumbnails = described(first), pixels(first)
    index = build_vector_index(fused(first))
    vectors = ModalityVectors(
        Segmented(fused(first)), index, cast(ItemEncoder, None), lambda: written, lambda: thumbnails
    )
    numbers, gone = list(first), [False] * 5
    states = [(vectors, list(numbers), list(gone))]
    for some, more, leaving in changes:
        if asked_before:
            vectors.present(Modality.FUSED)
        new = {row: number for row, number in some.items() if row < len(numbers)}
        new |= {len(numbers) + place: number for place, number in enumerate(more)}
        numbers, gone = [*numbers, *more], [*gone, *[False] * len(more)]
        for row, number in new.items():
            numbers[row], gone[row] = number, False
        deleted_R = np.array(sorted(row for row in leaving if row < len(numbers) and row not in new), np.int64)
        for row in deleted_R.tolist():
            gone[row] = True
        rows, values = np.array(sorted(new), np.int64), [new[row] for row in sorted(new)]
        encoded = EncodedItems((), (), described(values), fused(values), pixels(values))
        vectors = vectors.with_changes(vectors.fused_ND.replaced(rows, fused(values)), rows, encoded, deleted_R)
        states.append((vectors, list(numbers), list(gone)))
    for state, held, left in states:
        expected, here = described(held), ~np.array(left)
        assert np.array_equal(state.features.image_NI[here], expected.image_NI[here])
        assert np.array_equal(state.features.text_NT[here], expected.text_NT[here])
        for modality, has in ((Modality.PICTURE, expected.has_image_N), (Modality.WORDS, expected.has_text_N)):
            present = state.present(modality)
            assert present is not None
            assert np.array_equal(present, has & here)
        assert np.array_equal(state.features.has_image_N, expected.has_image_N & here)
        assert np.array_equal(state.features.has_text_N, expected.has_text_N & here)
        bare = state.present(Modality.FUSED)
        assert np.array_equal(np.ones(len(held), np.bool_) if bare is None else bare, fused(held).any(axis=1))
        assert state.thumbnails is not None
        assert np.array_equal(state.thumbnails[here], pixels(held)[here])
        asked = np.array([*range(len(held)), 0, 3], np.int64)[::-1]
        assert same(state.features_of(asked), ItemFeatures._make(part[asked] for part in state.features))
        assert np.array_equal(state.thumbnails_of(asked), state.thumbnails[asked])
        found = state.index(Modality.FUSED).search(fused([2]), len(held))
        assert found.scores_QK[0].tolist() == pytest.approx(sorted(fused(held) @ fused([2])[0], reverse=True), abs=1e-6)
    assert same(written, described(first))


# --- with encoders ------------------------------------------------------------------------------------------------


def anew(vectors: ModalityVectors) -> ModalityVectors:
    """The same vectors, made of nothing but their features."""
    features, index = vectors.features, vectors.index(Modality.FUSED)
    return ModalityVectors(vectors.fused_ND, index, vectors.encoder, lambda: features, lambda: None)


def test_a_side_that_was_made_is_brought_on_and_the_old_one_stays(
    own: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = own.snapshot().vectors
    words_ND, pictures_ND = before.words_ND.copy(), before.picture_ND.copy()
    own.upsert_items([ItemInput("new", "Quartz reading lamp"), ItemInput("p0004", "A green kettle")])
    own.delete_items(["p0006"])
    monkeypatch.setattr(ModalityVectors, "features", None)
    now = own.snapshot().vectors
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
    text, encoded = own.snapshot().vectors.encoder.text, {True: 0, False: 0}
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
        anew = tags(Tagger(now.parts.catalogue, now.vectors, now.versions))
        assert close(astuple(told.calibration), astuple(anew.calibration))
        assert close([astuple(entry) for entry in told.items], [astuple(entry) for entry in anew.items])
    found = own.tag([ItemInput("a", "a lamp")], column="category", k=100).items[0]
    assert isinstance(found, ItemTags)
    assert "kettles" in [tag.label for tag in found.tags]
