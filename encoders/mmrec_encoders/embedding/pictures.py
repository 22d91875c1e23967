"""Reads or fetches, hashes, decodes and prepares pictures for an image encoder, in lists of tasks.

An unreadable picture gives a result with the reason; one whose vector is cached is not decoded. Runs in small worker
processes and imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from mmrec.contract.rules import MAX_PICTURE_BYTES
from mmrec.data.pictures import PictureStore, decode_picture, is_url
from mmrec.errors import InvalidImageError
from mmrec_encoders.embedding.cache import VectorCache, content_of, vector_key
from mmrec_encoders.embedding.fetched import FetchedUrls
from mmrec_encoders.protocols import Pixels, Preparation

_FETCHES = 16
"""Parallel downloads of one process."""


class Fetcher(Protocol):
    """Fetches pictures by URL; can be pickled. See `mmrec.data.fetching.PictureFetcher`."""

    def fetch(self, url: str) -> bytes:
        """The encoded bytes. Raises `InvalidImageError`."""
        ...


class PictureTask(NamedTuple):
    """A picture to read and decode.

    Attributes:
        row: Row of the item in its window; copied to the result.
        ref: Path in the dataset folder, or URL.
        data: The encoded picture, if the table contains it.
    """

    row: int
    ref: str
    data: bytes | None = None


class PictureResult(NamedTuple):
    """Result of one task.

    Attributes:
        row: Of the task.
        content: Hash of the encoded bytes, 32 bytes; empty if they could not be read.
        place: Row of the pixels; -1 if not decoded, because the vector is cached or the picture failed.
        reason: Why the picture failed; empty if it did not.
    """

    row: int
    content: bytes
    place: int
    reason: str


@dataclass(frozen=True)
class DecodeSetup:
    """Decoding options; can be pickled.

    Attributes:
        pictures: Resolves references.
        preparation: Preprocessing of a decoded picture.
        fingerprint: Of model and preparation, for `cache.vector_key`.
        cache: Folder of the vector cache, to skip cached pictures; None for none.
        fetcher: Fetches URLs; None fetches none.
        fetched: File of the URLs fetched by this run, see `fetched.FetchedUrls`; None for none.
    """

    pictures: PictureStore
    preparation: Preparation
    fingerprint: str
    cache: Path | None = None
    fetcher: Fetcher | None = None
    fetched: Path | None = None


class PictureDecoder:
    """Decodes lists of tasks.

    Args:
        setup: Decoding options.
    """

    def __init__(self, setup: DecodeSetup) -> None:
        self._setup = setup
        self._store = setup.pictures
        self._cache = None if setup.cache is None else VectorCache(setup.cache, read_only=True)
        self._fetched = None if setup.fetched is None else FetchedUrls(setup.fetched, read_only=True)

    def close(self) -> None:
        """Close the archive and the cache."""
        self._store.close()
        for file in (self._cache, self._fetched):
            if file is not None:
                file.close()

    def decode(
        self, tasks: Sequence[PictureTask], pixels_N3HW: Pixels, begun: Callable[[int], None] = lambda _: None
    ) -> list[PictureResult]:
        """One result per task, in the same order.

        Args:
            tasks: The pictures.
            pixels_N3HW: Output for prepared pictures, from the first row on; at least one row per task.
            begun: Called with the index of each task before it is processed.

        Raises:
            InvalidDatasetError: ``images.zip`` is damaged.
        """
        results: list[PictureResult] = []
        places: dict[bytes, int] = {}
        reasons: dict[bytes, str] = {}
        done = self._fetched_and_cached(tasks)
        read = self._read([entry for entry in enumerate(tasks) if entry[0] not in done], begun)
        for index, task in enumerate(tasks):
            if index in done:
                results.append(PictureResult(task.row, done[index], -1, ""))
                continue
            data = next(read)
            begun(index)
            if isinstance(data, str):
                results.append(PictureResult(task.row, b"", -1, data))
                continue
            content = content_of(data)
            if content in reasons:
                results.append(PictureResult(task.row, content, -1, reasons[content]))
                continue
            if content not in places and not self._is_cached(content):
                try:
                    picture = decode_picture(data, size_hint=self._setup.preparation.size)
                    pixels_N3HW[len(places)] = self._setup.preparation(picture)
                except InvalidImageError as err:
                    reasons[content] = err.message
                except MemoryError:
                    reasons[content] = "there is not enough memory to decode the picture; scale it down"
                else:
                    places[content] = len(places)
            place = places.get(content, -1)
            results.append(PictureResult(task.row, content, place, reasons.get(content, "")))
        return results

    def _is_cached(self, content: bytes) -> bool:
        return self._cache is not None and self._cache.contains(vector_key(content, self._setup.fingerprint))

    def _fetched_and_cached(self, tasks: Sequence[PictureTask]) -> dict[int, bytes]:
        """Content hashes, by index, of URLs that this run has fetched and whose vectors are cached."""
        if self._fetched is None:
            return {}
        urls = ((index, task.ref) for index, task in enumerate(tasks) if task.data is None and is_url(task.ref))
        contents = ((index, self._fetched.content(url)) for index, url in urls)
        return {index: content for index, content in contents if content is not None and self._is_cached(content)}

    def _read(self, tasks: Sequence[tuple[int, PictureTask]], begun: Callable[[int], None]) -> Iterator[bytes | str]:
        """The encoded bytes of each task, or the reason of a failure."""
        if self._setup.fetcher is None or not any(task.data is None and is_url(task.ref) for _, task in tasks):
            for index, task in tasks:
                begun(index)
                yield self._read_one(task)
            return
        with ThreadPoolExecutor(_FETCHES, thread_name_prefix="mmrec-fetch") as pool:
            yield from pool.map(self._read_one, [task for _, task in tasks])

    def _read_one(self, task: PictureTask) -> bytes | str:
        try:
            if task.data is not None:
                if len(task.data) > MAX_PICTURE_BYTES:
                    size = f"{len(task.data):,} bytes; at most {MAX_PICTURE_BYTES:,} are read"
                    return f"the picture in the table has {size}: scale it down"
                return task.data
            data = self._store.read(task.ref)
            if data is None and self._setup.fetcher is not None and is_url(task.ref):
                return self._setup.fetcher.fetch(task.ref)
        except InvalidImageError as err:
            return err.message
        return missing_picture(task.ref) if data is None else data


def missing_picture(ref: str) -> str:
    """The reason for a missing picture: a URL that was not fetched, or a file that does not exist."""
    if is_url(ref):
        return f"the picture {ref!r} is a URL that was not fetched; `mmrec fetch` brings it into images/"
    return f"the picture {ref!r} is not in the dataset folder; put the file into images/"
