"""Dataset folders made from the fashion catalogue: a smaller one, and one in which copies of items are planted.

They lie in the work folder, which is never committed. Knows nothing of what is measured on them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks.kept import staged
from benchmarks.report import WORK
from mmrec.catalogue.catalogue import Catalogue
from mmrec.data.dataset import Dataset, read_dataset

KINDS = ("re-encoded", "resized", "cropped", "reworded", "reworded and re-encoded", "reworded and cropped")
"""What is done to a copy."""


class Planted(NamedTuple):
    """A dataset folder with copies in it.

    Attributes:
        folder: The dataset.
        originals: Item ids of the items that were copied, one per copy.
        copies: Item ids of the copies, in the same order.
        kinds: What was done to each; of `KINDS`.
    """

    folder: Path
    originals: list[str]
    copies: list[str]
    kinds: list[str]


def drawn_subset(source: Path, count: int) -> Path:
    """A dataset folder of so many items of another that have pictures; made if need be."""
    folder = WORK / f"{source.name}-{count}"
    if not folder.is_dir():
        data = read_dataset(source, require="picture")
        rows = drawn_rows(data, count, seed=0)
        with staged(folder) as staging:
            _write_items(_own_items(data.catalogue, rows), staging)
            _copy_pictures(data, rows, staging)
    return folder


def drawn_rows(data: Dataset, count: int, seed: int) -> list[int]:
    """So many rows of a catalogue, ascending."""
    return np.sort(np.random.default_rng(seed).choice(len(data.catalogue), count, replace=False)).tolist()


def plant_copies(data: Dataset, rows: Sequence[int], count: int, folder: Path, seed: int = 0) -> Planted:
    """A dataset folder of these rows and of copies of some of them; made if need be.

    A copy has the columns of its original; kinds take turns. A re-encoded or resized picture loses quality and not the
    frame, a cropped one loses 3 to 12% of each side; a reworded title keeps its meaning and few of its word pairs.

    Args:
        data: The catalogue.
        rows: Items of the new catalogue.
        count: How many of them are copied, once each.
        folder: The dataset folder to make.
        seed: Of everything that is drawn.
    """
    if not folder.is_dir():
        with staged(folder) as staging:
            _plant(data, rows, count, staging, np.random.default_rng(seed))
    return Planted(folder, **json.loads((folder / "planted.json").read_text(encoding="utf-8")))


def _plant(data: Dataset, rows: Sequence[int], count: int, folder: Path, rng: np.random.Generator) -> None:
    catalogue = data.catalogue
    _copy_pictures(data, rows, folder)
    named = [row for row in rows if len(catalogue.titles[row].split()) >= 3]
    planted: dict[str, list[str]] = {"originals": [], "copies": [], "kinds": []}
    items = _own_items(catalogue, rows)
    for number, row in enumerate(rng.choice(np.array(named), count, replace=False).tolist()):
        kind = KINDS[number % len(KINDS)]
        copy = f"copy-{number:05d}"
        picture = data.pictures.read(catalogue.images[row])
        assert picture is not None, "the rows were chosen for having pictures"
        (folder / "images" / f"{copy}.jpg").write_bytes(_changed(picture, kind, rng))
        title = catalogue.titles[row]
        title = reword(title, rng) if kind.startswith("reworded") else title
        items.append(_item(catalogue, row, copy, title, f"{copy}.jpg"))
        planted["originals"].append(catalogue.item_ids[row])
        planted["copies"].append(copy)
        planted["kinds"].append(kind)
    _write_items([items[place] for place in rng.permutation(len(items)).tolist()], folder)
    (folder / "planted.json").write_text(json.dumps(planted), encoding="utf-8")


def _own_items(catalogue: Catalogue, rows: Sequence[int]) -> list[dict[str, str]]:
    return [
        _item(catalogue, row, catalogue.item_ids[row], catalogue.titles[row], Path(catalogue.images[row]).name)
        for row in rows
    ]


def _item(catalogue: Catalogue, row: int, item_id: str, title: str, image: str) -> dict[str, str]:
    attributes = {name: values[row] for name, values in catalogue.attributes.items()}
    return {"item_id": item_id, "title": title, **attributes, "image": image}


def _write_items(items: Sequence[dict[str, str]], folder: Path) -> None:
    text = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
    (folder / "items.jsonl").write_text(text, encoding="utf-8")


def _copy_pictures(data: Dataset, rows: Sequence[int], folder: Path) -> None:
    images = folder / "images"
    images.mkdir()
    for row in rows:
        found = data.pictures.read(data.catalogue.images[row])
        if found is not None:
            (images / Path(data.catalogue.images[row]).name).write_bytes(found)


# --- changes ----------------------------------------------------------------------------------------------------------

_WORDS = {
    "men": "men's",
    "women": "women's",
    "boys": "boys'",
    "girls": "girls'",
    "tshirt": "tee",
    "t-shirt": "tee",
    "tshirts": "tees",
    "shirt": "shirts",
    "shoes": "footwear pair",
    "watch": "wristwatch",
    "bag": "handbag",
    "sunglasses": "shades",
    "kurta": "kurti",
    "jeans": "denims",
    "trousers": "pants",
    "printed": "print",
    "black": "in black",
    "white": "in white",
    "blue": "in blue",
    "red": "in red",
}


def reword(title: str, rng: np.random.Generator) -> str:
    """The same in other words: synonyms, and the parts after the first word in another order."""
    words = [_WORDS.get(word.lower(), word) for word in title.split()]
    head, tail = words[:1], words[1:]
    turn = int(rng.integers(1, max(2, len(tail))))
    tail = tail[turn:] + tail[:turn]
    return str(
        rng.choice([f"{' '.join(head + tail)}", f"{' '.join(tail)} by {head[0]}", f"{head[0]} - {' '.join(tail)}"])
    )


def _changed(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    if kind == "reworded":
        return data
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    width, height = picture.size
    if kind == "resized":
        factor = float(rng.uniform(0.6, 1.8))
        picture = picture.resize((round(width * factor), round(height * factor)), Image.Resampling.LANCZOS)
    elif kind.endswith("cropped"):
        left, top, right, bottom = rng.uniform(0.03, 0.12, 4)
        box = (round(left * width), round(top * height), round((1 - right) * width), round((1 - bottom) * height))
        picture = picture.crop(box)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=int(rng.integers(45, 86)))
    return out.getvalue()
