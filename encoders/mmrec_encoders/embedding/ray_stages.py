"""Stages of an embedding job that run on the CPUs of a Ray cluster: reading windows, decoding their pictures.

Ray passes a `RayWindow` from stage to stage; it also carries errors, so that the driver can raise them unchanged. These
processes import no torch. Knows nothing about models.
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

MOST_ATTEMPTS = 8
"""Most attempts at one window in one stage; the loss of a machine with its results counts as one."""

Row = dict[str, Any]


@dataclass(frozen=True)
class WindowSource:
    """Where windows come from; can be pickled.

    Attributes:
        dataset: The dataset folder, at the same path on every machine.
        shard_rows: Rows per window.
        words: Word columns or template; None: texts are not encoded.
        pictures: Whether pictures are encoded.
    """

    dataset: Path
    shard_rows: int
    words: ItemWords | None
    pictures: bool


@dataclass(frozen=True)
class RayWindow:
    """One window between the stages.

    Attributes:
        job: The window; None if there is an error.
        chunks: Its decoded pictures, after the decoding stage.
        encoded: Its vectors, after the encoding stage.
        error: An error that stops the job.
    """

    job: WindowJob | None
    chunks: tuple[DecodedChunk, ...] = ()
    encoded: EncodedWindow | None = None
    error: MmrecError | None = None


class CacheActor:
    """Looks up the cache, and counts attempts at windows; a Ray actor on the driver's machine.

    Args:
        cache: Folder of the cache.
        fetched: File of the URLs fetched by this run; None for none.
    """

    def __init__(self, cache: Path, fetched: Path | None = None) -> None:
        self._cache = VectorCache(cache)
        self._fetched = None if fetched is None else FetchedUrls(fetched, read_only=True)
        self._attempts: Counter[tuple[str, int]] = Counter()

    def contains(self, key: bytes) -> bool:
        """Whether a key is cached."""
        return self._cache.contains(key)

    def content(self, url: str) -> bytes | None:
        """Content hash of a URL that this run has fetched; else None."""
        return None if self._fetched is None else self._fetched.content(url)

    def get(self, keys: Sequence[bytes], dim: int) -> dict[bytes, CachedVector]:
        """Cached vectors of `keys` with length `dim`."""
        return self._cache.get(keys, dim)

    def count_attempt(self, stage: str, number: int) -> int:
        """Number of attempts of a stage at a window, including this one."""
        self._attempts[stage, number] += 1
        return self._attempts[stage, number]


def count_attempt(cache_actor: Any, stage: str, number: int) -> None:
    """Count an attempt at a window. Without a limit, Ray would retry a window that kills its process forever.

    Raises:
        UnavailableError: there were too many attempts.
    """
    import ray

    if ray.get(cache_actor.count_attempt.remote(stage, number)) > MOST_ATTEMPTS:
        raise UnavailableError(
            f"shard {number} could not be {stage} in {MOST_ATTEMPTS} attempts, because the process died each time; see "
            "the logs of Ray for the cause (often memory: use fewer rows per shard), then run the same command again: "
            "it resumes where it stopped"
        )


def read_windows(_: Row, source: WindowSource) -> Iterator[Row]:
    """Every window of the catalogue, one row each, read on demand."""
    try:
        stream = ItemStream(source.dataset, source.shard_rows)
        for window in stream.windows():
            if window.number == 0 and source.words is not None:
                check_columns(source.words, stream.columns)
            yield {"window": RayWindow(plan_window(window, source.words, pictures=source.pictures))}
    except MmrecError as err:
        yield {"window": RayWindow(None, error=err)}


def decode_window(row: Row, setup: DecodeSetup, batch_pictures: int, cache_actor: Any) -> Row:
    """Decode the pictures of a window.

    Args:
        row: Contains the `RayWindow`.
        setup: How pictures are decoded; its own cache is not used.
        batch_pictures: Pictures per chunk.
        cache_actor: The `CacheActor`; cached pictures are not decoded.
    """
    window: RayWindow = row["window"]
    if window.job is None:
        return row
    decoder = _RemoteCacheDecoder(setup, cache_actor)
    try:
        count_attempt(cache_actor, "decoded", window.job.number)
        chunks = tuple(decode_tasks(decoder, setup, tasks) for tasks in chunks_of(window.job, batch_pictures))
    except MmrecError as err:
        return {"window": RayWindow(None, error=err)}
    return {"window": RayWindow(window.job, chunks)}


def decode_tasks(decoder: PictureDecoder, setup: DecodeSetup, tasks: Sequence[PictureTask]) -> DecodedChunk:
    """Decode tasks as one chunk."""
    pixels_N3HW = np.zeros((len(tasks), *prepared_shape(setup)), np.uint8)
    results = decoder.decode(tasks, pixels_N3HW)
    used = 1 + max((result.place for result in results), default=-1)
    return DecodedChunk(tuple(results), pixels_N3HW[:used])


class _RemoteFetchedUrls(FetchedUrls):
    """Looks URLs up through the `CacheActor`, because the file is on the driver's machine."""

    def __init__(self, cache_actor: Any) -> None:
        self._cache_actor = cache_actor

    def close(self) -> None:
        pass

    def content(self, url: str) -> bytes | None:
        import ray

        found: bytes | None = ray.get(self._cache_actor.content.remote(url))
        return found


class _RemoteCacheDecoder(PictureDecoder):
    """Looks up the cache through the `CacheActor`, because the file is on the driver's machine."""

    def __init__(self, setup: DecodeSetup, cache_actor: Any) -> None:
        super().__init__(replace(setup, cache=None, fetched=None))
        self._fingerprint = setup.fingerprint
        if setup.fetched is not None:
            self._fetched = _RemoteFetchedUrls(cache_actor)
        self._cache_actor = cache_actor

    def _is_cached(self, content: bytes) -> bool:
        import ray

        return bool(ray.get(self._cache_actor.contains.remote(vector_key(content, self._fingerprint))))
