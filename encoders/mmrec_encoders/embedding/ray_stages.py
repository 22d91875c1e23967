"""The stages of an embedding job that run on any CPU of a Ray cluster: reading windows, decoding their pictures.

Ray carries a `Parcel` from stage to stage; an error of ours travels in it too, so that it reaches the driver as
what it is. The processes that run this import no torch. Knows nothing about models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmrec.catalogue.item_words import ItemWords
from mmrec.data.streaming import ItemStream
from mmrec.errors import MmrecError, UnavailableError
from mmrec_encoders.embedding.cache import CachedVector, VectorCache, vector_key
from mmrec_encoders.embedding.fetched import FetchedUrls
from mmrec_encoders.embedding.pictures import DecodeSetup, PictureDecoder, PictureTask
from mmrec_encoders.embedding.pool import DecodedChunk, prepared_shape
from mmrec_encoders.embedding.windows import WindowJob, check_columns, chunks_of, plan_window

if TYPE_CHECKING:
    from mmrec_encoders.embedding.encoding import EncodedWindow

MOST_BEGINNINGS = 8
"""Of one window in one stage; a machine that goes away with its results counts as one."""

Row = dict[str, Any]


@dataclass(frozen=True)
class WindowSource:
    """Where windows come from; can be pickled.

    Attributes:
        dataset: The dataset folder, at the same path on every machine.
        shard_rows: Rows per window.
        words: What of an item is words; None: texts are not wanted.
        pictures: Whether pictures are wanted.
    """

    dataset: Path
    shard_rows: int
    words: ItemWords | None
    pictures: bool


@dataclass(frozen=True)
class Parcel:
    """One window on its way.

    Attributes:
        job: The window; None where it could not even be read.
        chunks: Its pictures, once decoded.
        window: Its vectors, once encoded.
        error: Why the whole job cannot go on.
    """

    job: WindowJob | None
    chunks: tuple[DecodedChunk, ...] = ()
    window: EncodedWindow | None = None
    error: MmrecError | None = None


class Desk:
    """Cache lookups, and counts of how often a window was started; an actor on the driver's machine.

    Args:
        cache: Folder of the cache.
        fetched: File of what this run has fetched; None for none.
    """

    def __init__(self, cache: Path, fetched: Path | None = None) -> None:
        self._cache = VectorCache(cache)
        self._fetched = None if fetched is None else FetchedUrls(fetched, read_only=True)
        self._begun: Counter[tuple[str, int]] = Counter()

    def known(self, key: bytes) -> bool:
        """Whether there is a vector of this key."""
        return self._cache.known(key)

    def content(self, url: str) -> bytes | None:
        """What stands for the picture behind a URL, if this run has had it."""
        return None if self._fetched is None else self._fetched.content(url)

    def get(self, keys: Sequence[bytes], dim: int) -> dict[bytes, CachedVector]:
        """The known ones of some keys, whose vectors have this length."""
        return self._cache.get(keys, dim)

    def begin(self, stage: str, number: int) -> int:
        """How often a stage has begun a window, this time included."""
        self._begun[stage, number] += 1
        return self._begun[stage, number]


def begin(desk: Any, stage: str, number: int) -> None:
    """Note that a stage begins a window. Ray itself would go on for ever with one that kills its process.

    Raises:
        UnavailableError: it has been begun too often.
    """
    import ray

    if ray.get(desk.begin.remote(stage, number)) > MOST_BEGINNINGS:
        raise UnavailableError(
            f"shard {number} was to be {stage} {MOST_BEGINNINGS} times, and its process died each time; see the logs "
            "of Ray for why (often memory: use fewer rows per shard), then run the same command again: it goes on "
            "where it was"
        )


def read_windows(_: Row, source: WindowSource) -> Iterator[Row]:
    """Every window of the catalogue, one row each, read as they are taken."""
    try:
        stream = ItemStream(source.dataset, source.shard_rows)
        for window in stream.windows():
            if window.number == 0 and source.words is not None:
                check_columns(source.words, stream.columns)
            yield {"parcel": Parcel(plan_window(window, source.words, pictures=source.pictures))}
    except MmrecError as err:
        yield {"parcel": Parcel(None, error=err)}


def decode_window(row: Row, setup: DecodeSetup, batch_pictures: int, desk: Any) -> Row:
    """A window with its pictures.

    Args:
        row: Has the parcel.
        setup: How pictures are decoded; its own cache is not asked.
        batch_pictures: Pictures per chunk.
        desk: The `Desk` actor; what it knows is not decoded.
    """
    parcel: Parcel = row["parcel"]
    if parcel.job is None:
        return row
    decoder = _AskingDecoder(setup, desk)
    try:
        begin(desk, "decoded", parcel.job.number)
        chunks = tuple(decode_tasks(decoder, setup, tasks) for tasks in chunks_of(parcel.job, batch_pictures))
    except MmrecError as err:
        return {"parcel": Parcel(None, error=err)}
    return {"parcel": Parcel(parcel.job, chunks)}


def decode_tasks(decoder: PictureDecoder, setup: DecodeSetup, tasks: Sequence[PictureTask]) -> DecodedChunk:
    """The pictures of some tasks, one chunk."""
    pixels_N3HW = np.zeros((len(tasks), *prepared_shape(setup)), np.uint8)
    results = decoder.decode(tasks, pixels_N3HW)
    used = 1 + max((result.place for result in results), default=-1)
    return DecodedChunk(tuple(results), pixels_N3HW[:used])


class _AskingUrls(FetchedUrls):
    """Asks the desk what has been fetched: the file is on the driver's machine."""

    def __init__(self, desk: Any) -> None:
        self._desk = desk

    def close(self) -> None:
        pass

    def content(self, url: str) -> bytes | None:
        import ray

        found: bytes | None = ray.get(self._desk.content.remote(url))
        return found


class _AskingDecoder(PictureDecoder):
    """Asks the desk what is known: the cache is a file of the driver's machine."""

    def __init__(self, setup: DecodeSetup, desk: Any) -> None:
        super().__init__(replace(setup, cache=None, fetched=None))
        self._fingerprint = setup.fingerprint
        if setup.fetched is not None:
            self._fetched = _AskingUrls(desk)
        self._desk = desk

    def _known(self, content: bytes) -> bool:
        import ray

        return bool(ray.get(self._desk.known.remote(vector_key(content, self._fingerprint))))
