from __future__ import annotations

from pathlib import Path

import numpy as np

from mmrec.data.dataset import read_dataset
from mmrec_encoders.picture_reading import PictureFailure, load_small_pictures, picture_batches


def test_pictures_come_in_the_order_of_their_items_a_bounded_number_at_a_time(shop: Path) -> None:
    data = read_dataset(shop)
    batches = list(picture_batches(data.catalogue.images, data.pictures, size=64, batch_size=4))
    assert [len(batch) for batch in batches] == [4, 4, 3]
    flat = [pair for batch in batches for pair in batch]
    assert [row for row, _ in flat] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11]
    sizes = [found.size for _, found in flat if not isinstance(found, PictureFailure)]
    assert sizes == [(40 + number, 50) for number in (0, 1, 2, 3, 5, 6, 8, 10, 11)]


def test_pictures_for_training_are_shrunk_and_know_their_rows(shop: Path) -> None:
    data = read_dataset(shop)
    small = load_small_pictures(data.catalogue, data.pictures)
    assert small.pixels_M3HW.shape == (9, 3, 72, 72)
    assert small.pixels_M3HW.dtype == np.uint8
    assert small.rows_M.tolist() == [0, 1, 2, 3, 5, 6, 8, 10, 11]
    assert [failure.row for failure in small.failures] == [4, 7]
    # The background's corner: red, green, blue in turn.
    assert small.pixels_M3HW[:3, :, -1, -1].argmax(axis=1).tolist() == [0, 1, 2]
