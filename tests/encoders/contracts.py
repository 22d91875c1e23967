"""What every encoder has to do, whatever is inside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from mmrec_encoders.protocols import ImageEncoder, TextEncoder, Vectors

TEXTS = (
    "a red mug",
    "",
    "Ein blauer Stuhl aus Eichenholz, mit Armlehnen und einem Kissen aus Wolle. " * 20,
    "a red mug",
    "日本の陶器 🍵 ‮ \x00 \ud800",
    "x",
    "green cushion with dots",
    " \n\t ",
    "word " * 3000,
)
"""Short, long, empty, repeated, foreign and malformed."""


def drawn(width: int, height: int, colour: tuple[int, int, int], mark: int = 0) -> Image.Image:
    picture = Image.new("RGB", (width, height), colour)
    ImageDraw.Draw(picture).ellipse((mark, mark, width // 2 + mark, height // 2 + mark), fill=(255, 255, 255))
    return picture


PICTURES = (
    drawn(64, 64, (200, 30, 30)),
    drawn(1, 1, (10, 20, 30)),
    drawn(300, 40, (30, 200, 30), 5),
    drawn(40, 300, (30, 30, 200), 9),
    drawn(64, 64, (200, 30, 30)),
    drawn(500, 500, (250, 250, 250), 40),
    drawn(17, 23, (0, 0, 0)),
)
"""Square, tiny, wide, tall, repeated, large and dark."""


def assert_unit_rows(vectors: Vectors, count: int, dim: int) -> None:
    assert vectors.shape == (count, dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def assert_cosines(left: Vectors, right: Vectors, least: float) -> None:
    cosines = (left * right).sum(axis=1)
    assert cosines.min() >= least, f"rows agree with cosines {np.round(cosines, 5).tolist()}"


LEAST = {"float32": 0.9999, "bfloat16": 0.999, "float16": 0.999}
"""Least cosine between a row made alone and the same row made among others, by number format."""


def assert_text_encoder(encoder: TextEncoder, dtype: str = "float32") -> None:
    _assert_batch_law(encoder.encode, TEXTS, encoder.dim, LEAST[dtype])
    _assert_batch_law(lambda texts: encoder.encode(texts, query=True), TEXTS, encoder.dim, LEAST[dtype])
    assert "@" in encoder.fingerprint


def assert_image_encoder(encoder: ImageEncoder, dtype: str = "float32") -> None:
    _assert_batch_law(encoder.encode, PICTURES, encoder.dim, LEAST[dtype])
    assert encoder.picture_size == encoder.preparation.size > 0
    pixels = np.stack([encoder.preparation(picture) for picture in PICTURES])
    np.testing.assert_array_equal(encoder.encode_pixels(pixels), encoder.encode(PICTURES))
    assert encoder.encode_pixels(pixels[:0]).shape == (0, encoder.dim)
    assert "@" in encoder.fingerprint


def _assert_batch_law(
    encode: Callable[[Sequence[Any]], Vectors], inputs: Sequence[Any], dim: int, least: float
) -> None:
    whole = encode(inputs)
    assert_unit_rows(whole, len(inputs), dim)
    np.testing.assert_array_equal(encode(inputs), whole, err_msg="the same call twice gives other vectors")
    singles = np.concatenate([encode([one]) for one in inputs])
    assert_cosines(whole, singles, least)
    # Rows that are far apart stay apart, so that a wrong order cannot pass.
    assert (whole @ whole[0]).min() < least
    # Other neighbours, another order, and more than one batch.
    shuffled = np.random.default_rng(0).permutation(np.tile(np.arange(len(inputs)), 4))
    assert_cosines(encode([inputs[i] for i in shuffled]), whole[shuffled], least)
    assert encode([]).shape == (0, dim)
    assert encode([]).dtype == np.float32
