"""Photographs drawn for the tests, and what happens to photographs in catalogues."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from mmrec.understanding.thumbnails import thumbnail

__all__ = ["cropped", "photograph", "reencoded", "thumbnails"]


def photograph(seed: int, size: tuple[int, int] = (90, 120)) -> Image.Image:
    """A thing of some shapes on a light ground, different for every seed."""
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", size, (245, 245, 245))
    pen = ImageDraw.Draw(picture)
    width, height = size
    for _ in range(8):
        x, y = rng.uniform(0.1, 0.7, 2)
        box = (x * width, y * height, (x + rng.uniform(0.1, 0.3)) * width, (y + rng.uniform(0.1, 0.3)) * height)
        colour = tuple(int(value) for value in rng.integers(0, 230, 3))
        (pen.ellipse if rng.random() < 0.5 else pen.rectangle)(box, fill=colour)
    return picture


def reencoded(picture: Image.Image, quality: int = 40, scale: float = 0.8) -> Image.Image:
    small = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def cropped(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """Without these shares of its width and height."""
    width, height = picture.size
    return picture.crop(
        (round(left * width), round(top * height), round((1 - right) * width), round((1 - bottom) * height))
    )


def thumbnails(pictures: list[Image.Image]) -> npt.NDArray[np.uint8]:
    return np.stack([thumbnail(picture) for picture in pictures])
