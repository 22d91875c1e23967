"""Brings the pictures that items name by URL into the dataset folder, where everything else finds them.

A picture is stored as ``images/<hash of its URL>.<format>``, whole or not at all, and only if it can be decoded; then
the items table is replaced by one in which `image` is that name and `image_url` the URL. Names follow from URLs alone,
so a run that was killed goes on with what is missing, and a table that is imported again finds the pictures that are
there. What is not fetched keeps its URL, is tried again by the next run, and is told in ``_dead-letter.jsonl``.

Unit of work: one dataset folder. Knows nothing of what may be fetched from where: `mmrec.data.fetching` does.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from mmrec.data.fetching import PictureFetcher
from mmrec.data.files import replace_file
from mmrec.data.pictures import decode_picture, is_url, picture_format
from mmrec.data.problems import raise_if_fatal
from mmrec.data.tables import find_table, read_table
from mmrec.data.urls import shown_url
from mmrec.data.writing import TableWriter
from mmrec.errors import InvalidArgumentError, InvalidDatasetError, InvalidImageError, NotFoundError
from mmrec.progress import NO_PROGRESS, Progress

__all__ = ["DEAD_LETTERS", "FetchFailure", "FetchSummary", "fetch_pictures"]

DEAD_LETTERS = "_dead-letter.jsonl"
"""Name of the file in the dataset folder; it is there only after a run that failed to fetch something."""
_AT_ONCE = 1024
_SHOWN = 20
_SMALL = 64
_SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WebP": "webp", "GIF": "gif", "BMP": "bmp"}


class FetchFailure(NamedTuple):
    """A picture that was not fetched.

    item_id: the first item with it.  url: where it is.  reason: what was in the way, and the mend.
    """

    item_id: str
    url: str
    reason: str


class FetchSummary(NamedTuple):
    """What a run did.

    Attributes:
        dataset: The folder.
        urls: Different URLs among the pictures of items.
        fetched: Of these, fetched by this run.
        found: Of these, stored by a run before.
        failed: Of these, not fetched.
        items: Items whose `image` now names a stored picture instead of a URL.
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
    """Fetch the pictures that items name by URL into ``images/`` and let the items name them there.

    The items table is held in memory; of the pictures, as many as there are threads.

    Args:
        dataset: The dataset folder.
        fetcher: Fetches under its rules.
        progress: Told about each picture.
        threads: Pictures fetched at the same time, 1 to 64.

    Raises:
        NotFoundError: there is no such folder.
        InvalidDatasetError: there is no items table, or it cannot be used as it is.
    """
    if not 1 <= threads <= 64:
        raise InvalidArgumentError(f"threads is {threads}; it must be 1 to 64", field="threads")
    if not dataset.is_dir():
        raise NotFoundError(f"the dataset {str(dataset)!r} does not exist; give a folder that holds items.*")
    path, problem = find_table(dataset, "items")
    if path is None:
        why = problem.message if problem is not None else "there is no items table"
        raise InvalidDatasetError(f"the dataset {str(dataset)!r} cannot be used: {why}")
    ids, images = _ids_and_images(dataset, path)
    owners: dict[str, str] = {}
    for item_id, image in zip(ids, images, strict=True):
        if is_url(image):
            owners.setdefault(image, item_id)
    folder = dataset / "images"
    folder.mkdir(exist_ok=True)
    stored = {entry.stem: entry.name for entry in folder.iterdir()}
    names = {url: stored[_stem(url)] for url in owners if _stem(url) in stored}
    found = len(names)
    failures: list[FetchFailure] = []
    missing = [url for url in owners if url not in names]
    progress.start("pictures", len(missing), "pictures")
    for url, name, reason in _fetched(missing, folder, fetcher, threads):
        progress.advance()
        if name:
            names[url] = name
        else:
            failures.append(FetchFailure(owners[url], url, reason))
    progress.finish(f"{len(names) - found:,} fetched, {found:,} there before, {len(failures):,} failed")
    moved = sum(image in names for image in images)
    if moved:
        _name_in_table(path, names)
    _write_dead_letters(dataset / DEAD_LETTERS, failures)
    return FetchSummary(dataset, len(owners), len(names) - found, found, len(failures), moved, tuple(failures[:_SHOWN]))


def _ids_and_images(dataset: Path, path: Path) -> tuple[list[str], list[str]]:
    table = read_table(path)
    raise_if_fatal(dataset, table.problems)
    if "item_id" not in table.columns:
        raise InvalidDatasetError(f"{str(path)!r} has no column item_id; `mmrec check {dataset}` says more")
    ids: list[str] = table.text("item_id").to_pylist()
    if "image" not in table.columns:
        return ids, [""] * len(ids)
    return ids, table.text("image").to_pylist()


def _stem(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _fetched(
    urls: Sequence[str], folder: Path, fetcher: PictureFetcher, threads: int
) -> Iterator[tuple[str, str, str]]:
    """Each URL with the name of its file, or '' and the reason."""
    waiting = iter(urls)
    with ThreadPoolExecutor(threads, thread_name_prefix="mmrec-fetch") as pool:
        # Not all of them at once: of a million, a kill would wait for all that are queued.
        while window := list(islice(waiting, _AT_ONCE)):
            try:
                yield from pool.map(partial(_fetch, folder=folder, fetcher=fetcher), window)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _fetch(url: str, folder: Path, fetcher: PictureFetcher) -> tuple[str, str, str]:
    try:
        data = fetcher.fetch(url)
    except InvalidImageError as err:
        return url, "", err.message
    try:
        # The fetcher knows how a picture begins; one that is cut short or damaged behind is no use in the folder.
        decode_picture(data, size_hint=_SMALL)
    except InvalidImageError as err:
        return url, "", f"what is at {shown_url(url)} is no use: {err.message}"
    name = f"{_stem(url)}.{_SUFFIXES[picture_format(data)]}"
    replace_file(folder / name, lambda temporary: temporary.write_bytes(data))
    return url, name, ""


def _write_dead_letters(path: Path, failures: Sequence[FetchFailure]) -> None:
    if not failures:
        path.unlink(missing_ok=True)
        return
    lines = "".join(json.dumps(failure._asdict()) + "\n" for failure in failures)
    replace_file(path, lambda temporary: temporary.write_text(lines, encoding="utf-8"))


# --- the items table ----------------------------------------------------------------------------------------


def _name_in_table(path: Path, names: Mapping[str, str]) -> None:
    """Replace the table by one that names stored pictures; everything else in it stays."""
    plain = path.name.removesuffix(".gz")
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=path.parent) as scratch:
        new = Path(scratch) / plain
        if plain.endswith(".parquet"):
            pq.write_table(_renamed(pq.read_table(path), names), new)
        elif plain.endswith(".jsonl"):
            _rename_in_lines(path, new, names)
        else:
            # Of text, each row is there: `_ids_and_images` refuses a table with rows that cannot be read.
            table = _renamed(pa.table(dict(read_table(path).columns)), names)
            with TableWriter(new, {field.name: field.type for field in table.schema}) as writer:
                writer.write(table)
        if path.name != plain:
            packed = Path(scratch) / path.name
            with new.open("rb") as source, gzip.open(packed, "wb") as target:
                shutil.copyfileobj(source, target)
            new = packed
        replace_file(path, new.replace)


def _renamed(table: Any, names: Mapping[str, str]) -> Any:
    images = [value or "" for value in table.column("image").to_pylist()]
    urls = table.column("image_url").to_pylist() if _has(table, "image_url") else [""] * len(images)
    urls = [image if image in names else url or "" for image, url in zip(images, urls, strict=True)]
    new = {"image": [names.get(image, image) for image in images], "image_url": urls}
    for name, values in new.items():
        column = pa.array(values, pa.large_string() if _is_large(table) else pa.string())
        at = table.column_names.index(name) if _has(table, name) else -1
        table = table.set_column(at, name, column) if at >= 0 else table.append_column(name, column)
    return table


def _has(table: Any, name: str) -> bool:
    return name in table.column_names


def _is_large(table: Any) -> bool:
    return bool(pa.types.is_large_string(table.schema.field("image").type))


def _rename_in_lines(path: Path, new: Path, names: Mapping[str, str]) -> None:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.name.endswith(".gz") else data).decode("utf-8-sig")
    with new.open("w", encoding="utf-8", newline="\n") as out:
        for line in text.split("\n"):
            if not line.strip():
                continue
            record = json.loads(line)
            if (url := record.get("image")) in names:
                record |= {"image": names[url], "image_url": url}
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
