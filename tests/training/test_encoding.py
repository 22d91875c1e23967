"""The stages of a fit that read pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmrec.data.dataset import read_dataset
from mmrec.training.encoding import load_thumbnails
from mmrec.understanding.thumbnails import THUMBNAIL_SIDE
from tests.understanding.pictures import photograph


def test_thumbnails_are_zero_where_there_is_no_picture_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    lines = ["item_id\ttitle\timage"]
    for row in range(5):
        photograph(row).save(tmp_path / "images" / f"{row}.png")
        lines.append(f"i{row}\tThing {row}\t{'' if row == 2 else f'{row}.png'}")
    (tmp_path / "images" / "3.png").write_bytes(b"GIF89a, or not")
    (tmp_path / "items.tsv").write_text("\n".join(lines) + "\n")
    dataset = read_dataset(tmp_path)
    found = load_thumbnails(dataset.catalogue, dataset.pictures)
    assert found.shape == (5, 3, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    assert found.dtype == np.uint8
    assert [row for row in range(5) if not found[row].any()] == [2, 3]
