from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmrec.data.pictures import PictureStore, decode_picture
from mmrec.errors import FailedPreconditionError
from mmrec_encoders.finetuning.pictures import (
    KeptPictures,
    StreamedPictures,
    check_pictures,
    failures_file,
    keep_pictures,
    kept_failures,
)
from mmrec_encoders.preparation import Squeeze
from tests.encoders.finetuning.tiny import Silent

REFS = tuple(f"{number}.png" for number in range(40, 48))
"""The seventh is damaged."""


def _expected(shop: Path, number: int, size: int) -> np.ndarray:
    return Squeeze(size)(decode_picture((shop / "images" / f"{number}.png").read_bytes()))


def test_pictures_are_kept_on_two_sides_at_two_sizes(colour_shop: Path, tmp_path: Path) -> None:
    held = np.array([False, True, False, False, True, False, False, True])
    sides = [
        (tmp_path / "large.npy", Squeeze(24), (24, 24), ~held),
        (tmp_path / "small.npy", Squeeze(16), (16, 16), held),
    ]
    failures = keep_pictures(REFS, PictureStore(colour_shop), sides, Silent())
    assert [failure.row for failure in failures] == [6]
    assert kept_failures(failures_file(tmp_path / "large.npy")) == failures
    large = KeptPictures(tmp_path / "large.npy", np.cumsum(~held) - 1)
    small = KeptPictures(tmp_path / "small.npy", np.cumsum(held) - 1)
    np.testing.assert_array_equal(large.read(np.array([5, 0]))[0], _expected(colour_shop, 45, 24))
    np.testing.assert_array_equal(large.read(np.array([5, 0]))[1], _expected(colour_shop, 40, 24))
    np.testing.assert_array_equal(small.read(np.array([7]))[0], _expected(colour_shop, 47, 16))


def test_what_did_not_come_to_its_end_is_not_taken_for_whole(tmp_path: Path) -> None:
    assert kept_failures(tmp_path / "missing.json") is None
    (tmp_path / "half.json").write_text('[[1, "bro')
    assert kept_failures(tmp_path / "half.json") is None


def test_streamed_pictures_come_in_order_announced_or_not(colour_shop: Path) -> None:
    source = StreamedPictures(REFS, PictureStore(colour_shop), Squeeze(16))
    rows = np.array([3, 0, 3])
    plain = source.read(rows)
    source.expect(rows)
    source.expect(rows)
    np.testing.assert_array_equal(source.read(rows), plain)
    np.testing.assert_array_equal(plain[0], _expected(colour_shop, 43, 16))
    np.testing.assert_array_equal(plain[1], _expected(colour_shop, 40, 16))
    source.close()


def test_a_picture_that_goes_bad_during_a_training_is_named(colour_shop: Path) -> None:
    source = StreamedPictures((*REFS, "gone.png"), PictureStore(colour_shop), Squeeze(16))
    with pytest.raises(FailedPreconditionError, match=r"the picture '46.png' could be read when the training began"):
        source.read(np.array([6]))
    with pytest.raises(FailedPreconditionError, match=r"'gone.png' existed when training started and is missing now"):
        source.read(np.array([8]))
    source.close()


def test_checking_finds_the_same_failures(colour_shop: Path, tmp_path: Path) -> None:
    failures = check_pictures(REFS, PictureStore(colour_shop), tmp_path / "failures.json", Silent())
    assert [failure.row for failure in failures] == [6]
    assert kept_failures(tmp_path / "failures.json") == failures
