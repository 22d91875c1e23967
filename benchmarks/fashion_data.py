"""Dataset folders made from the fashion catalogue: a smaller one, and one in which copies of items are planted.

They lie in the work folder, which is never committed. Knows nothing of what is measured on them.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mmrec.catalogue.catalogue import Catalogue
from mmrec.data.dataset import Dataset

__all__ = ["KINDS", "Planted", "plant_copies", "write_subset"]

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


def write_subset(data: Dataset, rows: Sequence[int], folder: Path) -> Path:
    """A dataset folder of these rows alone, with their pictures; made if need be."""
    if not folder.is_dir():
        staging = _staging(folder)
        _write_items(data.catalogue, rows, staging)
        for row in rows:
            _copy_picture(data, row, staging)
        staging.replace(folder)
    return folder


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
    note = folder / "planted.json"
    if not note.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        staging = _staging(folder)
        rng = np.random.default_rng(seed)
        named = [row for row in rows if len(data.catalogue.titles[row].split()) >= 3]
        chosen = rng.choice(np.array(named), count, replace=False).tolist()
        planted: dict[str, list[str]] = {"originals": [], "copies": [], "kinds": []}
        lines = []
        for number, row in enumerate(chosen):
            kind = KINDS[number % len(KINDS)]
            copy = f"copy-{number:05d}"
            data_bytes = data.pictures.read(data.catalogue.images[row])
            assert data_bytes is not None, "the rows were chosen for having pictures"
            (staging / "images" / f"{copy}.jpg").write_bytes(_changed(data_bytes, kind, rng))
            lines.append(_item(data.catalogue, row, copy, f"{copy}.jpg", reworded=kind.startswith("reworded"), rng=rng))
            planted["originals"].append(data.catalogue.item_ids[row])
            planted["copies"].append(copy)
            planted["kinds"].append(kind)
        _write_items(data.catalogue, rows, staging, more=lines, rng=rng)
        for row in rows:
            _copy_picture(data, row, staging)
        (staging / "planted.json").write_text(json.dumps(planted), encoding="utf-8")
        staging.replace(folder)
    return Planted(folder, **json.loads(note.read_text(encoding="utf-8")))


def _staging(folder: Path) -> Path:
    staging = folder.with_name(f".{folder.name}")
    shutil.rmtree(staging, ignore_errors=True)
    (staging / "images").mkdir(parents=True)
    return staging


def _write_items(
    catalogue: Catalogue,
    rows: Sequence[int],
    folder: Path,
    more: Sequence[dict[str, str]] = (),
    rng: np.random.Generator | None = None,
) -> None:
    lines = [_item(catalogue, row, catalogue.item_ids[row], Path(catalogue.images[row]).name) for row in rows]
    lines += more
    if rng is not None:
        lines = [lines[place] for place in rng.permutation(len(lines)).tolist()]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (folder / "items.jsonl").write_text(text, encoding="utf-8")


def _item(
    catalogue: Catalogue,
    row: int,
    item_id: str,
    image: str,
    *,
    reworded: bool = False,
    rng: np.random.Generator | None = None,
) -> dict[str, str]:
    title = catalogue.titles[row]
    if reworded and rng is not None:
        title = reword(title, rng)
    attributes = {name: values[row] for name, values in catalogue.attributes.items()}
    return {"item_id": item_id, "title": title, **attributes, "image": image}


def _copy_picture(data: Dataset, row: int, folder: Path) -> None:
    found = data.pictures.read(data.catalogue.images[row])
    if found is not None:
        (folder / "images" / Path(data.catalogue.images[row]).name).write_bytes(found)


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
