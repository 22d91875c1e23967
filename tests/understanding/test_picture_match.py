"""Pictures laid over each other: copies, cuttings, and other things that look alike."""

from __future__ import annotations

import numpy as np
import pytest

from mmrec.errors import InvalidArgumentError
from mmrec.understanding.picture_match import NOT_ALIGNED, PictureMatcher
from tests.understanding.pictures import cropped, photograph, reencoded, thumbnails

COUNT = 24
ORIGINALS = [photograph(seed) for seed in range(COUNT)]


def differences(copies: list) -> np.ndarray:  # type: ignore[type-arg]
    matcher = PictureMatcher(thumbnails([*ORIGINALS, *copies]), np.ones(2 * COUNT, np.bool_))
    return matcher.match(np.arange(COUNT), np.arange(COUNT, 2 * COUNT), max_close=9)


def test_equal_pictures() -> None:
    assert differences(ORIGINALS).max() < 0.5


@pytest.mark.parametrize(("quality", "scale"), [(35, 1.0), (60, 0.7), (90, 1.3)])
def test_reencoded(quality: int, scale: float) -> None:
    assert differences([reencoded(picture, quality, scale) for picture in ORIGINALS]).max() < 10


@pytest.mark.parametrize("borders", [(0.1, 0.1, 0.1, 0.1), (0.15, 0.12, 0.13, 0.15), (0.05, 0.15, 0.15, 0.05)])
def test_cut(borders: tuple[float, float, float, float]) -> None:
    found = differences([reencoded(cropped(picture, *borders), 80, 1.0) for picture in ORIGINALS])
    assert np.quantile(found, 0.9) < 10


def test_other_things() -> None:
    found = differences([photograph(seed + 1000) for seed in range(COUNT)])
    assert found.min() > 20


def test_one_stroke_more_is_seen() -> None:
    changed = []
    for picture in ORIGINALS:
        other = picture.copy()
        other.paste((20, 20, 20), (30, 40, 52, 66))
        changed.append(other)
    assert np.median(differences(changed)) > 20


def test_either_order_and_any_company_give_the_same() -> None:
    copies = [cropped(picture, 0.1, 0.1, 0.1, 0.1) for picture in ORIGINALS]
    matcher = PictureMatcher(thumbnails([*ORIGINALS, *copies]), np.ones(2 * COUNT, np.bool_))
    one, two = np.arange(COUNT), np.arange(COUNT, 2 * COUNT)
    forth = matcher.match(one, two, max_close=9)
    np.testing.assert_allclose(matcher.match(two, one, max_close=9), forth, atol=0.1)
    np.testing.assert_allclose(matcher.match(one[3:4], two[3:4], max_close=9), forth[3:4], atol=0.1)


def test_only_the_pairs_that_are_worth_it_are_compared_closely() -> None:
    matcher = PictureMatcher(thumbnails([*ORIGINALS[:4], reencoded(ORIGINALS[0])]), np.ones(5, np.bool_))
    first, second = np.array([0, 0, 0, 0]), np.array([1, 2, 3, 4])
    assert matcher.match(first, second, max_close=9)[3] < 10
    assert matcher.match(first, second, max_close=9, give_up=1e-3).tolist() == [NOT_ALIGNED] * 4
    assert matcher.match(first[:0], second[:0], max_close=1).shape == (0,)


def test_blank_pictures() -> None:
    blank = np.full((3, 3, 48, 48), 255, np.uint8)
    blank[2] = thumbnails(ORIGINALS[:1])[0]
    matcher = PictureMatcher(blank, np.ones(3, np.bool_))
    found = matcher.match(np.array([0, 0]), np.array([1, 2]), max_close=9)
    assert found[0] == 0
    assert found[1] > 20
    assert not matcher.sketches(np.array([0])).any()
    np.testing.assert_allclose(np.linalg.norm(matcher.sketches(np.array([2]), crops=True), axis=1), 1, atol=1e-5)


def test_what_is_no_thumbnail_is_refused() -> None:
    flags = np.ones(2, np.bool_)
    for shape in ((2, 3, 48), (2, 1, 48, 48), (2, 3, 16, 48)):
        with pytest.raises(InvalidArgumentError, match="pixels have shape"):
            PictureMatcher(np.zeros(shape, np.uint8), flags)
    with pytest.raises(InvalidArgumentError, match="type float32"):
        PictureMatcher(np.zeros((2, 3, 48, 48), np.float32), flags)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="2 thumbnails and 3 flags"):
        PictureMatcher(np.zeros((2, 3, 48, 48), np.uint8), np.ones(3, np.bool_))
