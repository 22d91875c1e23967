"""Amazon Reviews 2023 into a dataset folder, from the reviews and the metadata of one category (JSON Lines,
gzipped or not).

An item is a `parent_asin`, which is what the two files share: colours and sizes of a product have ASINs of
their own. Counts and averages of ratings in the metadata are left out, for they are made with reviews that
come later in time. Pictures stay URLs; they are not fetched.

Source: https://amazon-reviews-2023.github.io/
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from mmrec.data.importers.streams import read_json_lines
from mmrec.data.writing import ImportSummary, TableWriter, dataset_folder
from mmrec.errors import InvalidDatasetError
from mmrec.progress import NO_PROGRESS, Progress

__all__ = ["import_amazon"]

_ITEMS = (
    "item_id",
    "title",
    "description",
    "image",
    "main_category",
    "categories",
    "store",
    "price",
    "features",
)
_EVENTS: Mapping[str, Any] = {
    "user_id": pa.string(),
    "item_id": pa.string(),
    "timestamp": pa.int64(),
    "rating": pa.float32(),
}
_BATCH = 100_000


def import_amazon(
    reviews: Path,
    metadata: Path,
    out: Path,
    progress: Progress = NO_PROGRESS,
    *,
    table_format: str = "parquet",
    overwrite: bool = False,
) -> ImportSummary:
    """Write one category of Amazon Reviews 2023 as a dataset folder.

    Args:
        reviews: For example ``All_Beauty.jsonl.gz``.
        metadata: For example ``meta_All_Beauty.jsonl.gz``.
        out: The dataset folder to make.
        progress: Told about each stage.
        table_format: One of ``parquet``, ``csv``, ``tsv``, ``jsonl``.
        overwrite: Replace the tables of a dataset that is there.

    Raises:
        NotFoundError: a file does not exist.
        InvalidDatasetError: a file is damaged or is not what it should be, or `out` is not free.
    """
    with dataset_folder(out, overwrite=overwrite) as folder:
        ids, bad_items = _write_items(metadata, folder / f"items.{table_format}", progress)
        if not ids:
            raise InvalidDatasetError(f"{str(metadata)!r} has no item with a parent_asin; give the file called meta_*")
        events, users, bad_reviews, unknown = _write_events(reviews, folder / f"events.{table_format}", ids, progress)
        if not events:
            raise InvalidDatasetError(
                f"{str(reviews)!r} has no review of an item of {str(metadata)!r}; give both files of one category"
            )
    counts = (
        (bad_items, "lines of metadata without a parent_asin of their own"),
        (bad_reviews, "reviews without user_id, parent_asin or timestamp"),
        (unknown, "reviews of items that the metadata does not have"),
    )
    notes = tuple(f"dropped {count:,} {what}" for count, what in counts if count)
    return ImportSummary(out, len(ids), users, events, bad_items + bad_reviews + unknown, notes)


def _write_items(path: Path, table: Path, progress: Progress) -> tuple[set[str], int]:
    ids: set[str] = set()
    dropped = 0
    rows: list[tuple[str, ...]] = []
    with TableWriter(table, dict.fromkeys(_ITEMS, pa.string())) as writer:
        for line in read_json_lines(path, "metadata", progress):
            record = line.record or {}
            item_id = _words(record.get("parent_asin"))
            if not item_id or item_id in ids:
                dropped += 1
                continue
            ids.add(item_id)
            rows.append(
                (
                    item_id,
                    _words(record.get("title")),
                    _words(record.get("description"), " "),
                    _picture(record.get("images")),
                    _words(record.get("main_category")),
                    _words(record.get("categories"), "|"),
                    _words(record.get("store")),
                    _words(record.get("price")),
                    _words(record.get("features"), "|"),
                )
            )
            if len(rows) == _BATCH:
                writer.write(dict(zip(_ITEMS, zip(*rows, strict=True), strict=True)))
                rows.clear()
        if rows:
            writer.write(dict(zip(_ITEMS, zip(*rows, strict=True), strict=True)))
    progress.finish(f"{len(ids):,} items")
    return ids, dropped


def _write_events(path: Path, table: Path, ids: set[str], progress: Progress) -> tuple[int, int, int, int]:
    """Numbers of events, users, bad reviews, and reviews of unknown items."""
    users: set[str] = set()
    bad = unknown = 0
    rows: list[tuple[str, str, int, float | None]] = []
    with TableWriter(table, _EVENTS) as writer:
        for line in read_json_lines(path, "reviews", progress):
            record = line.record or {}
            user_id = _words(record.get("user_id"))
            item_id = _words(record.get("parent_asin")) or _words(record.get("asin"))
            timestamp = record.get("timestamp")
            if not user_id or not item_id or not isinstance(timestamp, int) or abs(timestamp) >= 2**62:
                bad += 1
                continue
            if item_id not in ids:
                unknown += 1
                continue
            users.add(user_id)
            rating = record.get("rating")
            stars = float(rating) if isinstance(rating, int | float) else None
            rows.append((user_id, item_id, timestamp, stars))
            if len(rows) == _BATCH:
                writer.write(dict(zip(_EVENTS, zip(*rows, strict=True), strict=True)))
                rows.clear()
        if rows:
            writer.write(dict(zip(_EVENTS, zip(*rows, strict=True), strict=True)))
    progress.finish(f"{writer.rows:,} events")
    return writer.rows, len(users), bad, unknown


def _words(value: object, joint: str = "") -> str:
    """Text of a JSON value: lists are joined, null and nested objects are no text."""
    if isinstance(value, str):
        # Half a surrogate pair is valid JSON and no text.
        return value.encode("utf-8", errors="replace").decode("utf-8").strip()
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return joint.join(filter(None, (_words(entry) for entry in value)))
    return ""


def _picture(images: object) -> str:
    """URL of the main picture, the largest version of it; '' when there is none."""
    found = [image for image in images if isinstance(image, dict)] if isinstance(images, list) else []
    found.sort(key=lambda image: image.get("variant") != "MAIN")  # stable: otherwise the first
    for image in found:
        for size in ("hi_res", "large", "thumb"):
            if isinstance(image.get(size), str) and image[size]:
                return _words(image[size])
    return ""
