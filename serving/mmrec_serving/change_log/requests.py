"""One request inside an open transaction: its changes, its number, and what it is answered if it comes again.

Unit of work: one request. Knows nothing of transactions, threads or files.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mmrec.errors import FailedPreconditionError
from mmrec_serving.change_log.failpoints import Failpoint
from mmrec_serving.change_log.rows import COLUMNS, Row, checksum, from_microseconds, to_microseconds
from mmrec_serving.change_log.values import Kind, Recorded, StoreState

_INSERT = f"INSERT INTO changes (sequence, recorded_us, {', '.join(COLUMNS)}) VALUES (?, ?{', ?' * len(COLUMNS)})"


@dataclass(frozen=True, slots=True)
class Request:
    """A request to record, checked and packed.

    Attributes:
        request_id: Empty: no protection against doing it twice.
        kind: What its changes do.
        digest: Stands for all of it.
        rows: One a change.
        reply: What it is answered.
    """

    request_id: str
    kind: Kind
    digest: bytes
    rows: tuple[Row, ...]
    reply: bytes


def write_request(
    db: sqlite3.Connection,
    request: Request,
    state: StoreState,
    now: datetime,
    keep: timedelta,
    failpoint: Failpoint,
) -> tuple[Recorded, StoreState]:
    """Write a request, or find that it was written before; what became of it, and the state after it.

    The state itself is the caller's to write.

    Raises:
        FailedPreconditionError: its id is that of another request.
        ValueError: the row of its id is damaged; the message says how.
    """
    if request.request_id:
        earlier = _earlier(db, request, now, keep)
        if earlier is not None:
            return earlier, state
    recorded = Recorded(state.position + 1, state.position + len(request.rows), request.reply)
    now_us = to_microseconds(now)
    for at, row in enumerate(request.rows):
        if at == 1:
            failpoint("mid-request")
        db.execute(_INSERT, (recorded.first + at, now_us, *row))
    if request.request_id:
        entry = (
            request.request_id,
            request.kind,
            request.digest,
            recorded.first,
            recorded.last,
            request.reply,
            now_us,
        )
        # In the place of one that is too old to count.
        db.execute("INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*entry, checksum(entry)))
    return recorded, replace(state, position=recorded.last)


def forget_requests(db: sqlite3.Connection, before: datetime) -> int:
    """Forget requests of before this moment; how many."""
    return db.execute("DELETE FROM requests WHERE recorded_us < ?", (to_microseconds(before),)).rowcount


def _earlier(db: sqlite3.Connection, request: Request, now: datetime, keep: timedelta) -> Recorded | None:
    row = db.execute("SELECT * FROM requests WHERE request_id = ?", (request.request_id,)).fetchone()
    if row is None:
        return None
    if checksum(row[:-1]) != row[-1]:
        raise ValueError(f"the row of request {request.request_id!r}: its checksum is another")
    _, kind, digest, first, last, reply, recorded_us, _ = row
    at = from_microseconds(recorded_us)
    if now - at > keep:
        return None
    if (kind, digest) != (request.kind, request.digest):
        raise FailedPreconditionError(
            f"request_id {request.request_id!r} was used at {at:%Y-%m-%d %H:%M:%S} UTC for another {kind} request; "
            "give every request an id of its own, and send one again just as it was"
        )
    return Recorded(first, last, reply, repeated=True)
