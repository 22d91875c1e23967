"""Reading the events of a store, in the process that writes them and in any other.

Unit of work: one query, answered as of one moment. No read stays open between two, so that a slow reader neither
delays the writer nor lets its log grow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self

from mmrec.contract.forgotten_users import ForgottenUsers
from mmrec.errors import InvalidArgumentError
from mmrec_serving.event_log.arguments import LAST, MOST, NUMBER, USER
from mmrec_serving.event_log.protocol import RecordedEvent
from mmrec_serving.event_log.sqlite_file import CONTENT, EVENTS, digest, unpack
from mmrec_serving.sqlite_files import ReaderPool, StoreFile, StoreFolder

_COLUMNS = f"{', '.join(CONTENT)}, checksum"
USER_NUMBER = "(SELECT number FROM users WHERE digest = ? AND user_id = ?)"
"""The number of a user by the two values of `user_key`; NULL if there is none."""
KEY = "SELECT key FROM deletion_key"
_HISTORY = (
    f"SELECT sequence, {_COLUMNS} FROM events WHERE user = {USER_NUMBER} AND sequence > ? AND sequence <= ?"
    " ORDER BY sequence DESC LIMIT ?"
)
_REPLAY = (
    f"SELECT sequence, coalesce(user_id, ''), {_COLUMNS} FROM events LEFT JOIN users ON number = user"
    " WHERE sequence > ? AND item_id IS NOT NULL ORDER BY sequence LIMIT ?"
)


class SqliteEventReader:
    """An `EventReader` of a store, opened read-only. For any number of threads.

    Args:
        place: The place of the store.

    Raises:
        NotFoundError: there is no store in the folder.
        FailedPreconditionError: it is another database or has another layout, or cannot be read.
        BundleError: it is damaged.
    """

    def __init__(self, place: StoreFolder) -> None:
        self._file = StoreFile(EVENTS, place)
        self._readers = ReaderPool(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def position(self) -> int:
        """See `EventReader`."""
        with self._readers.connection() as db:
            (last,) = db.execute("SELECT max(sequence) FROM events").fetchone()
        return int(last or 0)

    def history(
        self, user_id: str, *, after: int = 0, upto: int | None = None, most: int = 1000
    ) -> list[RecordedEvent]:
        """See `EventReader`."""
        key = user_key(user_id)
        after = NUMBER.check(after, "after")
        upto = LAST if upto is None else NUMBER.check(upto, "upto")
        most = MOST.check(most, "most")
        with self._readers.connection() as db:
            rows = db.execute(_HISTORY, (*key, after, upto, most)).fetchall()
        return [self._recorded(sequence, user_id, row) for sequence, *row in reversed(rows)]

    def last_deletion(self) -> int:
        """See `EventReader`."""
        with self._readers.connection() as db:
            (last,) = db.execute("SELECT max(number) FROM deletions").fetchone()
        return int(last or 0)

    def forgotten(self) -> ForgottenUsers:
        """See `EventReader`."""
        with self._readers.connection() as db:
            (key,) = db.execute(KEY).fetchone()
            return ForgottenUsers(key, dict(db.execute("SELECT digest, number FROM deletions")))

    def replay(self, after: int = 0, batch: int = 1000) -> Iterator[Sequence[RecordedEvent]]:
        """See `EventReader`."""
        return self._batches(NUMBER.check(after, "after"), MOST.check(batch, "batch"))

    def close(self) -> None:
        """See `EventReader`."""
        self._readers.close()

    def _batches(self, after: int, batch: int) -> Iterator[Sequence[RecordedEvent]]:
        while True:
            with self._readers.connection() as db:
                rows = db.execute(_REPLAY, (after, batch)).fetchall()
            if not rows:
                return
            yield [self._recorded(sequence, user_id, row) for sequence, user_id, *row in rows]
            after = rows[-1][0]

    def _recorded(self, sequence: int, user_id: str, row: Sequence[Any]) -> RecordedEvent:
        try:
            return RecordedEvent(sequence, unpack(sequence, user_id, row))
        except (ValueError, InvalidArgumentError) as err:
            raise self._file.damaged(f"event {sequence}: {err}") from err


def user_key(user_id: str) -> tuple[int, str]:
    """The values of `USER_NUMBER`.

    Raises:
        InvalidArgumentError: the id is empty, or no id.
    """
    USER.check(user_id, "user_id")
    return digest(user_id), user_id
