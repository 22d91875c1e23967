"""The store of catalogue changes in one SQLite file: the default `ChangeStore`.

Unit of work: one call. One process writes, which a lock file sees to; readers open a `SqliteChangeReader` beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType

from filelock import FileLock, Timeout

from mmrec.contract.rules import Text, as_tuple
from mmrec.errors import FailedPreconditionError, InvalidArgumentError
from mmrec_serving.change_log.compaction import compact_slice, drop_slice
from mmrec_serving.change_log.config import StoreConfig
from mmrec_serving.change_log.database import LOCK_FILE, STORE_FILE, create, write_state
from mmrec_serving.change_log.failpoints import Failpoint, no_failpoint
from mmrec_serving.change_log.failures import damaged, naming_failures
from mmrec_serving.change_log.reading import SqliteChangeReader, checked_sequence, other_base
from mmrec_serving.change_log.requests import Request, forget_requests
from mmrec_serving.change_log.rows import pack, to_microseconds
from mmrec_serving.change_log.values import (
    MAX_PAYLOAD_BYTES,
    MAX_VERSION_CHARS,
    Change,
    Kind,
    Recorded,
    Sequenced,
    StoreState,
    checked_bytes,
    checked_kind,
)
from mmrec_serving.change_log.writer import Writer

MAX_REQUEST_ID_CHARS = 128
MAX_DIGEST_BYTES = 64


def utc_now() -> datetime:
    """The time now."""
    return datetime.now(UTC)


class SqliteChangeStore:
    """A `ChangeStore` in a folder, held by this process until `close`. For any number of threads.

    Args:
        config: Where it lies; it is made where there is none.
        base: Version of the catalogue that the changes are made to. A base that was announced becomes the store's.
        clock: The time now, with a zone; for tests.
        failpoint: For tests.

    Raises:
        InvalidArgumentError: the folder is a file, or `base` is empty.
        FailedPreconditionError: another process writes to it; it extends another base or has another layout; or it
            cannot be written to.
        ResourceExhaustedError: the disk is full.
        BundleError: it is damaged. It is left as it is.
    """

    def __init__(
        self,
        config: StoreConfig,
        base: str,
        *,
        clock: Callable[[], datetime] = utc_now,
        failpoint: Failpoint = no_failpoint,
    ) -> None:
        self._config = config
        self._clock = clock
        self._failpoint = failpoint
        _checked_base(base, "base")
        if config.folder.exists() and not config.folder.is_dir():
            raise InvalidArgumentError(
                f"folder is {str(config.folder)!r}, which is a file; name a folder", field="folder"
            )
        with ExitStack() as stack, naming_failures(config.folder):
            self._lock = _locked(config)
            stack.callback(self._lock.release)
            failpoint("after-lock")
            self._make(base)
            self._writer = Writer(config, clock, failpoint)
            stack.callback(self._writer.close)
            state = self._writer.opened
            if base != state.base:
                if base != state.successor:
                    raise other_base(config.folder, base, state)
                self.rebase(base, state.successor_holds)
            if state.dropped:
                self.drop_folded(state.dropped)  # to the end, if a kill came in between
            self._reader = SqliteChangeReader(config)
            stack.callback(self._reader.close)
            failpoint("after-open")
            stack.pop_all()

    def __enter__(self) -> SqliteChangeStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """See `ChangeReader`. Waits for what is being written."""
        self._failpoint("before-close")
        self._reader.close()  # before the writer, which then is the last one out and empties the log
        self._writer.close()
        self._lock.release()

    # --- requests -------------------------------------------------------------------------------------------

    def record(self, request_id: str, kind: Kind, digest: bytes, changes: Sequence[Change], reply: bytes) -> Recorded:
        """See `ChangeStore`."""
        Text(MAX_REQUEST_ID_CHARS).check(request_id, "request_id")
        changes = as_tuple(changes, "changes", "changes")
        kind = checked_kind(kind, changes)
        digest = checked_bytes(digest, "digest", MAX_DIGEST_BYTES)
        if request_id and not digest:
            raise InvalidArgumentError(
                "digest is empty; pass what stands for the request, as a SHA-256 of it", field="digest"
            )
        reply = checked_bytes(reply, "reply", MAX_PAYLOAD_BYTES)
        rows = tuple(map(pack, changes))
        return self._writer.record(Request(request_id, kind, digest, rows, reply))

    def forget(self, before: datetime) -> int:
        """See `ChangeStore`."""
        to_microseconds(before)  # refuses one without a zone
        with self._writer.transaction() as (db, _):
            gone = forget_requests(db, min(before, self._clock() - self._config.keep_requests))
            self._failpoint("before-forget-commit")
        self._failpoint("after-forget-commit")
        return gone

    # --- reading --------------------------------------------------------------------------------------------

    @property
    def base(self) -> str:
        """See `ChangeReader`."""
        return self._reader.base

    def state(self) -> StoreState:
        """See `ChangeReader`."""
        return self._reader.state()

    def position(self) -> int:
        """See `ChangeReader`."""
        return self._reader.position()

    def replay(self, after: int = 0, batch: int = 1000) -> Iterator[Sequence[Sequenced]]:
        """See `ChangeReader`."""
        return self._reader.replay(after, batch)

    def latest(self, item_ids: Sequence[str]) -> Mapping[str, tuple[Sequenced, ...]]:
        """See `ChangeReader`."""
        return self._reader.latest(item_ids)

    def read_as(self, base: str) -> SqliteChangeReader:
        """See `ChangeStore`."""
        return SqliteChangeReader(self._config, base)

    # --- folding --------------------------------------------------------------------------------------------

    def compact(self, upto: int) -> int:
        """See `ChangeStore`. Others are recorded between two slices of it."""
        upto = checked_sequence(upto, "upto")
        total, item = 0, ""
        while True:
            with self._writer.transaction() as (db, _):
                gone, item = compact_slice(db, self._config.folder, upto, item, self._failpoint)
                self._failpoint("before-compaction-commit")
            self._failpoint("after-compaction-commit")
            total += gone
            if not item:
                return total

    def announce(self, new_base: str, upto: int) -> None:
        """See `ChangeStore`."""
        with self._writer.transaction() as (db, state):
            new = _following(state, new_base, upto)
            if new.base == state.base:
                raise InvalidArgumentError(f"new_base is {new_base!r:.80}, which is the base already", field="new_base")
            write_state(db, replace(state, successor=new.base, successor_holds=new.folded))
            self._failpoint("before-announce-commit")
        self._failpoint("after-announce-commit")

    def rebase(self, new_base: str, upto: int) -> None:
        """See `ChangeStore`."""
        with self._writer.transaction() as (db, state):
            write_state(db, _following(state, new_base, upto))
            self._failpoint("before-rebase-commit")
        self._failpoint("after-rebase-commit")

    def drop_folded(self, upto: int) -> int:
        """See `ChangeStore`. Others are recorded between two slices of it."""
        upto = checked_sequence(upto, "upto")
        total = 0
        while True:
            with self._writer.transaction() as (db, state):
                if upto > state.folded:
                    raise FailedPreconditionError(
                        f"upto is {upto}, and the catalogue {state.base!r} holds changes up to {state.folded}; call "
                        "rebase with a catalogue that holds them first"
                    )
                # Before the first one goes: a reader of an older base must not miss one unawares.
                write_state(db, replace(state, dropped=max(upto, state.dropped)))
                gone = drop_slice(db, upto)
                self._failpoint("mid-drop")
            self._failpoint("after-drop-commit")
            total += gone
            if not gone:
                return total

    def _make(self, base: str) -> None:
        """Make the file if there is none; never where there was one."""
        folder = self._config.folder
        if (folder / STORE_FILE).exists():
            return
        if (folder / f"{STORE_FILE}-wal").exists():
            raise damaged(folder, f"{STORE_FILE} is gone, and its {STORE_FILE}-wal is there")
        create(folder, base, self._failpoint)


def _locked(config: StoreConfig) -> FileLock:
    config.folder.mkdir(parents=True, exist_ok=True)
    # Any thread may close what another one opened.
    lock = FileLock(config.folder / LOCK_FILE, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout as err:
        raise FailedPreconditionError(
            f"another process is writing to the store of catalogue changes in {str(config.folder)!r}; end it, or give "
            "another folder. Any number of processes may read"
        ) from err
    return lock


def _following(state: StoreState, new_base: str, upto: int) -> StoreState:
    """The state once another base has followed."""
    _checked_base(new_base, "new_base")
    upto = checked_sequence(upto, "upto")
    if not state.dropped <= upto <= state.position:
        raise InvalidArgumentError(
            f"upto is {upto}; the base must hold changes up to a number from {state.dropped} (the last that was "
            f"dropped) to {state.position} (the last there is)",
            field="upto",
        )
    if new_base == state.base and upto != state.folded:
        raise InvalidArgumentError(
            f"new_base is {new_base!r:.80}, the base already, which holds changes up to {state.folded}, not {upto}; a "
            "catalogue of other content needs a version of its own",
            field="new_base",
        )
    return replace(state, base=new_base, folded=upto, successor="", successor_holds=0)


def _checked_base(base: str, where: str) -> None:
    if not Text(MAX_VERSION_CHARS).check(base, where):
        raise InvalidArgumentError(f"{where} is empty; pass the version of the catalogue", field=where)
