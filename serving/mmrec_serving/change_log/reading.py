"""Reading a store's changes, in the process that writes them and in any other.

Unit of work: one batch, read as of one moment. No read stays open between batches, so that a slow reader neither
holds up the writer nor lets its log grow. Knows nothing of writing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock
from types import TracebackType

from mmrec.contract.rules import Ids, Whole
from mmrec.errors import FailedPreconditionError, NotFoundError, UnavailableError
from mmrec_serving.change_log.config import StoreConfig
from mmrec_serving.change_log.database import STORE_FILE, check, connect, read_state
from mmrec_serving.change_log.failures import damaged, naming_failures
from mmrec_serving.change_log.merging import merged
from mmrec_serving.change_log.rows import COLUMNS, from_microseconds, unpack
from mmrec_serving.change_log.values import Sequenced, StoreState

_MOST = 100_000
_BATCH_BYTES = 64 * 1024 * 1024
"""A batch ends when it holds this many bytes."""
_SELECT = f"SELECT sequence, recorded_us, {', '.join(COLUMNS)} FROM changes"


class SqliteChangeReader:
    """A store opened for reading alone; a `ChangeReader`. For any number of threads.

    Args:
        config: Where it lies.
        base: Version of the catalogue that the reader has; None: that of the store, whichever it is.

    Raises:
        NotFoundError: there is no store in the folder.
        FailedPreconditionError: the store is of another base or layout, or cannot be read.
        BundleError: it is damaged.
    """

    def __init__(self, config: StoreConfig, base: str | None = None) -> None:
        self._folder = config.folder
        self._asked = base
        self._lock = Lock()
        path = config.folder / STORE_FILE
        if not path.exists():
            raise NotFoundError(f"there is no store of catalogue changes in {str(config.folder)!r}; name its folder")
        with naming_failures(config.folder):
            db = connect(path, config.busy_timeout_s, read_only=True)
            try:
                state = check(db, config.folder, whole=False)
                if base is not None and base not in (state.base, state.successor):
                    raise other_base(config.folder, base, state)
            except BaseException:
                db.close()
                raise
        self._db: sqlite3.Connection | None = db

    def __enter__(self) -> SqliteChangeReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def base(self) -> str:
        """See `ChangeReader`."""
        return self.state().base if self._asked is None else self._asked

    def state(self) -> StoreState:
        """See `ChangeReader`."""
        with self._reading() as db:
            return self._state(db)

    def position(self) -> int:
        """See `ChangeReader`."""
        return self.state().position

    def replay(self, after: int = 0, batch: int = 1000) -> Iterator[Sequence[Sequenced]]:
        """See `ChangeReader`."""
        after = checked_sequence(after, "after")
        return self._batches(after, Whole(1, _MOST, f"be from 1 to {_MOST:,}").check(batch, "batch"))

    def latest(self, item_ids: Sequence[str]) -> Mapping[str, tuple[Sequenced, ...]]:
        """See `ChangeReader`."""
        found: dict[str, tuple[Sequenced, ...]] = {}
        with self._reading() as db:
            for item_id in dict.fromkeys(Ids(None).check(item_ids, "item_ids")):
                numbers = counting(db, item_id)
                if numbers:
                    found[item_id] = folded_up([read_change(db, self._folder, number) for number in numbers])
        return found

    def close(self) -> None:
        """See `ChangeReader`."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _batches(self, after: int, batch: int) -> Iterator[Sequence[Sequenced]]:
        while changes := self._batch(after, batch):
            yield changes
            after = changes[-1].sequence

    def _batch(self, after: int, batch: int) -> list[Sequenced]:
        changes: list[Sequenced] = []
        size = 0
        with self._reading() as db:
            after = self._start(self._state(db), after)
            rows = db.execute(f"{_SELECT} WHERE sequence > ? ORDER BY sequence LIMIT ?", (after, batch))
            for row in rows:
                changes.append(_sequenced(self._folder, row))
                size += sum(len(value) for value in row if isinstance(value, str | bytes))
                if size >= _BATCH_BYTES:
                    break
            rows.close()
        return changes

    def _start(self, state: StoreState, after: int) -> int:
        """What need not be read is that up to this number."""
        if self._asked is None or self._asked == state.base:
            return max(after, state.folded)
        if self._asked == state.successor:
            return max(after, state.successor_holds)
        if after < state.dropped:
            raise FailedPreconditionError(
                f"changes {after + 1} to {state.dropped} of the store in {str(self._folder)!r} were dropped, because "
                f"the catalogue {state.base!r} holds them, and this reader has {self._asked!r}; load {state.base!r} "
                "and replay from there"
            )
        return after

    def _state(self, db: sqlite3.Connection) -> StoreState:
        try:
            return read_state(db)
        except ValueError as err:
            raise damaged(self._folder, f"the row of its state: {err}") from err

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Everything inside is read as of one moment."""
        with self._lock, naming_failures(self._folder):
            if self._db is None:
                raise UnavailableError(f"the store of catalogue changes in {str(self._folder)!r} is closed")
            self._db.execute("BEGIN")
            try:
                yield self._db
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")


def checked_sequence(number: int, where: str) -> int:
    """The number of a change, or 0.

    Raises:
        InvalidArgumentError: it is no whole number, or is below 0 or over 2^62.
    """
    return Whole(0, 2**62, "be 0 or the number of a change").check(number, where)


def other_base(folder: Path, base: str, state: StoreState) -> FailedPreconditionError:
    """The error of a store that extends another catalogue than the one at hand."""
    return FailedPreconditionError(
        f"the store in {str(folder)!r} has changes to the catalogue {state.base!r}, up to number {state.position}, and "
        f"is opened for {base!r}. Nothing is lost: serve {state.base!r}, or give a new store folder, or, where "
        f"{base!r} is to follow it, open the store for {state.base!r} and call rebase({base!r}, upto) with the number "
        "of the last change that it holds (0: none, so that all changes are made to it)"
    )


def counting(db: sqlite3.Connection, item_id: str, upto: int = 2**62) -> list[int]:
    """Numbers of an item's changes that still count: its last whole one, and what was replaced after it."""
    numbers = []
    rows = db.execute(
        "SELECT sequence, deleted = 1 OR fields IS NULL FROM changes WHERE item_id = ? AND sequence <= ?"
        " ORDER BY sequence DESC",
        (item_id, upto),
    )
    for number, whole in rows:
        numbers.append(number)
        if whole:
            break
    rows.close()
    return numbers[::-1]


def folded_up(changes: Sequence[Sequenced]) -> tuple[Sequenced, ...]:
    """Changes of one item, oldest first, with each merged into the one after it where that can be."""
    left: list[Sequenced] = []
    for entry in changes:
        change = merged(left[-1].change, entry.change) if left else None
        if change is None:
            left.append(entry)
        else:
            left[-1] = replace(entry, change=change)
    return tuple(left)


def read_change(db: sqlite3.Connection, folder: Path, number: int) -> Sequenced:
    """The change of a number that is there."""
    return _sequenced(folder, db.execute(f"{_SELECT} WHERE sequence = ?", (number,)).fetchone())


def _sequenced(folder: Path, row: Sequence[object]) -> Sequenced:
    number, recorded_us, *content = row
    try:
        return Sequenced(int(number), from_microseconds(int(recorded_us)), unpack(content))  # type: ignore[call-overload]
    except (ValueError, OverflowError) as err:
        raise damaged(folder, f"change {number}: {err}") from err
