"""Mismatches: items whose picture and words were swapped come first."""

from __future__ import annotations

import numpy as np
import pytest

from mmrec.errors import InvalidArgumentError
from mmrec.understanding.mismatch import find_mismatches
from tests.understanding.vectors import clusters, unit_rows


def catalogue(count: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and words that agree."""
    rng = np.random.default_rng(seed)
    images = clusters(rng, count, 24, of=5)
    texts = images + 0.7 * unit_rows(rng, count, 24)
    return images, (texts / np.linalg.norm(texts, axis=1, keepdims=True)).astype(np.float32)


def test_swapped_pictures_come_first() -> None:
    images, texts = catalogue()
    swapped = np.array([3, 50, 99, 200, 301, 420])
    images[swapped] = images[np.roll(swapped, 1)]
    found = find_mismatches(images, texts)
    assert set(found.rows_M[:6].tolist()) == set(swapped.tolist())
    assert len(found.rows_M) == 600
    assert (np.diff(found.fit_M) >= 0).all()
    assert found.fit_M[:6].max() < 0.9
    assert np.median(found.fit_M) > 0.98
    assert found.percentile_M[0] == 0.0
    assert found.percentile_M[300] == pytest.approx(0.5, abs=0.05)
    rows = found.rows_M
    np.testing.assert_allclose(found.agreement_M, (images[rows] * texts[rows]).sum(axis=1), atol=1e-5)


def test_words_that_are_near_everything_are_not_the_worst() -> None:
    images, texts = catalogue()
    # Short words: a low cosine with every picture, but lowest with all the others.
    texts[7] = images[7] * 0.2 + np.sqrt(1 - 0.04) * _across(images, images[7])
    texts[7] /= np.linalg.norm(texts[7])
    images[9] = -images[9]
    found = find_mismatches(images, texts)
    assert found.agreement_M[found.rows_M == 7][0] < 0.3
    assert found.rows_M[0] == 9
    assert found.fit_M[found.rows_M == 7][0] > 0.6


def _across(images: np.ndarray, own: np.ndarray) -> np.ndarray:
    """A direction that no picture looks into."""
    rest = np.linalg.svd(images - images.mean(axis=0))[2][-1]
    rest = rest - (rest @ own) * own
    return np.asarray(rest / np.linalg.norm(rest))


def test_by_chance_half_fit_worse() -> None:
    rng = np.random.default_rng(0)
    found = find_mismatches(unit_rows(rng, 500, 16), unit_rows(rng, 500, 16))
    assert found.fit_M.mean() == pytest.approx(0.5, abs=0.05)


def test_a_sample_says_about_the_same() -> None:
    images, texts = catalogue()
    images[:5] = images[5:0:-1] * -1
    every, some = find_mismatches(images, texts), find_mismatches(images, texts, sample=200)
    of_every = dict(zip(every.rows_M.tolist(), every.fit_M.tolist(), strict=True))
    assert (
        max(abs(of_every[row] - fit) for row, fit in zip(some.rows_M.tolist(), some.fit_M.tolist(), strict=True)) < 0.15
    )
    again = find_mismatches(images, texts, sample=200)
    assert again.rows_M.tolist() == some.rows_M.tolist()


def test_items_without_both_are_left_out() -> None:
    images, texts = catalogue(20)
    images[3] = 0
    texts[4] = 0
    assert sorted(find_mismatches(images, texts).rows_M.tolist()) == [0, 1, 2, *range(5, 20)]
    assert find_mismatches(np.zeros_like(images), texts).rows_M.tolist() == []
    assert find_mismatches(np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32)).rows_M.tolist() == []


def test_one_item_has_nothing_to_be_compared_with() -> None:
    images, texts = catalogue(1)
    assert find_mismatches(images, texts).fit_M.tolist() == [0.5]


def test_copies_tie() -> None:
    same = np.repeat(unit_rows(np.random.default_rng(0), 1, 8), 10, axis=0)
    found = find_mismatches(same, same)
    assert found.rows_M.tolist() == list(range(10))
    assert found.fit_M.tolist() == [0.5] * 10
    assert found.percentile_M.tolist() == [0.0] * 10


def test_what_does_not_fit_is_refused() -> None:
    images, texts = catalogue(6)
    with pytest.raises(InvalidArgumentError, match="6 picture vectors and 5 words"):
        find_mismatches(images, texts[:5])
    with pytest.raises(InvalidArgumentError, match="text has 8 dimensions, and 24 are needed"):
        find_mismatches(images, unit_rows(np.random.default_rng(0), 6, 8))
