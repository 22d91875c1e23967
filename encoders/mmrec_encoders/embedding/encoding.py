"""Encodes one window of a catalogue: cached vectors are looked up, each other distinct picture and text encoded once.

A pure function of the window, its decoded pictures, the encoders and the cached vectors; the same for every engine.
Batches depend only on the window and on what was cached before it, so repeating a window gives the same bits.
"""

# Axes: N items of the window, D dimensions of a result, I of pictures, T of texts, M pictures of a chunk

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.data.pictures import is_url
from mmrec.runtime.device import resolve_device, resolve_dtype
from mmrec_encoders.embedding.cache import CachedVector, content_of, vector_key
from mmrec_encoders.embedding.failpoints import Failpoint, no_failpoint
from mmrec_encoders.embedding.pictures import PictureResult, PictureTask
from mmrec_encoders.embedding.pool import DecodedChunk
from mmrec_encoders.embedding.windows import DeadLetter, WindowJob, input_hash
from mmrec_encoders.fusion import ItemFeatures
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.protocols import Pixels, Vectors
from mmrec_encoders.text_batches import token_batches

Lookup = Callable[[Sequence[bytes], int], dict[bytes, CachedVector]]
"""Cached vectors of some keys, with the given length."""
Again = Callable[[Sequence[PictureTask]], DecodedChunk]

_CHARS_PER_TOKEN = 4


@dataclass(frozen=True)
class EncodeSettings:
    """How a window is encoded.

    Attributes:
        image_fingerprint: Of image model, preparation and number format, as `cache.vector_key` takes it.
        text_fingerprint: Of text model and number format.
        batch_pictures: Pictures per call of the encoder.
        batch_tokens: About how many tokens per call of the encoder.
        vectors: What `join_window` makes: ``fused``, ``image`` or ``text``.
        dimension: Length of a fused vector; 0 for all of it.
    """

    image_fingerprint: str
    text_fingerprint: str
    batch_pictures: int
    batch_tokens: int
    vectors: str = "fused"
    dimension: int = 0


def vector_fingerprints(encoder: ItemEncoder, device: str, dtype: str) -> tuple[str, str]:
    """What vectors of pictures and of texts depend on, as `cache.vector_key` takes it: model and number format."""
    number = str(resolve_dtype(dtype, resolve_device(device))).removeprefix("torch.")
    image = encoder.image
    return (
        f"{image.fingerprint}|{image.preparation.fingerprint}|{number}" if image is not None else "",
        f"{encoder.text.fingerprint}|{number}",
    )


class Counts(NamedTuple):
    """Where the vectors of a window came from, in items' pictures and texts.

    Attributes:
        pictures_encoded: Computed now.
        pictures_repeated: Like one that this run computed.
        pictures_known: From earlier runs.
        texts_encoded: Computed now.
        texts_repeated: Like one that this run computed.
        texts_known: From earlier runs.
    """

    pictures_encoded: int = 0
    pictures_repeated: int = 0
    pictures_known: int = 0
    texts_encoded: int = 0
    texts_repeated: int = 0
    texts_known: int = 0

    def plus(self, other: Counts) -> Counts:
        """The sums."""
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))


class WindowFeatures(NamedTuple):
    """Frozen vectors of a window.

    Attributes:
        features: One row per item, zero where it has no picture or no words.
        results: What became of its pictures, in order.
        fresh: Key and vector of everything computed now, for the cache.
        counts: Where the vectors came from.
    """

    features: ItemFeatures
    results: tuple[PictureResult, ...]
    fresh: tuple[tuple[bytes, npt.NDArray[np.float32]], ...]
    counts: Counts


class EncodedWindow(NamedTuple):
    """A window that is done. N items, those without a vector left out.

    Attributes:
        number: Of the window.
        input: See `windows.input_hash`.
        item_ids: Length N.
        vectors_ND: Unit norm. Shape: (N, D), float32.
        has_picture_N: Whether a picture is in it. Shape: (N,), bool.
        has_words_N: Whether words are in it. Shape: (N,), bool.
        dead_letters: What could not be used, in the order of the table.
        fresh: Key and vector of everything computed now, for the cache.
        counts: Where the vectors came from.
        fetched: URLs and what stands for the pictures behind them.
    """

    number: int
    input: str
    item_ids: tuple[str, ...]
    vectors_ND: Vectors
    has_picture_N: npt.NDArray[np.bool_]
    has_words_N: npt.NDArray[np.bool_]
    dead_letters: tuple[DeadLetter, ...]
    fresh: tuple[tuple[bytes, npt.NDArray[np.float32]], ...]
    counts: Counts
    fetched: tuple[tuple[str, bytes], ...] = ()


def encode_window(
    job: WindowJob,
    decoded: Iterable[DecodedChunk],
    encoder: ItemEncoder,
    settings: EncodeSettings,
    lookup: Lookup,
    again: Again,
    *,
    advance: Callable[[int], None] = lambda _: None,
    failpoint: Failpoint = no_failpoint,
) -> WindowFeatures:
    """Frozen vectors of one window.

    Args:
        job: The window.
        decoded: Its pictures, chunk by chunk in the order of `windows.chunks_of`.
        encoder: The encoders.
        settings: What is made.
        lookup: Asks what is known.
        again: Decodes pictures whose pixels are missing although nobody knows their vector, which happens when the
            cache is lost under a running job.
        advance: Called with how many texts and pictures more are done.
        failpoint: For tests.
    """
    texts = _Texts(job, encoder, settings, lookup)
    texts.encode(advance)
    failpoint("after-texts")
    pictures = _Pictures(encoder, settings, lookup, again, failpoint)
    for chunk in decoded:
        failpoint("after-decode")
        pictures.add(chunk, job)
        advance(len(chunk.results))
    pictures.flush()
    failpoint("after-pictures")
    count = len(job.item_ids)
    features = ItemFeatures(
        np.zeros((count, encoder.image_dim), np.float32),
        np.zeros(count, np.bool_),
        np.zeros((count, encoder.text.dim), np.float32),
        np.zeros(count, np.bool_),
    )
    for row in pictures.keys:
        features.image_NI[row], features.has_image_N[row] = pictures.vector(row), True
    for row in texts.rows:
        features.text_NT[row], features.has_text_N[row] = texts.vector(row), True
    return WindowFeatures(
        features,
        tuple(pictures.results),
        (*texts.fresh.items(), *pictures.fresh.items()),
        Counts(*pictures.counts(), *texts.counts()),
    )


class _Vectors:
    """Vectors of one modality by row of a window: cached, or computed now."""

    def __init__(self) -> None:
        self.keys: dict[int, bytes] = {}
        self.fresh: dict[bytes, npt.NDArray[np.float32]] = {}
        self._known: dict[bytes, CachedVector] = {}

    def vector(self, row: int) -> npt.NDArray[np.float32]:
        key = self.keys[row]
        return self.fresh[key] if key in self.fresh else self._known[key].vector

    def counts(self) -> tuple[int, int, int]:
        """Pictures or texts that are encoded now, repeated, and known from earlier runs."""
        earlier = sum(key not in self.fresh and self._known[key].earlier for key in self.keys.values())
        return len(self.fresh), len(self.keys) - len(self.fresh) - earlier, earlier


class _Texts(_Vectors):
    """The words of a window."""

    def __init__(self, job: WindowJob, encoder: ItemEncoder, settings: EncodeSettings, lookup: Lookup) -> None:
        super().__init__()
        self._encoder = encoder.text
        self._settings = settings
        self._texts = job.texts
        self.rows = [row for row, text in enumerate(job.texts) if text]
        self.keys = {
            row: vector_key(content_of(job.texts[row].encode()), settings.text_fingerprint) for row in self.rows
        }
        wanted = list(dict.fromkeys(self.keys.values()))
        self._known = lookup(wanted, encoder.text.dim) if wanted else {}

    def encode(self, advance: Callable[[int], None]) -> None:
        first: dict[bytes, str] = {}
        for row in self.rows:
            if self.keys[row] not in self._known:
                first.setdefault(self.keys[row], self._texts[row])
        advance(len(self.rows) - len(first))
        entries, budget = list(first.items()), self._settings.batch_tokens
        lengths_T = np.array([len(text) // _CHARS_PER_TOKEN + 1 for _, text in entries], np.int64)
        for rows in token_batches(lengths_T, token_budget=budget, batch_size=budget, padding_allowed=budget):
            keys, texts = zip(*(entries[row] for row in rows.tolist()), strict=True)
            self.fresh.update(zip(keys, self._encoder.encode(texts), strict=True))
            advance(len(rows))


class _Pictures(_Vectors):
    """The pictures of a window."""

    def __init__(
        self, encoder: ItemEncoder, settings: EncodeSettings, lookup: Lookup, again: Again, failpoint: Failpoint
    ) -> None:
        super().__init__()
        self._encoder = encoder.image
        self._settings = settings
        self._lookup = lookup
        self._again = again
        self._failpoint = failpoint
        self._waiting: list[tuple[bytes, Pixels]] = []
        self.results: list[PictureResult] = []

    def add(self, chunk: DecodedChunk, job: WindowJob) -> None:
        self.results += chunk.results
        if self._encoder is None:
            return
        read = [result for result in chunk.results if not result.reason]
        keys = {result.row: vector_key(result.content, self._settings.image_fingerprint) for result in read}
        self.keys |= keys
        waiting = {key for key, _ in self._waiting}
        new = [key for key in dict.fromkeys(keys.values()) if key not in self.fresh and key not in waiting]
        if new:
            self._known |= self._lookup(new, self._encoder.dim)
        lost: dict[bytes, PictureResult] = {}
        for result in read:
            key = keys[result.row]
            if key in self._known or key in self.fresh or key in waiting:
                continue
            if result.place < 0:
                lost.setdefault(key, result)
                continue
            waiting.add(key)
            self._waiting.append((key, chunk.pixels_M3HW[result.place]))
        if lost:
            self._decode_again(lost, job)
        while len(self._waiting) >= self._settings.batch_pictures:
            self._encode(self._settings.batch_pictures)

    def flush(self) -> None:
        if self._waiting:
            self._encode(len(self._waiting))

    def _decode_again(self, lost: dict[bytes, PictureResult], job: WindowJob) -> None:
        by_row = {task.row: task for task in job.tasks}
        chunk = self._again([by_row[result.row] for result in lost.values()])
        for key, result in zip(lost, chunk.results, strict=True):
            if result.reason or vector_key(result.content, self._settings.image_fingerprint) != key:
                reason = result.reason or "the picture changed while it was read; run the same command again"
                self._give_up(key, reason)
            else:
                self._waiting.append((key, chunk.pixels_M3HW[result.place]))

    def _give_up(self, key: bytes, reason: str) -> None:
        rows = {row for row, found in self.keys.items() if found == key}
        for row in rows:
            del self.keys[row]
        self.results = [
            PictureResult(result.row, b"", -1, reason) if result.row in rows else result for result in self.results
        ]

    def _encode(self, count: int) -> None:
        assert self._encoder is not None  # nothing waits without one
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        vectors = self._encoder.encode_pixels(np.stack([pixels for _, pixels in batch]))
        self.fresh.update(zip((key for key, _ in batch), vectors, strict=True))
        self._failpoint("mid-pictures")


def join_window(job: WindowJob, found: WindowFeatures, encoder: ItemEncoder, settings: EncodeSettings) -> EncodedWindow:
    """The requested vectors of a window, from its frozen ones, and its dead letters.

    Args:
        job: The window.
        found: Result of `encode_window`.
        encoder: With its fusion, where `settings.vectors` is ``fused``.
        settings: What is made.
    """
    has_picture_N, has_words_N = found.features.has_image_N, found.features.has_text_N
    usable_N = {"image": has_picture_N, "text": has_words_N, "fused": has_picture_N | has_words_N}[settings.vectors]
    rows = np.flatnonzero(usable_N)
    features = ItemFeatures._make(part[rows] for part in found.features)
    if settings.vectors == "fused":
        assert encoder.fusion is not None  # whoever loads the encoder has seen to it
        vectors_ND = encoder.fusion.shorten(encoder.fusion.fuse(features), settings.dimension)
    else:
        vectors_ND = features.image_NI if settings.vectors == "image" else features.text_NT
    return EncodedWindow(
        number=job.number,
        input=input_hash(job, found.results),
        item_ids=tuple(job.item_ids[row] for row in rows),
        vectors_ND=vectors_ND,
        has_picture_N=features.has_image_N,
        has_words_N=features.has_text_N,
        dead_letters=_dead_letters(job, settings.vectors, found.results, usable_N),
        fresh=found.fresh,
        counts=found.counts,
        fetched=tuple(
            (task.ref, result.content)
            for task, result in zip(job.tasks, found.results, strict=True)
            if task.data is None and not result.reason and is_url(task.ref)
        ),
    )


_NOTHING = {
    "image": ("image", "the item has no picture to make a vector of; fill the column image"),
    "text": ("title", "the item has no words to make a vector of; fill the column title"),
    "fused": ("", "the item has neither words nor a picture; fill one of title, description and image"),
}


def _dead_letters(
    job: WindowJob, vectors: str, results: Sequence[PictureResult], usable_N: npt.NDArray[np.bool_]
) -> tuple[DeadLetter, ...]:
    letters = list(job.failures)
    failed = set()
    for result in results:
        if result.reason:
            failed.add(result.row)
            embedded = bool(usable_N[result.row])
            letters.append(
                DeadLetter(job.item_ids[result.row], job.lines[result.row], "image", result.reason, embedded)
            )
    field, reason = _NOTHING[vectors]
    letters += [
        DeadLetter(job.item_ids[row], job.lines[row], field, reason, False)
        for row in np.flatnonzero(~usable_N).tolist()
        if row not in failed
    ]
    return tuple(sorted(letters, key=lambda letter: letter.row))
