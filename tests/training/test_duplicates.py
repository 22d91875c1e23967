"""Duplicates of a dataset folder: pictures read, thumbnails made, copies found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL.Image import Image

from mmrec.data.dataset import Dataset, read_dataset
from mmrec.training.duplicates import find_dataset_duplicates, load_thumbnails
from mmrec.understanding.thumbnails import THUMBNAIL_SIDE
from mmrec_encoders.fusion import ItemFeatures
from mmrec_encoders.item_encoder import ItemEncoder
from tests.understanding.pictures import cropped, photograph, reencoded


class Blind:
    """A text encoder to which all texts are nearly alike."""

    dim = 8
    fingerprint = "blind"

    def encode(self, texts: Sequence[str], *, query: bool = False) -> np.ndarray:
        rows = np.ones((len(texts), 8)) + np.array([[len(text) % 7 / 100] + [0] * 7 for text in texts]).reshape(-1, 8)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Twenty things; 20 to 22 are copies of 0 to 2; 5 has no picture, and that of 6 cannot be read."""
    (tmp_path / "images").mkdir()
    pictures: list[Image] = [photograph(seed) for seed in range(20)]
    pictures += [reencoded(pictures[0]), cropped(pictures[1], 0.1, 0.12, 0.1, 0.12), pictures[2]]
    titles = [f"Lux thing {chr(97 + row)}lpha" for row in range(20)]
    titles += [titles[0], titles[1], "alpha thing Lux c"]
    lines = ["item_id\ttitle\timage"]
    for row, picture in enumerate(pictures):
        picture.save(tmp_path / "images" / f"{row}.png")
        lines.append(f"i{row}\t{titles[row]}\t{'' if row == 5 else f'{row}.png'}")
    (tmp_path / "images" / "6.png").write_bytes(b"GIF89a, or not")
    (tmp_path / "items.tsv").write_text("\n".join(lines) + "\n")
    return read_dataset(tmp_path)


def test_copies_are_found(dataset: Dataset) -> None:
    there = np.ones(23, np.bool_)
    there[5:7] = False
    image = np.random.default_rng(0).standard_normal((23, 16))
    image = image / np.linalg.norm(image, axis=1, keepdims=True) * there[:, None]
    encoder = ItemEncoder(None, Blind())
    words = encoder.encode_words(dataset.catalogue)
    features = ItemFeatures(image.astype(np.float32), there, words.text_NT, words.has_text_N)
    found = find_dataset_duplicates(dataset, encoder, features=features)
    assert sorted(group.rows for group in found.groups) == [(0, 20), (1, 21), (2, 22)]


def test_thumbnails(dataset: Dataset, tmp_path: Path) -> None:
    found = load_thumbnails(dataset.catalogue, dataset.pictures)
    assert found.shape == (23, 3, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    assert found.dtype == np.uint8
    assert [row for row in range(23) if not found[row].any()] == [5, 6]
    mapped = load_thumbnails(dataset.catalogue, dataset.pictures, path=tmp_path / "thumbnails.npy")
    assert isinstance(mapped, np.memmap)
    assert (np.load(tmp_path / "thumbnails.npy") == found).all()
