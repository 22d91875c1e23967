"""Dataset folders made out of others: fewer columns, no pictures, or no events of some items.

Works on TSV folders as the real data sets are; what is made is a dataset folder like any other, so that a fit on it is
the fit of a user who has no more than that. Knows nothing of models.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from benchmarks.kept import staged
from mmrec.data.dataset import Need, read_dataset
from mmrec.data.pictures import PictureStore

Hidden = Literal["", "picture", "words"]
COLD_ONE_IN = 10
EVERY_RATING = 0.0
"""`min_rating` of the published protocols, in which every rating is an event, low ones too."""


class QualitySet(NamedTuple):
    """A real data set.

    Attributes:
        folder: Below the data folder.
        require: Items without it are left out.
        hashed: Files whose hashes are stored with the figures.
        pictures: Whether items have pictures.
        quick_users: Users of a rehearsal.
    """

    folder: str
    require: Need
    hashed: tuple[str, ...]
    pictures: bool
    quick_users: int


SETS = {
    "beauty": QualitySet("amazon-beauty", "", ("items.tsv", "events.tsv"), False, 60),
    "movielens": QualitySet("movielens-100k", "picture", ("items.tsv", "events.tsv", "images"), True, 6),
}


def is_cold(item_id: str, seed: int = 0) -> bool:
    """Whether an item is among the tenth whose events are hidden; depends on its id and the seed alone."""
    digest = hashlib.sha256(f"{seed}:{item_id}".encode()).digest()
    return int.from_bytes(digest[:8]) % COLD_ONE_IN == 0


def derive(
    source: Path,
    target: Path,
    *,
    require: Need = "",
    hidden: Hidden = "",
    without_events_of: Iterable[str] = (),
    users: int = 0,
) -> Path:
    """Make a dataset folder out of another, whole or not at all; an earlier one of this name is kept.

    Args:
        source: A dataset folder with ``items.tsv`` and ``events.tsv``.
        target: Where it is made.
        require: Items without it are left out, with their events.
        hidden: ``picture`` leaves out pictures, ``words`` every column but the picture.
        without_events_of: Items that stay in the catalogue and lose all their events.
        users: Only this many users, those of the first events, and the items of their events; 0 for all.

    Returns:
        `target`.
    """
    if target.is_dir():
        return target
    kept = set(read_dataset(source, require=require, min_rating=EVERY_RATING).catalogue.item_ids)
    item_rows, event_rows = _rows(source / "items.tsv"), _rows(source / "events.tsv")
    user_at, event_item_at = event_rows[0].index("user_id"), event_rows[0].index("item_id")
    events = [row for row in event_rows[1:] if row[event_item_at] in kept]
    if users:
        first = set(list(dict.fromkeys(row[user_at] for row in events))[:users])
        events = [row for row in events if row[user_at] in first]
        kept = {row[event_item_at] for row in events}
    cold = set(without_events_of)
    events = [row for row in events if row[event_item_at] not in cold]
    columns = _columns(item_rows[0], hidden)
    item_at = item_rows[0].index("item_id")
    items = [row for row in item_rows[1:] if row[item_at] in kept]

    with staged(target) as staging:
        _write(staging / "items.tsv", [[row[at] for at in columns] for row in [item_rows[0], *items]])
        _write(staging / "events.tsv", [event_rows[0], *events])
        if "image" in item_rows[0] and hidden != "picture":
            image_at = item_rows[0].index("image")
            store = PictureStore(source)
            for row in items:
                if row[image_at] and store.has(row[image_at]):
                    _place(source / row[image_at], staging / row[image_at])
    return target


def _columns(header: list[str], hidden: Hidden) -> list[int]:
    names = {"": header, "picture": [n for n in header if n != "image"], "words": ["item_id", "image"]}[hidden]
    return [at for at, name in enumerate(header) if name in names]


def _rows(path: Path) -> list[list[str]]:
    lines = path.read_text(encoding="utf-8").split("\n")
    return [line.split("\t") for line in lines if line]


def _write(path: Path, rows: list[list[str]]) -> None:
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


def _place(picture: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(picture, copy)
    except OSError:  # another file system
        shutil.copy2(picture, copy)
