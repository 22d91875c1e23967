"""Downloads the pictures that items name by URL into the dataset folder.

A picture is stored as ``images/<hash of its URL>.<format>``, atomically, and only if it can be decoded. The tables do
not change: the picture store looks for a URL under that name. An interrupted run therefore continues with the missing
pictures, and a table that is imported again finds the stored ones. Failed URLs are listed in ``_dead-letter.jsonl`` and
tried again by the next run.

Unit of work: one dataset folder. What may be fetched from where is decided in `mmrec.data.fetching`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from mmrec.data.fetching import PictureFetcher
from mmrec.data.picture_names import STORED_SUFFIXES, stored_stem
from mmrec.data.pictures import decode_picture, is_url, picture_format
from mmrec.data.streaming import ItemStream
from mmrec.data.table_files import check_folder
from mmrec.data.urls import redacted_url
from mmrec.errors import InvalidImageError
from mmrec.runtime.files import replace_file
from mmrec.runtime.limits import check_number
from mmrec.runtime.progress import NO_PROGRESS, Progress

DEAD_LETTERS = "_dead-letter.jsonl"
"""Name of the file in the dataset folder; it is there only after a run that failed to fetch something."""
_BATCH = 1024
_MAX_EXAMPLES = 20
_DECODE_SIDE = 64


class FetchFailure(NamedTuple):
    """A picture that was not fetched.

    item_id: the first item with it.  url: where it is.  reason: the error and its remedy.
    """

    item_id: str
    url: str
    reason: str


class FetchSummary(NamedTuple):
    """Result of a run.

    Attributes:
        dataset: The folder.
        urls: Different URLs among the pictures of items.
        fetched: Of these, fetched by this run.
        found: Of these, stored by a run before.
        failed: Of these, not fetched.
        items: Items whose `image` is a URL.
        examples: The first of those that failed; `DEAD_LETTERS` has all.
    """

    dataset: Path
    urls: int
    fetched: int
    found: int
    failed: int
    items: int
    examples: tuple[FetchFailure, ...]


def fetch_pictures(
    dataset: Path, fetcher: PictureFetcher, progress: Progress = NO_PROGRESS, *, threads: int = 8
) -> FetchSummary:
    """Fetch the pictures that items name by URL into ``images/``.

    URLs are held in memory; of the pictures, as many as there are threads.

    Args:
        dataset: The dataset folder.
        fetcher: Fetches under its rules.
        progress: Reports each picture.
        threads: Pictures fetched at the same time, 1 to 64.

    Raises:
        NotFoundError: there is no such folder.
        InvalidDatasetError: there is no items table, or it cannot be used.
    """
    check_number("threads", threads, low=1, high=64)
    check_folder(dataset, "items.*")
    first_items, items = _urls(dataset)
    folder = dataset / "images"
    folder.mkdir(exist_ok=True)
    stored = {entry.stem for entry in folder.iterdir() if not entry.name.startswith(".")}
    found = sum(stored_stem(url) in stored for url in first_items)
    failures: list[FetchFailure] = []
    missing = [url for url in first_items if stored_stem(url) not in stored]
    progress.start("pictures", len(missing), "pictures")
    for url, reason in _fetch_all(missing, folder, fetcher, threads):
        progress.advance()
        if reason:
            failures.append(FetchFailure(first_items[url], url, reason))
    fetched = len(missing) - len(failures)
    progress.finish(f"{fetched:,} fetched, {found:,} there before, {len(failures):,} failed")
    _write_dead_letters(dataset / DEAD_LETTERS, failures)
    return FetchSummary(
        dataset, len(first_items), fetched, found, len(failures), items, tuple(failures[:_MAX_EXAMPLES])
    )


def _urls(dataset: Path) -> tuple[dict[str, str], int]:
    """The first item of each URL, and the number of items with one."""
    first_items: dict[str, str] = {}
    items = 0
    for window in ItemStream(dataset, _BATCH).windows():
        for item in window.items:
            if is_url(item.image):
                first_items.setdefault(item.image, item.item_id)
                items += 1
    return first_items, items


def _fetch_all(urls: Sequence[str], folder: Path, fetcher: PictureFetcher, threads: int) -> Iterator[tuple[str, str]]:
    """Each URL with the reason why it is not stored, '' for none."""
    waiting = iter(urls)
    with ThreadPoolExecutor(threads, thread_name_prefix="mmrec-fetch") as pool:
        # In batches, so that cancelling does not wait for a queue of a million.
        while window := list(islice(waiting, _BATCH)):
            try:
                yield from pool.map(partial(_fetch, folder=folder, fetcher=fetcher), window)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _fetch(url: str, folder: Path, fetcher: PictureFetcher) -> tuple[str, str]:
    try:
        data = fetcher.fetch(url)
    except InvalidImageError as err:
        return url, err.message
    try:
        # The fetcher checks only the first bytes; a truncated or damaged picture must not be stored.
        decode_picture(data, size_hint=_DECODE_SIDE)
    except InvalidImageError as err:
        return url, f"what is at {redacted_url(url)} is no use: {err.message}"
    name = f"{stored_stem(url)}.{STORED_SUFFIXES[picture_format(data)]}"
    replace_file(folder / name, lambda temporary: temporary.write_bytes(data))
    return url, ""


def _write_dead_letters(path: Path, failures: Sequence[FetchFailure]) -> None:
    if not failures:
        path.unlink(missing_ok=True)
        return
    lines = "".join(json.dumps(failure._asdict()) + "\n" for failure in failures)
    replace_file(path, lambda temporary: temporary.write_text(lines, encoding="utf-8"))
