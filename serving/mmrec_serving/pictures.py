"""The pictures of calls: their pixels are bounded, and large pictures are decoded ahead in a thread of their own.

Unit of work: one request. A picture of some kilobytes may decode to hundreds of megabytes and take a second. So large
pictures are decoded one after the other, whoever sent them, at a low priority and in a process of limited memory and
time, and the thread that answers requests gets what the models look at. Used in the thread of the event loop. Knows
nothing about gRPC and models.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from mmrec.contract.changes import UpsertRequest
from mmrec.contract.conversation import ConverseRequest
from mmrec.contract.engine import PictureDecoder, decoder_of
from mmrec.contract.items import ItemInput
from mmrec.contract.requests import EmbedRequest, SearchBatch, SearchRequest, TagRequest
from mmrec.data.pictures import pixels_to_decode
from mmrec.errors import InvalidArgumentError, MmrecError, ResourceExhaustedError
from mmrec.runtime.background import between_steps
from mmrec.understanding.chunks import LARGE_PIXELS
from mmrec_encoders.decode_sandbox import DecodeSandbox
from mmrec_serving.job_observer import Observer
from mmrec_serving.priority import Pace, give_way
from mmrec_serving.scheduler import Scheduler, SchedulerLimits, Work
from mmrec_serving.telemetry.calls import current_call
from mmrec_serving.worker_threads import OnEnd

_KIND = "decode"
_UNIT_PIXELS = 1_000_000
"""Pixels of one unit of work."""
_BATCH_UNITS = 8
_CALLS = 4
"""All calls together may send as many pixels as that many calls."""
_RETRY_S = 1.0


class SentPicture(NamedTuple):
    """A picture of a request.

    Attributes:
        data: The encoded file.
        pixels: What it counts; see `mmrec.data.pictures.pixels_to_decode`.
        thumbnail: Whether its thumbnail is needed too.
    """

    data: bytes
    pixels: int
    thumbnail: bool


def sent_pictures(request: Any, most: int) -> list[SentPicture]:
    """The pictures of a request that will be decoded; only their headers are read.

    Raises:
        InvalidArgumentError: together they have more than `most` pixels.
    """
    found: list[SentPicture] = []
    total = 0
    for where, data in _pictures(request):
        picture = SentPicture(data, pixels_to_decode(data), isinstance(request, UpsertRequest))
        total += picture.pixels
        if total > most:
            raise InvalidArgumentError(
                f"{where} counts {picture.pixels:,} pixels, and the pictures up to it {total:,}; at most {most:,} "
                "pixels are decoded for one call (a JPEG counts a quarter of its pixels): send fewer pictures in a "
                "call, or scale them down",
                field=where,
            )
        found.append(picture)
    return found


class PicturesAhead:
    """Bounds the pixels of all calls, and decodes large pictures ahead.

    Args:
        loaded: The engine, when it is loaded; one that decodes nothing ahead leaves the thread without work.
        max_pixels: Most pixels of one call; all calls together may have four times as many.
        max_queue: Calls that may wait for the thread, at least 1.
        idle_s: Seconds since the server last answered a request; see `Pace`.
        sandbox: The process that decodes large pictures; None: this one does. Closed with this.
        on_end: Called when the thread ends by itself.
        observer: Observes its scheduler.
    """

    def __init__(
        self,
        loaded: Future[Any],
        max_pixels: int,
        max_queue: int,
        idle_s: Callable[[], float] = lambda: math.inf,
        *,
        sandbox: DecodeSandbox | None = None,
        on_end: OnEnd,
        observer: Observer | None = None,
    ) -> None:
        self._loaded = loaded
        self._sandbox = sandbox
        self._most = max_pixels
        self._held = 0
        self._pace = Pace(idle_s)
        self._decoder: PictureDecoder | None = None
        limits = SchedulerLimits(max_queue, _BATCH_UNITS, _units, one_job=True)
        self.scheduler = Scheduler(self._works, limits, name="mmrec-pictures", on_end=on_end, observer=observer)

    @asynccontextmanager
    async def ready(self, request: Any, large: bool, deadline: float | None) -> AsyncGenerator[None, None]:
        """Inside, the large pictures of a request are decoded.

        Args:
            request: The request as it came.
            large: Whether it has so many bytes that even headers are read in a thread.
            deadline: As for `Scheduler.submit`.

        Raises:
            InvalidArgumentError: its pictures have too many pixels.
            ResourceExhaustedError: those of all calls have, or too many calls wait.
            DeadlineExceededError: they cannot be decoded before the deadline.
        """
        read = asyncio.to_thread(sent_pictures, request, self._most) if large else None
        pictures = sent_pictures(request, self._most) if read is None else await read
        pixels = sum(picture.pixels for picture in pictures)
        if self._held and self._held + pixels > _CALLS * self._most:
            raise ResourceExhaustedError(
                f"calls have sent pictures of {self._held:,} pixels that are not answered yet; with {pixels:,} more it "
                f"would be over the limit of {_CALLS * self._most:,}; try again later, or send fewer pictures at once",
                retry_after_s=_RETRY_S,
            )
        self._held += pixels
        decoded: list[Any] = []
        try:
            slow = [picture for picture in pictures if picture.pixels > LARGE_PIXELS]
            if slow and self._decoder is not None:
                began = time.monotonic()
                decoded = await asyncio.wrap_future(self.scheduler.submit(_KIND, slow, deadline))
                current_call().stage("pictures", began)
            yield
        finally:
            self._held -= pixels
            decoded.clear()  # Pictures are there as long as they are in it, and the job may have it for longer.

    def close(self) -> None:
        """End the process that decodes, when the scheduler is closed."""
        if self._sandbox is not None:
            self._sandbox.close()

    def _works(self) -> Mapping[str, Work]:
        self._decoder = decoder_of(self._loaded.result())
        give_way()
        return {_KIND: self._decode}

    def _decode(self, pictures: list[SentPicture]) -> list[Any]:
        assert self._decoder is not None
        return [self._decode_one(self._decoder, picture) for picture in pictures]

    def _decode_one(self, decoder: PictureDecoder, picture: SentPicture) -> Any:
        with self._pace:
            between_steps()
            decode = None if self._sandbox is None else self._sandbox.decode
            return decoder.decode_ahead(picture.data, thumbnail=picture.thumbnail, decode=decode)


def _units(picture: SentPicture) -> int:
    return 1 + picture.pixels // _UNIT_PIXELS


def _pictures(request: Any) -> Iterator[tuple[str, bytes]]:
    """The pictures that a request has decoded, with their field paths."""
    if isinstance(request, UpsertRequest) and request.fields and "image" not in request.fields:
        return
    if isinstance(request, EmbedRequest | TagRequest | UpsertRequest):
        for place, item in enumerate(request.items):
            if isinstance(item, ItemInput) and item.image is not None:
                yield f"items[{place}].image", item.image
    elif isinstance(request, SearchBatch):
        for place, search in enumerate(request.requests):
            if not isinstance(search, MmrecError) and search.image is not None:
                yield f"requests[{place}].image", search.image
    elif isinstance(request, SearchRequest | ConverseRequest) and request.image is not None:
        yield "image", request.image
