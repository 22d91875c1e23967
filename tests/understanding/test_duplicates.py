"""Duplicates: what is planted is found, what only looks alike is not, and groups do not chain."""

from __future__ import annotations

import numpy as np
import pytest

from mmrec.errors import InvalidArgumentError
from mmrec.understanding.duplicates import DuplicateConfig, DuplicateFeatures, Duplicates, find_duplicates
from tests.understanding.pictures import cropped, photograph, reencoded, thumbnails
from tests.understanding.vectors import clusters, unit_rows

NAMES = ["Acme", "Bolt", "Cara", "Dune", "Elf", "Fox", "Gala", "Hugo", "Iris", "Jade", "Kiwi", "Lux"]
THINGS = ["shoe", "lamp", "shirt", "wallet", "watch", "bag"]


def words_vectors(texts: list[str], dimension: int = 64) -> np.ndarray:
    """A vector per text: the sum of one per word."""
    rows = np.zeros((len(texts), dimension), np.float32)
    for row, text in enumerate(texts):
        for word in text.lower().split():
            rows[row] += unit_rows(np.random.default_rng(sum(map(ord, word)) * 31 + len(word)), 1, dimension)[0]
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(norms > 0, rows / np.maximum(norms, 1e-6), 0).astype(np.float32)


def nudged(vectors: np.ndarray, amount: float, seed: int = 0) -> np.ndarray:
    rows = vectors + amount * unit_rows(np.random.default_rng(seed), len(vectors), vectors.shape[1])
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def shop(count: int = 240) -> tuple[np.ndarray, list[str]]:
    """Picture vectors in families of look-alikes, and titles, several of them the same."""
    rng = np.random.default_rng(4)
    titles = [
        f"{NAMES[rng.integers(12)]} {THINGS[rng.integers(6)]} {NAMES[rng.integers(12)].lower()}ish"
        for _ in range(count)
    ]
    return clusters(rng, count, 48, of=6, spread=0.6), titles


def pairs_of(found: Duplicates) -> set[tuple[int, int]]:
    return {(one, two) for group in found.groups for one in group.rows for two in group.rows if one < two}


def assert_sound(found: Duplicates, count: int) -> None:
    """Groups of at least two, ascending, disjoint, most alike first."""
    rows = [row for group in found.groups for row in group.rows]
    assert len(rows) == len(set(rows))
    assert all(0 <= row < count for row in rows)
    assert all(len(group.rows) >= 2 and list(group.rows) == sorted(group.rows) for group in found.groups)
    likeness = [group.similarity for group in found.groups]
    assert likeness == sorted(likeness, reverse=True)
    assert all(0.0 <= value <= 1.0 for value in likeness)
    assert found.thresholds.why


def test_copies_among_look_alikes_are_found_by_vectors() -> None:
    images, titles = shop()
    copied = np.arange(0, 240, 6)
    images = np.concatenate([images, nudged(images[copied], 0.05)])
    texts = titles + [" ".join(reversed(titles[row].split())) for row in copied]
    found = find_duplicates(DuplicateFeatures(images, words_vectors(texts), texts))
    assert_sound(found, 280)
    planted = {(int(row), 240 + place) for place, row in enumerate(copied)}
    pairs = pairs_of(found)
    assert len(pairs & planted) >= 38
    assert len(pairs - planted) <= 2
    assert {group.by for group in found.groups if group.rows in planted} == {"both"}
    assert all(group.difference is None for group in found.groups)
    assert "near-identical from a cosine of" in found.thresholds.why


def photographs() -> tuple[list, list[str], dict[str, set[tuple[int, int]]]]:  # type: ignore[type-arg]
    """Photographs with titles, and copies of some: re-encoded, cut, and under other words."""
    rng = np.random.default_rng(1)
    titles = [f"{NAMES[rng.integers(12)]} {THINGS[rng.integers(6)]} no {row}" for row in range(60)]
    # Many share a title.
    titles = [title if row % 3 else "Lux Silver Earrings" for row, title in enumerate(titles)]
    pictures = [photograph(seed) for seed in range(60)]
    planted: dict[str, set[tuple[int, int]]] = {"reencoded": set(), "cut": set(), "reworded": set()}
    for row in range(0, 60, 2):
        kind = ("reencoded", "cut", "reworded")[row % 5 % 3]
        planted[kind].add((row, len(pictures)))
        title = titles[row]
        if kind == "reencoded":
            pictures.append(reencoded(pictures[row], int(rng.integers(40, 90)), 0.8))
        elif kind == "cut":
            pictures.append(cropped(pictures[row], *rng.uniform(0.1, 0.15, 4)))
        else:
            pictures.append(reencoded(pictures[row], 85, 1.0))
            title = "brand-new " + " ".join(reversed(title.split()))
        titles.append(title)
    return pictures, titles, planted


def test_copies_are_found_by_thumbnails_though_the_vectors_say_little() -> None:
    pictures, titles, planted = photographs()
    pixels = thumbnails(pictures)
    # Vectors in which a cutting is no nearer to its original than other pictures are.
    images = nudged(unit_rows(np.random.default_rng(0), 1, 32).repeat(len(pictures), axis=0), 1.0)
    found = find_duplicates(DuplicateFeatures(images, words_vectors(titles), titles, pixels))
    assert_sound(found, len(pictures))
    everything = set().union(*planted.values())
    pairs = pairs_of(found)
    assert pairs <= everything
    for kind, wanted in planted.items():
        assert len(pairs & wanted) >= len(wanted) - 1, kind
    assert all(group.difference is not None and group.difference <= 10 for group in found.groups)
    assert "of 255 grey levels" in found.thresholds.why


def test_other_things_of_one_title_are_no_duplicates() -> None:
    pictures = [photograph(seed) for seed in range(30)]
    titles = ["Lux Silver Earrings"] * 30
    images = nudged(unit_rows(np.random.default_rng(0), 1, 32).repeat(30, axis=0), 0.1)
    found = find_duplicates(DuplicateFeatures(images, words_vectors(titles), titles, thumbnails(pictures)))
    assert found.groups == ()


def test_numbers_that_differ_speak_against_equal_pictures() -> None:
    picture = photograph(1)
    titles = ["Lipstick 03", "Lipstick 05", "Lipstick 03"]
    features = DuplicateFeatures(
        unit_rows(np.random.default_rng(0), 1, 8).repeat(3, axis=0),
        words_vectors(titles),
        titles,
        thumbnails([picture] * 3),
    )
    for given in (features, features._replace(pixels_N3HW=None)):
        assert [group.rows for group in find_duplicates(given).groups] == [(0, 2)]


def test_items_without_pictures_need_the_same_words() -> None:
    titles = ["Acme oak lamp", "Oak lamp by Acme", "acme OAK lamp!", "Bolt oak lamp", ""]
    features = DuplicateFeatures(np.zeros((5, 4), np.float32), words_vectors(titles), titles)
    found = find_duplicates(features)
    assert [(group.rows, group.by) for group in found.groups] == [((0, 2), "words")]
    assert found.groups[0].similarity == pytest.approx(1.0)


def test_without_texts_the_cosine_of_the_words_decides() -> None:
    rng = np.random.default_rng(0)
    words = unit_rows(rng, 6, 16)
    words[5] = words[2]
    found = find_duplicates(DuplicateFeatures(np.zeros((6, 4), np.float32), words))
    assert [(group.rows, group.by) for group in found.groups] == [((2, 5), "words")]
    assert "cosine of the words" in found.thresholds.why


def test_pictures_alone() -> None:
    images = unit_rows(np.random.default_rng(0), 50, 16)
    images[7] = images[3]
    found = find_duplicates(DuplicateFeatures(images, np.zeros((50, 4), np.float32)))
    assert [(group.rows, group.by) for group in found.groups] == [((3, 7), "picture")]


def test_many_copies_are_one_group_and_no_larger_than_allowed() -> None:
    images = unit_rows(np.random.default_rng(0), 80, 16)
    images[10:50] = images[10]
    features = DuplicateFeatures(images, np.zeros((80, 4), np.float32))
    assert [group.rows for group in find_duplicates(features).groups] == [tuple(range(10, 50))]
    capped = find_duplicates(features, DuplicateConfig(max_group=15))
    assert max(len(group.rows) for group in capped.groups) == 15
    assert_sound(capped, 80)


def test_a_chain_of_look_alikes_is_no_group() -> None:
    # Each is near the next, and the ends are far apart.
    angles = np.arange(40) * 0.15
    images = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)[:20]
    found = find_duplicates(DuplicateFeatures(images, np.zeros((20, 4), np.float32)), DuplicateConfig(min_picture=0.98))
    assert_sound(found, 20)
    for group in found.groups:
        spread = angles[group.rows[-1]] - angles[group.rows[0]]
        assert spread < 0.8
    assert len(found.groups) > 3


def test_a_given_threshold_is_used_and_told() -> None:
    images = unit_rows(np.random.default_rng(0), 4, 16)
    images[1] = nudged(images[:1], 0.4, seed=9)[0]
    cosine = float(images[0] @ images[1])
    features = DuplicateFeatures(images, np.zeros((4, 4), np.float32))
    low = find_duplicates(features, DuplicateConfig(min_picture=cosine - 0.01))
    assert [group.rows for group in low.groups] == [(0, 1)]
    assert low.groups[0].similarity == pytest.approx(cosine, abs=1e-5)
    assert low.thresholds.picture_same == pytest.approx(cosine - 0.01)
    assert "(given)" in low.thresholds.why
    assert find_duplicates(features, DuplicateConfig(min_picture=cosine + 0.01)).groups == ()


def test_the_same_again() -> None:
    images, titles = shop()
    images[50] = images[10]
    features = DuplicateFeatures(images, words_vectors(titles), titles)
    assert find_duplicates(features) == find_duplicates(features)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_to_be_duplicates(count: int) -> None:
    images = unit_rows(np.random.default_rng(0), count, 4)
    for texts, pixels in ((None, None), (["x"] * count, np.zeros((count, 3, 48, 48), np.uint8))):
        assert find_duplicates(DuplicateFeatures(images, images, texts, pixels)).groups == ()


def test_what_does_not_fit_is_refused() -> None:
    images = unit_rows(np.random.default_rng(0), 3, 4)
    for wrong, field in (
        (DuplicateFeatures(images, images[:2]), "text"),
        (DuplicateFeatures(images, images, ["a"]), "texts"),
        (DuplicateFeatures(images, images, None, np.zeros((2, 3, 48, 48), np.uint8)), "pixels"),
        (DuplicateFeatures(2 * images, images), "image"),
        (DuplicateFeatures(images, images, None, np.zeros((3, 48, 48), np.uint8)), "pixels"),
    ):
        with pytest.raises(InvalidArgumentError) as caught:
            find_duplicates(wrong)
        assert caught.value.violations[0].field.startswith(field)
    for change in (
        {"min_picture": 0.0},
        {"min_picture": 1.1},
        {"max_difference": -1.0},
        {"neighbours": 0},
        {"max_group": 1},
    ):
        with pytest.raises(InvalidArgumentError, match=next(iter(change))):
            DuplicateConfig(**change)  # type: ignore[arg-type]
