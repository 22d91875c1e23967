"""A store of changes, whatever keeps them; `SqliteChangeStore` is the default.

Unit of work: one request of many changes. Every store keeps these promises:

* Durable: what `record` returned survives a kill and a power cut. A request is there whole, or not at all.
* Numbered: sequence numbers rise by one per change and are given once, whatever is dropped, and after a crash too.
* Replayable: applying `replay(after)` in order to the catalogue as it was after change ``after`` gives the catalogue
  as it is now.
* Once: a request id is recorded at most once in the time for which it is kept, and `find` gives what was recorded.
* Never made anew: a file that is damaged, of another program, layout or base is refused with what to do, and left as
  it is.

A disk that lies about having written is beyond them, and so is a ``-wal`` file that somebody removed. A request that
failed with an error of the disk may turn out to be recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from mmrec_serving.change_log.changes import Change, Recorded, RecordedRequest, Sequenced, StoreState


class ChangeReader(Protocol):
    """Changes to read. Any number of threads, here and in other processes, may read while one process writes."""

    @property
    def base(self) -> str:
        """Version of the catalogue that the changes are made to."""
        ...

    def state(self) -> StoreState:
        """The state of the store now."""
        ...

    def position(self) -> int:
        """Number of the last change that was ever recorded; 0: none."""
        ...

    def replay(self, after: int = 0, batch: int = 1000) -> Iterator[Sequence[Sequenced]]:
        """The changes after a number, in order, to the position at the time the last batch is read.

        Changes that the base holds are left out. A delete may name an item that is not there.

        Args:
            after: Number of the last change that the caller has; 0: it has the base alone.
            batch: Most changes at once; fewer where they are large.

        Raises:
            FailedPreconditionError: changes after this number were dropped, because a newer base holds them.
            BundleError: a change is damaged.
        """
        ...

    def close(self) -> None:
        """Let go of it. May be called again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ChangeStore(ChangeReader, Protocol):
    """Changes to read and to write. One process writes, with any number of threads."""

    def find(self, request_id: str) -> RecordedRequest | None:
        """The request that was recorded under an id in the last 24 hours; None where there is none.

        Raises:
            BundleError: what was kept of it is damaged.
        """
        ...

    def record(self, request_id: str, digest: bytes, changes: Sequence[Change], reply: bytes) -> Recorded:
        """Make the changes of a request durable, all in one transaction.

        Args:
            request_id: Under which `find` gives the request; at most 128 characters. Empty: it is not kept.
            digest: Stands for the content of the request, such as a SHA-256; 1 to 64 bytes where there is an id.
            changes: In order; may be empty, so that the reply alone is kept.
            reply: The answer to the request.

        Raises:
            FailedPreconditionError: `find` gives a request of this id. Nothing was recorded.
            ResourceExhaustedError: no room on the disk. Nothing of the request was recorded.
            UnavailableError: the store is closed, or held by another program.
        """
        ...

    def read_as(self, base: str) -> ChangeReader:
        """The changes for whoever has another catalogue: the base, or one that was announced as the next one.

        Raises:
            FailedPreconditionError: it is neither.
        """
        ...

    def forget(self, before: datetime) -> int:
        """Forget requests of before this moment, never one that `find` must give; how many."""
        ...

    def compact(self, upto: int) -> int:
        """Merge the changes up to this number into one per item, the last one; how many were removed.

        Deletes stay, and so do fields that were replaced after one.
        """
        ...

    def announce(self, new_base: str, upto: int) -> None:
        """Say which base is to follow, and the number up to which it holds the changes, before it is published.

        Whoever opens the store with that base from then on has it rebased at that moment, so that a kill between
        publishing and `rebase` does no harm. The present base stays the base. A second one takes the place of the
        first.
        """
        ...

    def rebase(self, new_base: str, upto: int) -> None:
        """Bind the store to another base. Nothing is dropped.

        Args:
            new_base: Version of its catalogue.
            upto: It holds all changes up to this number; 0: it holds none, and all are made to it.

        Raises:
            InvalidArgumentError: there is no such change, or changes after it were dropped before.
        """
        ...

    def drop_folded(self, upto: int) -> int:
        """Drop changes that the base holds, up to this number, deletes too; how many.

        Readers of an older base that have not read them yet get an error.

        Raises:
            FailedPreconditionError: the base does not hold them; `rebase` says that it does.
        """
        ...
