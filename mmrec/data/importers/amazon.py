"""Amazon Reviews, the release of 2023 or of 2018, into a dataset folder, from the reviews and the metadata of one
category (JSON Lines, gzipped or not).

The records show the release. In 2023 an item is a `parent_asin`, which both files share, because colours and sizes of a
product have their own ASINs; in 2018 it is an `asin`. Counts and averages of ratings in the metadata are left out,
because they include later reviews. Pictures stay URLs; they are not fetched. Everything left out is counted.

Source: https://amazon-reviews-2023.github.io/ and https://nijianmo.github.io/amazon/
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from mmrec.catalogue.html_text import html_to_text, looks_like_html
from mmrec.data.importers.left_out import LeftOutTally
from mmrec.data.importers.shop_items import host_of, picture_notes
from mmrec.data.importers.shop_values import timestamp_of
from mmrec.data.importers.streams import read_json_lines
from mmrec.data.writing import ImportSummary, PictureHost, TableWriter, dataset_folder
from mmrec.errors import InvalidDatasetError
from mmrec.runtime.progress import NO_PROGRESS, Progress

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
_DATE_2018 = re.compile(r"(\d{1,2}) (\d{1,2}), (\d{4})", re.ASCII)
"""Date format of the release of 2018: ``05 3, 2011``."""


class _Release(NamedTuple):
    """Keys of the records of a release, preferred keys first.

    metadata: by column of the items, without the picture.  pictures: of pictures.  reviews: by column of the events.
    """

    metadata: Mapping[str, tuple[str, ...]]
    pictures: tuple[str, ...]
    reviews: Mapping[str, tuple[str, ...]]


_RELEASE_2023 = _Release(
    {
        "item_id": ("parent_asin",),
        "title": ("title",),
        "description": ("description",),
        "main_category": ("main_category",),
        "categories": ("categories",),
        "store": ("store",),
        "price": ("price",),
        "features": ("features",),
    },
    ("images",),
    {
        "user_id": ("user_id",),
        "item_id": ("parent_asin", "asin"),
        "timestamp": ("timestamp",),
        "rating": ("rating",),
    },
)
_RELEASE_2018 = _Release(
    {
        "item_id": ("asin",),
        "title": ("title",),
        "description": ("description",),
        "main_category": ("main_cat",),
        "categories": ("category", "categories"),
        "store": ("brand",),
        "price": ("price",),
        "features": ("feature",),
    },
    ("imageURLHighRes", "imageURL", "imUrl", "image"),
    {
        "user_id": ("reviewerID",),
        "item_id": ("asin",),
        "timestamp": ("unixReviewTime", "reviewTime"),
        "rating": ("overall",),
    },
)
_LISTS = {"description": " ", "categories": "|", "features": "|"}


def import_amazon(
    reviews: Path,
    metadata: Path,
    out: Path,
    progress: Progress = NO_PROGRESS,
    *,
    table_format: str = "parquet",
    overwrite: bool = False,
) -> ImportSummary:
    """Write one category of Amazon Reviews as a dataset folder.

    Args:
        reviews: For example ``All_Beauty.jsonl.gz`` (2023) or ``All_Beauty_5.json.gz`` (2018).
        metadata: For example ``meta_All_Beauty.jsonl.gz`` or ``meta_All_Beauty.json.gz``.
        out: The dataset folder to make.
        progress: Reports each stage.
        table_format: One of ``parquet``, ``csv``, ``tsv``, ``jsonl``.
        overwrite: Replace the tables of a dataset that is there.

    Raises:
        NotFoundError: a file does not exist.
        InvalidDatasetError: a file is damaged or is not what it should be, or `out` is not free.
    """
    tally = LeftOutTally()
    with dataset_folder(out, overwrite=overwrite) as folder:
        ids, hosts = _write_items(metadata, folder / f"items.{table_format}", tally, progress)
        if not ids:
            raise InvalidDatasetError(
                f"{str(metadata)!r} has no item with a parent_asin (2023) or asin (2018); give the file called meta_*"
            )
        before = tally.found
        events, users = _write_events(reviews, folder / f"events.{table_format}", ids, tally, progress)
        if not events:
            raise InvalidDatasetError(
                f"{str(reviews)!r} has no review of an item of {str(metadata)!r}; give both files of one category "
                f"({tally.reasons(before) or 'it has no reviews'})"
            )
    notes = picture_notes(out, hosts)
    return ImportSummary(out, len(ids), users, events, picture_hosts=hosts, **tally.summary(*notes))


def _release(record: Mapping[str, Any]) -> _Release:
    """The release that a record of either file belongs to."""
    if "parent_asin" in record or "user_id" in record or "asin" not in record:
        return _RELEASE_2023
    return _RELEASE_2018


def _write_items(
    path: Path, table: Path, tally: LeftOutTally, progress: Progress
) -> tuple[set[str], tuple[PictureHost, ...]]:
    ids: set[str] = set()
    hosts: Counter[str] = Counter()
    with TableWriter(table, dict.fromkeys(_ITEMS, pa.string())) as writer:
        for line in read_json_lines(path, "metadata", progress):
            place = f"{path.name}:{line.number}"
            if line.record is None:
                tally.row("lines of metadata that are no JSON objects", place)
                continue
            release = _release(line.record)
            found = {name: _first(line.record, keys, _LISTS.get(name, "")) for name, keys in release.metadata.items()}
            item_id = found["item_id"]
            if not item_id:
                tally.row(f"lines of metadata without {release.metadata['item_id'][0]}", place)
                continue
            if item_id in ids:
                tally.row("lines of metadata whose item was there before", f"{item_id!r:.80} at {place}")
                continue
            _count_unused_fields(line.record, (*release.metadata.values(), release.pictures), tally, place)
            ids.add(item_id)
            # Some titles and descriptions of 2018 are HTML.
            for name in ("title", "description"):
                if looks_like_html(found[name]):
                    found[name] = " ".join(html_to_text(found[name]).split())
            found["image"] = next(filter(None, (_picture(line.record.get(key)) for key in release.pictures)), "")
            if found["image"]:
                hosts[host_of(found["image"])] += 1
            writer.add(found)
    progress.finish(f"{len(ids):,} items")
    return ids, tuple(PictureHost(host, count) for host, count in hosts.most_common())


def _write_events(path: Path, table: Path, ids: set[str], tally: LeftOutTally, progress: Progress) -> tuple[int, int]:
    """Numbers of events and of users."""
    users: set[str] = set()
    with TableWriter(table, _EVENTS) as writer:
        for line in read_json_lines(path, "reviews", progress):
            place = f"{path.name}:{line.number}"
            if line.record is None:
                tally.row("reviews that are no JSON objects", place)
                continue
            release = _release(line.record)
            names = release.reviews
            user_id, item_id = (_first(line.record, names[name]) for name in ("user_id", "item_id"))
            if not user_id or not item_id:
                tally.row(f"reviews without {names['user_id'][0]} or {names['item_id'][0]}", place)
                continue
            if item_id not in ids:
                tally.row("reviews of items that the metadata does not have", f"{item_id!r:.80} at {place}")
                continue
            timestamps = (_timestamp(line.record.get(key)) for key in names["timestamp"])
            timestamp = next((timestamp for timestamp in timestamps if timestamp is not None), None)
            if timestamp is None:
                key = names["timestamp"][0]
                tally.row(f"reviews whose {key} is no moment", f"{line.record.get(key)!r:.60} at {place}")
                continue
            item_key = next(key for key in names["item_id"] if _text(line.record.get(key)))
            used = (names["user_id"], (item_key,), names["timestamp"], names["rating"])
            _count_unused_fields(line.record, used, tally, place)
            users.add(user_id)
            rating = _rating(line.record, names["rating"][0], tally, place)
            writer.add({"user_id": user_id, "item_id": item_id, "timestamp": timestamp, "rating": rating})
    progress.finish(f"{writer.rows:,} events")
    return writer.rows, len(users)


def _first(record: Mapping[str, Any], keys: Iterable[str], separator: str = "") -> str:
    """The first text that is not empty under the keys, or ''."""
    return next(filter(None, (_text(record.get(key), separator) for key in keys)), "")


def _count_unused_fields(
    record: Mapping[str, Any], used: Iterable[tuple[str, ...]], tally: LeftOutTally, place: str
) -> None:
    names = {name for group in used for name in group}
    for key, value in record.items():
        if key not in names and value not in ("", None, [], {}):
            tally.column(key, value, place)


def _rating(record: Mapping[str, Any], key: str, tally: LeftOutTally, place: str) -> float | None:
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        if value is not None:
            tally.value(f"values of {key} that are no numbers", value, place)
        return None
    try:
        return float(value)
    except ValueError:
        tally.value(f"values of {key} that are no numbers", value, place)
        return None


def _timestamp(value: object) -> int | None:
    """A timestamp since 1970: numbers keep their unit (seconds in 2018, milliseconds in 2023), text becomes
    milliseconds; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 2**62 else None
    if isinstance(value, float):
        return int(value) if abs(value) < 2**62 else None
    if not isinstance(value, str):
        return None
    date_2018 = _DATE_2018.fullmatch(value.strip())
    timestamp = timestamp_of(f"{date_2018[3]}-{date_2018[1]:0>2}-{date_2018[2]:0>2}" if date_2018 else value)
    if timestamp is None:
        return None
    if timestamp.endswith("Z"):
        return round(datetime.fromisoformat(timestamp).timestamp() * 1000)
    return int(float(timestamp)) if float(timestamp) < 2**62 else None


def _text(value: object, separator: str = "") -> str:
    """Text of a JSON value: lists are joined, null and nested objects give ''."""
    if isinstance(value, str):
        # An unpaired surrogate is valid JSON and no valid text.
        return value.encode("utf-8", errors="replace").decode("utf-8").strip()
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return separator.join(filter(None, (_text(entry) for entry in value)))
    return ""


def _picture(images: object) -> str:
    """URL of the main picture, the largest version of it; '' when there is none."""
    if isinstance(images, str):
        return images.strip() if "://" in images else ""
    entries = images if isinstance(images, list) else []
    found = [image for image in entries if isinstance(image, dict)]
    found.sort(key=lambda image: image.get("variant") != "MAIN")  # a stable sort: otherwise the first
    for image in found:
        for size in ("hi_res", "large", "thumb"):
            if isinstance(image.get(size), str) and image[size]:
                return _text(image[size])
    return next((_text(entry) for entry in entries if isinstance(entry, str) and "://" in entry), "")
