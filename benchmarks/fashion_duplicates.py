"""Copies planted among product photographs: how many of them are found, and how much else is called a copy.

Counted by pairs. Two items are one product when one is a copy of the other, when both are copies of one, or when their
picture files show the very same pixels, which the catalogue has of itself; the last are counted apart.
"""

# Axes: N items

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

from benchmarks.fashion_data import KINDS, Planted, drawn_rows, plant_copies
from benchmarks.intervals import share_estimate, shown
from benchmarks.options import Options
from benchmarks.progress import Lines
from benchmarks.report import Report
from benchmarks.rows import Rows
from mmrec.data.dataset import Dataset, read_dataset
from mmrec.data.pictures import decode_picture
from mmrec.training.encoding import load_thumbnails
from mmrec.understanding.duplicates import DuplicateFeatures, Duplicates, find_duplicates
from mmrec_encoders.embedding.catalogue import encode_pictures, encode_words
from mmrec_encoders.item_encoder import ItemEncoder

ITEMS, COPIES, SEED = 6000, 600, 11
QUICK_ITEMS, QUICK_COPIES = 1500, 120
WAYS = ("a dataset folder: vectors, titles and thumbnails", "a bundle: vectors and titles")
Pair = tuple[str, str]


def measure_duplicates(
    data: Dataset, encoder: ItemEncoder, hashes: dict[str, str], options: Options, rows: Rows, work: Path
) -> None:
    """Measure and publish the table."""
    items, copies = (QUICK_ITEMS, QUICK_COPIES) if options.quick else (ITEMS, COPIES)
    planted = plant_copies(data, drawn_rows(data, items, SEED), copies, work / f"planted-{items}-{copies}", SEED)
    table, details = [], []
    for way in WAYS:
        row = rows.measure(f"duplicates by {way}", partial(_counted, planted, encoder, way, work))
        found, called, same = row["found"], row["pairs called"], row["pairs with the same pixels"]
        true = row["true pairs called"]
        table.append(
            (
                way,
                "all",
                shown(share_estimate(found / copies, copies)),
                shown(share_estimate(true / max(1, called - same), max(1, called - same))),
                called,
                true,
                same,
                row["seconds"],
            )
        )
        for kind in KINDS:
            have, of = row["found by kind"][kind]
            table.append(
                (way, kind, shown(share_estimate(have / max(1, of), max(1, of))), None, None, None, None, None)
            )
        details.append({"way": way, **row})
    Report(
        "fashion-duplicates",
        f"{copies} copies planted among {items:,} items of the catalogue, found with the library's defaults from the "
        "adapted encoder's picture vectors, MiniLM's words vectors and titles. Pairs inside a group count; "
        "95% intervals after Wilson; seconds without the encoding. Pairs of the catalogue's own items whose pictures "
        "have the very same pixels are neither right nor wrong and left out of precision.",
        (
            "from",
            "copies",
            "recall",
            "precision",
            "pairs called",
            "of them planted",
            "of them the same pixels",
            "seconds",
        ),
        table,
        data=hashes,
        details={"rows": details},
        notes=["Aim: precision and recall of at least 0.95."],
        rehearsal=options.quick,
    ).publish()


def _counted(planted: Planted, encoder: ItemEncoder, way: str, work: Path) -> dict[str, Any]:
    data = read_dataset(planted.folder)
    original_of = dict(zip(planted.copies, planted.originals, strict=True))
    pictures = encode_pictures(encoder, data.catalogue, data.pictures, progress=Lines())
    words = encode_words(encoder, data.catalogue, progress=Lines())
    start = time.perf_counter()
    if way == WAYS[0]:
        # The title names the product; descriptions and attributes are shared by many.
        titles = [title or text for title, text in zip(data.catalogue.titles, data.catalogue.descriptions, strict=True)]
        thumbnails = load_thumbnails(data.catalogue, data.pictures, Lines())
        known = DuplicateFeatures(pictures.image_NI, words.text_NT, titles, thumbnails)
    else:
        known = DuplicateFeatures(pictures.image_NI, words.text_NT, data.catalogue.titles)
    duplicates = find_duplicates(known, progress=Lines())
    seconds = time.perf_counter() - start
    called = _pairs(duplicates, data.catalogue.item_ids)
    copied = {_pair(original, copy) for copy, original in original_of.items()}
    same = _same_pixels(data) - copied
    # A copy of an item is a copy of the item's own double, too.
    doubles = {pair for pair in called if _linked(pair, original_of, same)}
    true, twins = called & (copied | doubles), (called & same) - copied - doubles
    wrong = called - true - twins
    _write_wrong(work / f"wrong-{WAYS.index(way)}.txt", wrong, data)
    by_kind: dict[str, list[int]] = {kind: [0, 0] for kind in KINDS}
    for copy, kind in zip(planted.copies, planted.kinds, strict=True):
        by_kind[kind][0] += _pair(original_of[copy], copy) in called
        by_kind[kind][1] += 1
    return {
        "found": sum(found for found, _ in by_kind.values()),
        "found by kind": by_kind,
        "pairs called": len(called),
        "true pairs called": len(true),
        "pairs with the same pixels": len(twins),
        "wrong pairs called": len(wrong),
        "wrong pairs with a copy": sum(bool({*pair} & {*planted.copies}) for pair in wrong),
        "wrong pairs with one title": sum(_one_title(pair, data) for pair in wrong),
        "groups": len(duplicates.groups),
        "thresholds": duplicates.thresholds.why,
        "seconds": seconds,
    }


def _pair(one: str, two: str) -> Pair:
    return (one, two) if one < two else (two, one)


def _pairs(duplicates: Duplicates, item_ids: tuple[str, ...]) -> set[Pair]:
    return {
        _pair(item_ids[one], item_ids[two]) for group in duplicates.groups for one, two in combinations(group.rows, 2)
    }


def _same_pixels(data: Dataset) -> set[Pair]:
    """Pairs of items whose pictures decode to the very same pixels."""
    by_pixels: dict[bytes, list[str]] = defaultdict(list)
    for item_id, ref in zip(data.catalogue.item_ids, data.catalogue.images, strict=True):
        encoded = data.pictures.read(ref)
        if encoded is not None:
            picture = decode_picture(encoded)
            by_pixels[hashlib.sha256(repr(picture.size).encode() + picture.tobytes()).digest()].append(item_id)
    return {_pair(one, two) for ids in by_pixels.values() for one, two in combinations(ids, 2)}


def _linked(pair: Pair, original_of: dict[str, str], same: set[Pair]) -> bool:
    """Whether one of the pair is a copy of an item that has the very pixels of the other."""
    one, two = (original_of.get(item, item) for item in pair)
    return pair != (one, two) and (one == two or _pair(one, two) in same)


def _one_title(pair: Pair, data: Dataset) -> bool:
    titles = {data.catalogue.titles[row] for item in pair if (row := data.catalogue.row_of(item)) is not None}
    return len(titles) == 1


def _write_wrong(path: Path, wrong: set[Pair], data: Dataset) -> None:
    """For a person to look at, in the work folder: the data is not ours to show."""
    lines = []
    for pair in sorted(wrong):
        rows = [data.catalogue.row_of(item) for item in pair]
        lines.append("\t".join([*pair, *(data.catalogue.titles[row] for row in rows if row is not None)]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
