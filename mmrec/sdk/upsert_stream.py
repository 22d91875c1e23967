"""State of a stream of upserts: its requests, those without a reply yet, and the number of replies.

Unit of work: one stream. Used by both clients; does no I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace

from mmrec.contract.changes import ChangeResults, UpsertRequest
from mmrec.contract.items import ItemInput
from mmrec.contract.rules import Whole
from mmrec.errors import MmrecError
from mmrec.sdk.inputs import item_inputs
from mmrec.sdk.parts import OnProgress, broken_after
from mmrec.sdk.rpcs import STREAM_UPSERT_ITEMS

_MOST_IN_FLIGHT = 16


class UpsertStream:
    """One stream of batches of items; the arguments are those of `Client.stream_upserts`.

    Attributes:
        path: Path of the RPC.

    Raises:
        InvalidArgumentError: an argument breaks a rule.
    """

    path = STREAM_UPSERT_ITEMS.path

    def __init__(
        self,
        request_id: str,
        skip: int,
        in_flight: int,
        *,
        validate_only: bool,
        wait_until_visible: bool,
        fields: Iterable[str] = (),
        on_progress: OnProgress | None = None,
    ) -> None:
        # Validates the arguments before anything is sent.
        self._empty = UpsertRequest((), request_id, validate_only, wait_until_visible, fields)  # type: ignore[arg-type]
        self._skip = Whole().check(skip, "skip")
        self._in_flight = Whole(1, _MOST_IN_FLIGHT).check(in_flight, "in_flight")
        self._number = 0
        self._answered = self._skip
        self._on_progress, self._items = on_progress, 0
        self._waiting: deque[UpsertRequest] = deque()

    def encoded(self, items: Iterable[ItemInput | Mapping[str, object]]) -> bytes | None:
        """The serialized request of the next batch; None for a skipped batch.

        Raises:
            InvalidArgumentError: the batch is not a list of items, or has too many.
        """
        number = self._number
        self._number += 1
        if number < self._skip:
            return None
        request_id = f"{self._empty.request_id}/{number}" if self._empty.request_id else ""
        request = replace(self._empty, items=item_inputs(items), request_id=request_id)
        data = STREAM_UPSERT_ITEMS.encode_request(request)
        self._waiting.append(request)
        return data

    @property
    def waiting(self) -> bool:
        """Whether a sent batch has no reply yet."""
        return bool(self._waiting)

    @property
    def full(self) -> bool:
        """Whether a reply must be received before the next batch is sent."""
        return len(self._waiting) >= self._in_flight

    def answered(self, reply: bytes) -> ChangeResults:
        """The result of the oldest batch without a reply, from its reply.

        Raises:
            InternalError: the bytes are not a reply.
        """
        results = STREAM_UPSERT_ITEMS.rejoin(self._waiting[0], STREAM_UPSERT_ITEMS.decode_reply(reply))
        self._waiting.popleft()
        self._answered += 1
        self._items += len(results.entries)
        if self._on_progress is not None:
            self._on_progress(self._items)
        return results

    def broken(self, error: MmrecError) -> MmrecError:
        """The error with the number of batches that were answered before it."""
        return broken_after(self._answered, error)
