"""Runs the windows of a job on this machine: one is encoded at a time, in order, while workers decode the next."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from mmrec_encoders.embedding.encoding import Again, EncodeSettings, Lookup, WindowFeatures, encode_window
from mmrec_encoders.embedding.failpoints import Failpoint, no_failpoint
from mmrec_encoders.embedding.pictures import DecodeSetup, PictureTask
from mmrec_encoders.embedding.pool import DecodedChunk, DecodePool
from mmrec_encoders.embedding.windows import WindowJob, chunks_of
from mmrec_encoders.item_encoder import ItemEncoder

_MOST_WORKERS = 16


@dataclass(frozen=True)
class JobPlan:
    """Encoders and settings of a job, for the local engine or Ray.

    Attributes:
        encoder: The encoders.
        settings: How windows are encoded.
        setup: How pictures are decoded; None for jobs without pictures.
    """

    encoder: ItemEncoder
    settings: EncodeSettings
    setup: DecodeSetup | None


class _Mark(NamedTuple):
    """Whether a chunk is the last of its window."""

    last: bool


def encoded_windows(
    plan: JobPlan,
    jobs: Iterator[WindowJob],
    lookup: Lookup,
    *,
    workers: int,
    advance: Callable[[WindowJob, int], None] = lambda *_: None,
    failpoint: Failpoint = no_failpoint,
) -> Iterator[tuple[WindowJob, WindowFeatures]]:
    """Frozen vectors of every window, in order.

    Args:
        plan: The job.
        jobs: Its windows; a few are read ahead.
        lookup: Looks keys up in the cache; the vectors of a window must be in the cache before the next is requested.
        workers: Number of decoding processes; 0 for none.
        advance: Called with a window and the number of texts and pictures that were finished.
        failpoint: For tests.
    """
    setup = plan.setup

    def encode(job: WindowJob, chunks: Iterable[DecodedChunk], again: Again) -> tuple[WindowJob, WindowFeatures]:
        return job, encode_window(
            job,
            chunks,
            plan.encoder,
            plan.settings,
            lookup,
            again,
            advance=lambda count: advance(job, count),
            failpoint=failpoint,
        )

    if setup is None:
        for job in jobs:
            failpoint("after-read")
            yield encode(job, (), _no_pictures)
        return
    ahead: deque[WindowJob] = deque()

    def chunks() -> Iterator[tuple[_Mark, tuple[PictureTask, ...]]]:
        for job in jobs:
            failpoint("after-read")
            ahead.append(job)
            parts = list(chunks_of(job, plan.settings.batch_pictures))
            yield from ((_Mark(number == len(parts)), part) for number, part in enumerate(parts, start=1))

    with ExitStack() as stack:
        pool = stack.enter_context(DecodePool(setup, workers, plan.settings.batch_pictures))
        # For pictures whose vectors were lost from the cache, so without a cache, and in this process.
        here = DecodePool(replace(setup, fingerprint="", cache=None, fetched=None), 0, 1)
        failpoint("after-decoders-started")
        stream = pool.map(chunks())

        def again(tasks: Sequence[PictureTask]) -> DecodedChunk:
            found = [chunk for _, chunk in here.map((None, (task,)) for task in tasks)]
            results = [
                result._replace(place=place if result.place >= 0 else -1)
                for place, chunk in enumerate(found)
                for result in chunk.results
            ]
            blank = np.zeros((1, *pool.layout.shape), np.uint8)
            pixels = [chunk.pixels_M3HW if len(chunk.pixels_M3HW) else blank for chunk in found]
            return DecodedChunk(tuple(results), np.concatenate(pixels))

        for mark, first in stream:
            yield encode(ahead.popleft(), _window(mark, first, stream), again)


def suitable_workers(on_gpu: bool) -> int:
    """Number of decoding processes: half of the cores if the model runs on the CPU, all but one with a GPU."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(_MOST_WORKERS, cores - 1 if on_gpu else cores // 2))


def _window(mark: _Mark, first: DecodedChunk, rest: Iterator[tuple[_Mark, DecodedChunk]]) -> Iterator[DecodedChunk]:
    """The chunks of one window, of which the first has been read already."""
    yield first
    while not mark.last:
        mark, chunk = next(rest)
        yield chunk


def _no_pictures(tasks: object) -> DecodedChunk:
    raise AssertionError("the job has no pictures")
