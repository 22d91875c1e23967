"""The stages of an embedding job that run on any CPU of a Ray cluster: reading windows, decoding their pictures.

Ray carries a `Parcel` from stage to stage; an error of ours travels in it too, so that it reaches the driver as
what it is. The processes that run this import no torch. Knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmrec.data.streaming import ItemStream
from mmrec.errors import MmrecError
from mmrec_encoders.embedding.cache import CachedVector, VectorCache, vector_key
from mmrec_encoders.embedding.pictures import DecodeSetup, PictureDecoder, PictureTask
from mmrec_encoders.embedding.pool import DecodedChunk, prepared_shape
from mmrec_encoders.embedding.windows import WindowJob, check_template, chunks_of, plan_window

if TYPE_CHECKING:
    from mmrec_encoders.embedding.encoding import EncodedWindow

__all__ = ["KnownVectors", "Parcel", "WindowSource", "ask_known", "decode_tasks", "decode_window", "read_windows"]

Row = dict[str, Any]


@dataclass(frozen=True)
class WindowSource:
    """Where windows come from; can be pickled.

    Attributes:
        dataset: The dataset folder, at the same path on every machine.
        shard_rows: Rows per window.
        template: How an item's words are put together.
        pictures: Whether pictures are wanted.
        words: Whether texts are wanted.
    """

    dataset: Path
    shard_rows: int
    template: str | None
    pictures: bool
    words: bool


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


class KnownVectors:
    """Answers what the cache knows; an actor on the machine that has the cache.

    Args:
        folder: Of the cache.
    """

    def __init__(self, folder: Path) -> None:
        self._cache = VectorCache(folder)

    def known(self, key: bytes) -> bool:
        """Whether there is a vector of this key."""
        return self._cache.known(key)

    def get(self, keys: Sequence[bytes], dim: int) -> dict[bytes, CachedVector]:
        """The known ones of some keys, whose vectors have this length."""
        return self._cache.get(keys, dim)


def ask_known(actor: Any, key: bytes) -> bool:
    """Whether a `KnownVectors` actor knows a key."""
    import ray

    return bool(ray.get(actor.known.remote(key)))


def read_windows(_: Row, source: WindowSource) -> Iterator[Row]:
    """Every window of the catalogue, one row each, read as they are taken."""
    try:
        stream = ItemStream(source.dataset, source.shard_rows)
        for window in stream.windows():
            if window.number == 0:
                check_template(source.template, stream.columns)
            yield {"parcel": Parcel(plan_window(window, source.template, pictures=source.pictures, words=source.words))}
    except MmrecError as err:
        yield {"parcel": Parcel(None, error=err)}


def decode_window(row: Row, setup: DecodeSetup, batch_pictures: int, is_known: Callable[[bytes], bool]) -> Row:
    """A window with its pictures.

    Args:
        row: Has the parcel.
        setup: How pictures are decoded; its own cache is not asked.
        batch_pictures: Pictures per chunk.
        is_known: Whether the vector of a key is known, so that the picture is not decoded.
    """
    parcel: Parcel = row["parcel"]
    if parcel.job is None:
        return row
    decoder = _AskingDecoder(setup, is_known)
    try:
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


class _AskingDecoder(PictureDecoder):
    """Asks elsewhere what is known: the cache is a file of one machine."""

    def __init__(self, setup: DecodeSetup, is_known: Callable[[bytes], bool]) -> None:
        super().__init__(DecodeSetup(setup.root, setup.preparation, setup.fingerprint, None, setup.fetcher))
        self._fingerprint = setup.fingerprint
        self._is_known = is_known

    def _known(self, content: bytes) -> bool:
        return self._is_known(vector_key(content, self._fingerprint))
