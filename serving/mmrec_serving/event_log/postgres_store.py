"""The store of events in a PostgreSQL database, which any number of servers share.

Unit of work: one atomic transaction. The one row of ``mmrec_event_log`` has the last number; a transaction that records
or deletes locks it, so numbers have no gaps, and events become visible in the order of their numbers.

What a deletion removes no query finds any more. Its bytes leave the files of the database when PostgreSQL vacuums the
tables and reuses the space, and stay in its write-ahead log and in backups for as long as these are kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

from mmrec.contract.events import UserEvent
from mmrec.contract.forgotten_users import ForgottenUsers
from mmrec.errors import BundleError, InvalidArgumentError
from mmrec_serving.event_log.arguments import EVENTS, LAST, MOST, NUMBER, USER
from mmrec_serving.event_log.protocol import RecordedEvent
from mmrec_serving.postgres import Database, PostgresPlace, StoreTables

_CONTENT = (
    "user_id",
    "item_id",
    "event_type",
    "session_id",
    "event_id",
    "time",
    "rating",
    "value",
    "position",
    "recommendation_id",
)
_COLUMNS = ", ".join(("sequence", *_CONTENT))
_TABLES = StoreTables(
    name="store of events",
    key="the same event ids",
    migrations=(
        (
            "CREATE TABLE mmrec_event_log (id integer PRIMARY KEY DEFAULT 1 CHECK (id = 1),"
            " position bigint NOT NULL DEFAULT 0, deletion bigint NOT NULL DEFAULT 0, key bytea NOT NULL)",
            # Two random UUIDs of version 4 have 244 random bits.
            "INSERT INTO mmrec_event_log (key) VALUES"
            " (decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'))",
            # recommendation_id alone may have the character U+0000, which a text cannot have.
            "CREATE TABLE mmrec_events (sequence bigint PRIMARY KEY, user_id text NOT NULL, item_id text NOT NULL,"
            " event_type text NOT NULL, session_id text NOT NULL, event_id text NOT NULL, time double precision NOT"
            " NULL, rating double precision, value double precision, position integer, recommendation_id bytea NOT"
            " NULL)",
            "CREATE INDEX mmrec_events_of_user ON mmrec_events (user_id, sequence) WHERE user_id <> ''",
            "CREATE UNIQUE INDEX mmrec_events_by_id ON mmrec_events (event_id) WHERE event_id <> ''",
            "CREATE TABLE mmrec_event_deletions (digest bytea PRIMARY KEY, number bigint NOT NULL)",
        ),
    ),
)
_LOCK = "SELECT position FROM mmrec_event_log FOR UPDATE"
_KNOWN = "SELECT event_id, sequence FROM mmrec_events WHERE event_id = ANY(%s) AND event_id <> ''"
_INSERT = f"COPY mmrec_events ({_COLUMNS}) FROM STDIN"
_HISTORY = (
    f"SELECT {_COLUMNS} FROM mmrec_events WHERE user_id = %s AND user_id <> '' AND sequence > %s AND sequence <= %s"
    " ORDER BY sequence DESC LIMIT %s"
)
_REPLAY = f"SELECT {_COLUMNS} FROM mmrec_events WHERE sequence > %s ORDER BY sequence LIMIT %s"
_DELETED = "UPDATE mmrec_event_log SET deletion = deletion + 1 RETURNING deletion, key"
_INSERT_DELETION = (
    "INSERT INTO mmrec_event_deletions (digest, number) VALUES (%s, %s)"
    " ON CONFLICT (digest) DO UPDATE SET number = excluded.number"
)


class _Events:
    """What reads the events of an open database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def position(self) -> int:
        """See `EventReader`."""
        return int(self._rows("SELECT position FROM mmrec_event_log")[0][0])

    def history(
        self, user_id: str, *, after: int = 0, upto: int | None = None, most: int = 1000
    ) -> list[RecordedEvent]:
        """See `EventReader`."""
        user_id = USER.check(user_id, "user_id")
        after = NUMBER.check(after, "after")
        upto = LAST if upto is None else NUMBER.check(upto, "upto")
        rows = self._rows(_HISTORY, user_id, after, upto, MOST.check(most, "most"))
        return [self._recorded(row) for row in reversed(rows)]

    def last_deletion(self) -> int:
        """See `EventReader`."""
        return int(self._rows("SELECT deletion FROM mmrec_event_log")[0][0])

    def forgotten(self) -> ForgottenUsers:
        """See `EventReader`."""
        ((key,),) = self._rows("SELECT key FROM mmrec_event_log")
        return ForgottenUsers(key, dict(self._rows("SELECT digest, number FROM mmrec_event_deletions")))

    def replay(self, after: int = 0, batch: int = 1000) -> Iterator[Sequence[RecordedEvent]]:
        """See `EventReader`."""
        return self._batches(NUMBER.check(after, "after"), MOST.check(batch, "batch"))

    def close(self) -> None:
        """See `EventReader`."""
        self._database.close()

    def _batches(self, after: int, batch: int) -> Iterator[Sequence[RecordedEvent]]:
        while rows := self._rows(_REPLAY, after, batch):
            yield [self._recorded(row) for row in rows]
            after = rows[-1][0]

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._database.connection() as db:
            return db.execute(query, values).fetchall()

    def _recorded(self, row: tuple[Any, ...]) -> RecordedEvent:
        sequence, *content, shown_in = row
        try:
            event = UserEvent(**dict(zip(_CONTENT, (*content, shown_in.decode()), strict=True)))
        except (ValueError, InvalidArgumentError) as err:
            raise BundleError(
                f"{self._database} is damaged: event {sequence}: {err}. Restore the database from a copy"
            ) from err
        return RecordedEvent(sequence, event)


class PostgresEventReader(_Events):
    """An `EventReader` of a store that exists. For any number of threads.

    Args:
        place: The database.

    Raises:
        NotFoundError: there is no store in the database.
        FailedPreconditionError: it has another layout, or cannot be used.
        UnavailableError: it cannot be reached.
    """

    def __init__(self, place: PostgresPlace) -> None:
        super().__init__(Database(place, _TABLES, read_only=True))


class PostgresEventStore(_Events):
    """An `EventStore` that servers share. For any number of threads.

    Args:
        place: The database, whose tables are made, or brought to the layout of this mmrec.
        clock: The time now in seconds since 1970; for tests.

    Raises:
        FailedPreconditionError: it has the layout of a newer mmrec, or cannot be used.
        UnavailableError: it cannot be reached.
    """

    shared = True
    """See `EventStore`."""

    def __init__(self, place: PostgresPlace, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(Database(place, _TABLES))
        self._clock = clock

    def record(self, events: Sequence[UserEvent]) -> list[int]:
        """See `EventStore`."""
        checked: tuple[UserEvent, ...] = EVENTS.check(events, "events")
        numbers: list[int] = []
        with self._database.transaction() as db:
            ((before,),) = db.execute(_LOCK).fetchall()
            position, now = int(before), self._clock()
            ids = [event.event_id for event in checked if event.event_id]
            known: dict[str, int] = dict(db.execute(_KNOWN, (ids,)).fetchall()) if ids else {}
            rows: list[tuple[object, ...]] = []
            for event in checked:
                number = known.get(event.event_id)
                if number is None:
                    number = position = position + 1
                    rows.append(_row(number, event, now))
                    if event.event_id:
                        known[event.event_id] = number
                numbers.append(number)
            if rows:
                with db.cursor().copy(_INSERT) as copy:
                    for row in rows:
                        copy.write_row(row)
                db.execute("UPDATE mmrec_event_log SET position = %s", (position,))
        return numbers

    def delete_user(self, user_id: str) -> int:
        """See `EventStore`."""
        user_id = USER.check(user_id, "user_id")
        with self._database.transaction() as db:
            ((number, key),) = db.execute(_DELETED).fetchall()
            deleted = db.execute("DELETE FROM mmrec_events WHERE user_id = %s AND user_id <> ''", (user_id,)).rowcount
            db.execute(_INSERT_DELETION, (ForgottenUsers(key).digest(user_id), number))
        return deleted


def _row(number: int, event: UserEvent, now: float) -> tuple[object, ...]:
    time_of_it = now if event.time is None else event.time
    return (
        number,
        event.user_id,
        event.item_id,
        event.event_type,
        event.session_id,
        event.event_id,
        time_of_it,
        event.rating,
        event.value,
        event.position,
        event.recommendation_id.encode(),
    )
