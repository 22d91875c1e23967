"""Makes what the embedding benchmarks read: photograph-like JPEG files, product texts of mixed lengths.

Everything is drawn from a seed; nothing of third parties. Files are made once and kept in the work folder.
"""

# Axes: H height, W width

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from benchmarks.kept import staged
from benchmarks.report import WORK

MEAN_WORDS = 40
"""Of `product_texts`, about."""
_SYLLABLES = ("ba", "cor", "den", "el", "fi", "gra", "hu", "in", "jo", "kel", "lum", "mi", "nor", "o", "pra", "qui")


def picture_dataset(count: int, size: int, seed: int = 0) -> Path:
    """A dataset folder of `count` items with a JPEG of `size` x `size` pixels (quality 85) each; made if need be."""
    folder = WORK / f"pictures-{count}x{size}-{seed}"
    if folder.is_dir():
        return folder
    with staged(folder) as staging, ProcessPoolExecutor() as pool:
        images = staging / "images"
        images.mkdir()
        list(pool.map(_write_picture, repeat(images), range(count), repeat(size), repeat(seed), chunksize=8))
        _write_items(staging, [{"item_id": f"p{row:06d}", "image": f"{row:06d}.jpg"} for row in range(count)])
    return folder


def _write_items(folder: Path, items: list[dict[str, str]]) -> None:
    (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")


def _write_picture(folder: Path, row: int, size: int, seed: int) -> None:
    draw_picture(size, np.random.default_rng([seed, row])).save(folder / f"{row:06d}.jpg", quality=85)


def draw_picture(size: int, rng: np.random.Generator) -> Image.Image:
    """Soft light and shade, some shapes with edges, and grain: about as many bytes as a photograph of the size."""
    ground = np.zeros((size, size, 3), np.float32)
    for cells, strength in ((3, 70.0), (8, 35.0), (24, 18.0), (72, 9.0)):
        noise = rng.normal(0, strength, (cells, cells, 3)).astype(np.float32)
        ground += _enlarged(noise, size)
    ground += rng.uniform(70, 180, 3).astype(np.float32)
    picture = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(4, 12))):
        left, top = rng.integers(-size // 8, size, 2).tolist()
        wide, high = rng.integers(size // 16, size // 2, 2).tolist()
        box = (left, top, left + wide, top + high)
        colour = tuple(rng.integers(0, 256, 3).tolist())
        kind = int(rng.integers(0, 3))
        if kind == 0:
            pen.ellipse(box, fill=colour)
        elif kind == 1:
            pen.rectangle(box, fill=colour)
        else:
            pen.line(box, fill=colour, width=int(rng.integers(1, 8)))
    picture = picture.filter(ImageFilter.GaussianBlur(0.7))
    grain = rng.normal(0, 5.0, (size, size, 1)).astype(np.float32)
    return Image.fromarray(np.clip(np.asarray(picture, np.float32) + grain, 0, 255).astype(np.uint8))


def _enlarged(noise_CC3: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.float32]:
    channels = [
        np.asarray(Image.fromarray(noise_CC3[:, :, c]).resize((size, size), Image.Resampling.BICUBIC)) for c in range(3)
    ]
    return np.stack(channels, axis=2)


def product_texts(count: int, seed: int = 0) -> list[str]:
    """Distinct texts of 3 to 250 words, most of them short and a long tail (log-normal), in random order."""
    rng = np.random.default_rng(seed)
    vocabulary = ["".join(rng.choice(_SYLLABLES, int(rng.integers(1, 4)))) for _ in range(5000)]
    # Frequent words are frequent: a rank-frequency law, as in any language.
    chance = 1.0 / np.arange(1, len(vocabulary) + 1)
    chance /= chance.sum()
    lengths = np.clip(rng.lognormal(np.log(MEAN_WORDS * 0.65), 0.95, count).round(), 3, 250).astype(int)
    return [
        f"{' '.join(vocabulary[word] for word in rng.choice(len(vocabulary), length - 1, p=chance))} no. {row}"
        for row, length in enumerate(lengths.tolist())
    ]


def text_dataset(texts: list[str], name: str) -> Path:
    """A dataset folder of items that have these texts as descriptions and no pictures; made if need be."""
    folder = WORK / name
    if folder.is_dir():
        return folder
    with staged(folder) as staging:
        _write_items(staging, [{"item_id": f"t{row:06d}", "description": text} for row, text in enumerate(texts)])
    return folder
