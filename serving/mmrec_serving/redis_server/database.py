"""Connections to a Redis, for any number of threads at once.

Unit of work: commands that are sent together, or one script, whose effect is durable when its reply is there. A
connection that the server has ended while nobody used it is replaced, so a server that comes back is used at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, TypeAlias

from redis.exceptions import RedisError, ResponseError

from mmrec.errors import BundleError, UnavailableError
from mmrec_serving.redis_server.failures import damaged, explained, in_words, lost, unreachable
from mmrec_serving.redis_server.place import Connection, RedisPlace
from mmrec_serving.redis_server.server_checks import QUESTIONS, check_server
from mmrec_serving.redis_server.store_keys import BEGIN, StoreKeys

Word: TypeAlias = str | bytes | int | float
"""A word of a command."""
Command: TypeAlias = Sequence[Word]
"""The name of a command and its arguments."""


class Database:
    """As many connections as threads have used it at once.

    Args:
        place: The database.
        keys: The keys of the store that is opened.
        first: What the hash `log` of a new store has; None: the store must be there already, and is read only.

    Raises:
        NotFoundError: the store must be there, and is not.
        FailedPreconditionError: it is of another mmrec; or the server cannot be used, or is not durable.
        UnavailableError: it cannot be reached.
    """

    def __init__(self, place: RedisPlace, keys: StoreKeys, first: Mapping[str, Word] | None = None) -> None:
        self._place, self._keys = place, keys
        self._prefix = place.prefix
        self._checks = first is not None
        self._lock = Lock()
        self._idle: list[Connection] | None = []
        try:
            layout = f"{self._prefix}:layout"
            if first is None:
                (found,) = self.ask(("HGET", layout, keys.kind))
            else:
                pairs = [word for pair in first.items() for word in pair]
                found = self.run(BEGIN, [layout, self.key("log")], [keys.kind, keys.version, *pairs])
            keys.check(None if found is None else int(found))
        except BaseException:
            self.close()
            raise

    def __str__(self) -> str:
        return in_words(self._keys, self._place)

    def key(self, *words: str) -> str:
        """The name of a key of the store."""
        return ":".join((self._prefix, self._keys.kind, *words))

    def ask(self, *commands: Command) -> list[Any]:
        """The replies to commands that are sent together; others may do something between two of them.

        Raises:
            UnavailableError: the store is closed, or the server cannot be reached.
            MmrecError: see `explained`.
        """
        with self._connection() as db:
            return _replies(db, commands)

    def run(self, text: str, keys: Sequence[str], arguments: Iterable[Word]) -> Any:
        """The reply to a script, which is atomic; an error that it answers with has changed nothing.

        Raises:
            MmrecError: as `ask`.
        """
        return self.ask(script(text, keys, arguments))[0]

    def lost(self) -> BundleError:
        """The error of a store that is not there any more."""
        return lost(str(self))

    def damaged(self, what: str) -> BundleError:
        """The error of an entry that is not as it was written."""
        return damaged(str(self), what)

    def close(self) -> None:
        """Close the connections, those that are in use at the end of their use. May be called again."""
        with self._lock:
            idle, self._idle = self._idle or [], None
        for db in idle:
            db.disconnect()

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """A connection for this thread alone."""
        db, usable = self._take(), False
        try:
            yield db
            usable = True
        except RedisError as err:
            # After an error that the server has answered with, it takes further commands.
            usable = isinstance(err, ResponseError)
            raise explained(err, self._keys, self._place) from err
        finally:
            self._give_back(db, usable)

    def _take(self) -> Connection:
        while True:
            with self._lock:
                if self._idle is None:
                    raise UnavailableError(f"{self} is closed")
                db = self._idle.pop() if self._idle else None
            if db is None:
                return self._connect()
            try:
                # A server says nothing on an idle connection, but that it ends it.
                if not db.can_read(timeout=0):
                    return db
            except RedisError:
                pass
            db.disconnect()

    def _give_back(self, db: Connection, usable: bool) -> None:
        with self._lock:
            if self._idle is not None and usable:
                self._idle.append(db)
                return
        db.disconnect()

    def _connect(self) -> Connection:
        db = self._place.connection()
        try:
            db.connect()
            if self._checks:
                check_server(_replies(db, QUESTIONS), str(self))
        except RedisError as err:
            db.disconnect()
            raise unreachable(err, self._keys, self._place) from None
        except BaseException:
            db.disconnect()
            raise
        return db


def script(text: str, keys: Sequence[str], arguments: Iterable[Word]) -> Command:
    """The command that runs a script."""
    # With its text, as Redis forgets scripts when it ends; it compiles each of them once.
    return ("EVAL", text, len(keys), *keys, *arguments)


def _replies(db: Connection, commands: Sequence[Command]) -> list[Any]:
    """The replies to commands, all of which are read.

    Raises:
        RedisError: the first reply that is an error; or the connection is lost.
    """
    db.send_packed_command(db.pack_commands(commands))
    replies: list[Any] = []
    first: ResponseError | None = None
    for _ in commands:
        try:
            replies.append(db.read_response())
        except ResponseError as err:
            first = first or err
    if first is not None:
        raise first
    return replies
