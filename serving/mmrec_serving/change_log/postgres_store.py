"""The store of catalogue changes in a PostgreSQL database, which any number of servers share.

Unit of work: one atomic transaction. The one row of ``mmrec_change_log`` is the state of the store; a transaction that
writes locks it, so numbers have no gaps, and changes become visible in the order of their numbers. Texts are stored as
bytes in UTF-8, because those of PostgreSQL cannot have every character. Long work is split into short transactions, so
that requests can be recorded in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, fields, replace
from datetime import datetime
from typing import Any, Self

from mmrec.errors import BundleError, NotFoundError
from mmrec_serving.change_log.bases import (
    BATCH,
    PAUSE_S,
    SLICE_CHANGES,
    SLICE_ITEMS,
    announced,
    check_base,
    checked_sequence,
    first_read,
    following,
    other_base,
    without_folded,
)
from mmrec_serving.change_log.changes import (
    Change,
    Recorded,
    RecordedRequest,
    Sequenced,
    StoreState,
    compacted,
    effective,
)
from mmrec_serving.change_log.rows import (
    COLUMNS,
    KEEP_REQUESTS,
    batch_of,
    changed_meanwhile,
    from_microseconds,
    pack,
    pack_request,
    recorded_before,
    to_microseconds,
    unpack,
    utc_now,
)
from mmrec_serving.postgres import Database, PostgresPlace, StoreTables
from mmrec_serving.postgres.database import Connection

_FETCHED = 50
"""Changes that are fetched at once: each may have 64 MiB."""
_TEXTS = frozenset({"item_id", "title", "description", "attributes", "fields", "encoder_version"})
_TABLES = StoreTables(
    name="store of catalogue changes",
    key="the same request id",
    migrations=(
        (
            "CREATE TABLE mmrec_change_log (id integer PRIMARY KEY DEFAULT 1 CHECK (id = 1), base text NOT NULL,"
            " position bigint NOT NULL, folded bigint NOT NULL, dropped bigint NOT NULL, successor text NOT NULL,"
            " successor_holds bigint NOT NULL, previous text NOT NULL, previous_holds bigint NOT NULL)",
            "CREATE TABLE mmrec_changes (sequence bigint PRIMARY KEY, recorded_us bigint NOT NULL, item_id bytea NOT"
            " NULL, deleted integer NOT NULL, title bytea, description bytea, attributes bytea, fields bytea,"
            " picture bytea, payload bytea, encoder_version bytea, checksum bigint NOT NULL)",
            "CREATE INDEX mmrec_changes_of_item ON mmrec_changes (item_id, sequence)",
            "CREATE TABLE mmrec_change_requests (request_id bytea PRIMARY KEY, digest bytea NOT NULL, last bigint NOT"
            " NULL, reply bytea NOT NULL, recorded_us bigint NOT NULL)",
            "CREATE INDEX mmrec_change_requests_by_age ON mmrec_change_requests (recorded_us)",
        ),
    ),
)
_STATE_FIELDS = tuple(field.name for field in fields(StoreState))
_STATE_COLUMNS = ", ".join(_STATE_FIELDS)
_STATE = f"SELECT {_STATE_COLUMNS} FROM mmrec_change_log"
_FIRST_STATE = (
    f"INSERT INTO mmrec_change_log ({_STATE_COLUMNS}) VALUES (%s{', %s' * (len(_STATE_FIELDS) - 1)})"
    " ON CONFLICT (id) DO NOTHING"
)
_SET_STATE = f"UPDATE mmrec_change_log SET {', '.join(f'{name} = %s' for name in _STATE_FIELDS)}"
_COLUMNS = ", ".join(("sequence", "recorded_us", *COLUMNS))
_SELECT = f"SELECT {_COLUMNS} FROM mmrec_changes"
_INSERT = f"COPY mmrec_changes ({_COLUMNS}) FROM STDIN"
_INSERT_REQUEST = (
    "INSERT INTO mmrec_change_requests (request_id, digest, last, reply, recorded_us) VALUES (%s, %s, %s, %s, %s)"
    " ON CONFLICT (request_id) DO UPDATE SET digest = excluded.digest, last = excluded.last, reply = excluded.reply,"
    " recorded_us = excluded.recorded_us"
)
_CHANGED_SINCE = "SELECT item_id FROM mmrec_changes WHERE item_id = ANY(%s) AND sequence > %s LIMIT 1"
_OFTEN_CHANGED = (
    "SELECT item_id FROM mmrec_changes WHERE item_id > %s AND sequence <= %s GROUP BY item_id HAVING count(*) > 1"
    " ORDER BY item_id LIMIT %s"
)
_OF_ITEM = (
    "SELECT sequence, deleted = 1 OR fields IS NULL FROM mmrec_changes WHERE item_id = %s AND sequence <= %s"
    " ORDER BY sequence DESC"
)
_REMOVE_OF_ITEM = "DELETE FROM mmrec_changes WHERE item_id = %s AND sequence <= %s AND sequence <> ALL(%s)"
_DROP = (
    "DELETE FROM mmrec_changes WHERE sequence IN"
    " (SELECT sequence FROM mmrec_changes WHERE sequence <= %s ORDER BY sequence LIMIT %s)"
)


class _Changes:
    """What reads the changes of an open database; see `PostgresChangeReader`."""

    def __init__(self, database: Database, asked: str | None) -> None:
        self._database, self._asked = database, asked

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def base(self) -> str:
        """See `ChangeReader`."""
        return self.state().base if self._asked is None else self._asked

    def state(self) -> StoreState:
        """See `ChangeReader`."""
        with self._database.connection() as db:
            return _state(db, self._database)

    def position(self) -> int:
        """See `ChangeReader`."""
        return self.state().position

    def replay(self, after: int = 0, batch: int = 1000) -> Iterator[Sequence[Sequenced]]:
        """See `ChangeReader`."""
        return self._batches(checked_sequence(after, "after"), BATCH.check(batch, "batch"))

    def close(self) -> None:
        """See `ChangeReader`."""
        self._database.close()

    def _batches(self, after: int, batch: int) -> Iterator[Sequence[Sequenced]]:
        while changes := self._batch(after, batch):
            yield changes
            after = changes[-1].sequence

    def _batch(self, after: int, batch: int) -> list[Sequenced]:
        with self._database.snapshot() as db:
            after = first_read(_state(db, self._database), self._asked, after, str(self._database))
            with db.cursor(name="changes") as cursor:
                cursor.itersize = _FETCHED
                cursor.execute(f"{_SELECT} WHERE sequence > %s ORDER BY sequence LIMIT %s", (after, batch))
                return batch_of(cursor, self._sequenced)

    def _sequenced(self, row: Sequence[Any]) -> Sequenced:
        number, recorded_us, *content = row
        texts = (
            value.decode("utf-8", "replace") if name in _TEXTS and value is not None else value
            for name, value in zip(COLUMNS, content, strict=True)
        )
        try:
            return Sequenced(number, from_microseconds(recorded_us), unpack(tuple(texts)))
        except (ValueError, OverflowError) as err:
            raise _damaged(self._database, f"change {number}: {err}") from err


class PostgresChangeReader(_Changes):
    """A `ChangeReader` of a store that exists. For any number of threads.

    Args:
        place: The database.
        base: Version of the catalogue that the caller has; None: the base of the store.

    Raises:
        NotFoundError: there is no store in the database.
        FailedPreconditionError: it is of another base or layout, or cannot be used.
        UnavailableError: it cannot be reached.
    """

    def __init__(self, place: PostgresPlace, base: str | None = None) -> None:
        super().__init__(Database(place, _TABLES, read_only=True), base)
        with ExitStack() as stack:
            stack.callback(self.close)
            state = self.state()
            if base is not None and base not in (state.base, state.successor):
                raise other_base(str(self._database), base, state)
            stack.pop_all()


class PostgresChangeStore(_Changes):
    """A `ChangeStore` that servers share. For any number of threads.

    Args:
        place: The database, whose tables are made, or brought to the layout of this mmrec.
        base: Version of the catalogue that the changes are made to. A base that was announced becomes the store's.
        clock: The time now, with a zone; for tests.

    Raises:
        InvalidArgumentError: `base` is empty.
        FailedPreconditionError: it extends another base, has the layout of a newer mmrec, or cannot be used.
        UnavailableError: it cannot be reached.
    """

    shared = True
    """See `ChangeStore`."""

    def __init__(self, place: PostgresPlace, base: str, *, clock: Callable[[], datetime] = utc_now) -> None:
        check_base(base, "base")
        self._place, self._clock = place, clock
        super().__init__(Database(place, _TABLES), None)
        with ExitStack() as stack:
            stack.callback(self.close)
            with self._database.connection() as db:
                db.execute(_FIRST_STATE, astuple(StoreState(base)))
            state = self.state()
            if base != state.base:
                if base != state.successor:
                    raise other_base(str(self._database), base, state)
                self.rebase(base, state.successor_holds)
            if state.dropped:
                self.drop_folded(state.dropped)  # complete what a kill may have interrupted
            stack.pop_all()

    # --- requests -------------------------------------------------------------------------------------------

    def find(self, request_id: str) -> RecordedRequest | None:
        """See `ChangeStore`."""
        with self._database.connection() as db:
            found = self._found(db, request_id)
        return found and found[0]

    def record(
        self,
        request_id: str,
        digest: bytes,
        changes: Sequence[Change],
        reply: bytes,
        *,
        based_on: int | None = None,
    ) -> Recorded:
        """See `ChangeStore`."""
        request = pack_request(request_id, digest, changes, reply)
        rows = request.changes
        with self._writing() as (db, state):
            if request_id and (found := self._found(db, request_id)):
                raise recorded_before(request_id, found[1])
            if based_on is not None:
                ids = [change.item_id.encode() for change in changes]
                if changed := db.execute(_CHANGED_SINCE, (ids, based_on)).fetchone():
                    raise changed_meanwhile(changed[0].decode())
            first, now_us = state.position + 1, to_microseconds(self._clock())
            last = state.position + len(rows)
            if rows:
                with db.cursor().copy(_INSERT) as copy:
                    for number, row in enumerate(rows, first):
                        copy.write_row((number, now_us, *_stored(row)))
                _set_state(db, replace(state, position=last))
            if request_id:
                # Replaces an expired row with the same id.
                db.execute(_INSERT_REQUEST, (request_id.encode(), request.digest, last, request.reply, now_us))
        return Recorded(first, last)

    def forget(self, before: datetime) -> int:
        """See `ChangeStore`."""
        before_us = min(to_microseconds(before), to_microseconds(self._clock() - KEEP_REQUESTS))
        with self._database.connection() as db:
            return db.execute("DELETE FROM mmrec_change_requests WHERE recorded_us < %s", (before_us,)).rowcount

    def _found(self, db: Connection, request_id: str) -> tuple[RecordedRequest, datetime] | None:
        row = db.execute(
            "SELECT digest, last, reply, recorded_us FROM mmrec_change_requests WHERE request_id = %s",
            (request_id.encode(),),
        ).fetchone()
        if row is None:
            return None
        *request, recorded_us = row
        recorded_at = from_microseconds(recorded_us)
        return None if self._clock() - recorded_at > KEEP_REQUESTS else (RecordedRequest(*request), recorded_at)

    # --- compaction -----------------------------------------------------------------------------------------

    def read_as(self, base: str) -> PostgresChangeReader:
        """See `ChangeStore`."""
        return PostgresChangeReader(self._place, base)

    def compact(self, upto: int) -> int:
        """See `ChangeStore`. Requests are recorded between two slices of it."""
        upto = checked_sequence(upto, "upto")
        removed, after_item = 0, b""
        while True:
            with self._writing() as (db, _):
                items = [item for (item,) in db.execute(_OFTEN_CHANGED, (after_item, upto, SLICE_ITEMS)).fetchall()]
                removed += sum(self._compact_item(db, item, upto) for item in items)
            if len(items) < SLICE_ITEMS:
                return removed
            after_item = items[-1]
            time.sleep(PAUSE_S)

    def _compact_item(self, db: Connection, item: bytes, upto: int) -> int:
        numbers = effective(db.execute(_OF_ITEM, (item, upto)).fetchall())
        if len(numbers) > 1:
            rows = db.execute(f"{_SELECT} WHERE sequence = ANY(%s) ORDER BY sequence", (numbers,)).fetchall()
            left = compacted(map(self._sequenced, rows))
            if len(left) < len(numbers):
                numbers = [entry.sequence for entry in left]
                db.execute("DELETE FROM mmrec_changes WHERE sequence = ANY(%s)", (numbers,))
                with db.cursor().copy(_INSERT) as copy:
                    for entry in left:
                        recorded_us = to_microseconds(entry.recorded_at)
                        copy.write_row((entry.sequence, recorded_us, *_stored(pack(entry.change))))
        return db.execute(_REMOVE_OF_ITEM, (item, upto, numbers)).rowcount

    def announce(self, new_base: str, upto: int) -> None:
        """See `ChangeStore`."""
        with self._writing() as (db, state):
            _set_state(db, announced(state, new_base, upto))

    def rebase(self, new_base: str, upto: int) -> None:
        """See `ChangeStore`."""
        with self._writing() as (db, state):
            _set_state(db, following(state, new_base, upto))

    def drop_folded(self, upto: int) -> int:
        """See `ChangeStore`. Requests are recorded between two slices of it."""
        upto = checked_sequence(upto, "upto")
        total = 0
        while True:
            with self._writing() as (db, state):
                _set_state(db, without_folded(state, upto))
                dropped = db.execute(_DROP, (upto, SLICE_CHANGES)).rowcount
            total += dropped
            if not dropped:
                return total
            time.sleep(PAUSE_S)

    @contextmanager
    def _writing(self) -> Iterator[tuple[Connection, StoreState]]:
        """A transaction that no other writer is in, and the state at its beginning."""
        with self._database.transaction() as db:
            yield db, _state(db, self._database, " FOR UPDATE")


def _stored(row: Sequence[Any]) -> list[Any]:
    """The values of a row as they are stored."""
    return [value.encode() if isinstance(value, str) else value for value in row]


def _state(db: Connection, database: Database, lock: str = "") -> StoreState:
    row = db.execute(_STATE + lock).fetchone()
    if row is None:
        raise NotFoundError(f"{database} was not begun yet; start the server with it first")
    return StoreState(*row)


def _set_state(db: Connection, state: StoreState) -> None:
    db.execute(_SET_STATE, astuple(state))


def _damaged(database: Database, what: str) -> BundleError:
    return BundleError(f"{database} is damaged: {what}. Restore the database from a copy")
