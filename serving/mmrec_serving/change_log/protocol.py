"""The interface of a store of changes; `SqliteChangeStore`, `PostgresChangeStore`, `RedisChangeStore` implement it.

Unit of work: one request of many changes. Every store keeps these promises:

* Durable: what `record` returned survives a kill and a power cut. A request is there whole, or not at all.
* Numbered: sequence numbers rise by one per change and are given once, whatever is dropped, and after a crash too.
* In order: whoever has read the changes up to a number never finds another one with a lower number later.
* Replayable: applying `replay(after)` in order to the catalogue as it was after change ``after`` gives the catalogue
  as it is now.
* Once: a request id is recorded at most once while it is kept, and `find` gives what was recorded.
* Never overwritten: a file that is damaged, or of another program, layout or base, is refused with a remedy and not
  changed.

These do not hold for a disk that reports writes it has not made, or when somebody removes a ``-wal`` file. A request
that failed with a disk error may have been recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol, Self

from mmrec_serving.change_log.changes import Change, Recorded, RecordedRequest, Sequenced, StoreState


class ChangeReader(Protocol):
    """Changes to read. Any number of threads, here and in other processes, may read while others write."""

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

        Changes that the base includes are left out. A delete may name an item that does not exist.

        Args:
            after: Number of the last change that the caller has; 0: it has only the base.
            batch: Most changes at once; fewer where they are large.

        Raises:
            FailedPreconditionError: changes after this number were dropped, because a newer base includes them.
            BundleError: a change is damaged.
        """
        ...

    def close(self) -> None:
        """Close the store. May be called again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class ChangeStore(ChangeReader, Protocol):
    """Changes to read and to write, by any number of threads of one process, or of several if the store is shared."""

    @property
    def shared(self) -> bool:
        """Whether other processes record too."""
        ...

    def find(self, request_id: str) -> RecordedRequest | None:
        """The request that was recorded under an id in the last 24 hours; None if there is none.

        Raises:
            BundleError: its row is damaged.
        """
        ...

    def record(
        self,
        request_id: str,
        digest: bytes,
        changes: Sequence[Change],
        reply: bytes,
        *,
        based_on: int | None = None,
    ) -> Recorded:
        """Make the changes of a request durable, all in one transaction.

        Args:
            request_id: Under which `find` gives the request; at most 128 characters. Empty: it is not kept.
            digest: Digest of the content of the request, such as a SHA-256; 1 to 64 bytes if there is an id.
            changes: In order; may be empty, so that only the reply is stored.
            reply: The reply to the request.
            based_on: The changes were made of their items as these were after the change with this number; None: they
                do not depend on what the items were.

        Raises:
            FailedPreconditionError: `find` gives a request of this id. Nothing was recorded.
            ResourceExhaustedError: the disk is full. Nothing was recorded.
            UnavailableError: the store is closed, locked by another program, or out of reach; or, with `based_on`, one
                of the items has changed since. Nothing was recorded; or the connection was lost, and it is not known.
        """
        ...

    def read_as(self, base: str) -> ChangeReader:
        """A reader for the catalogue `base`: the base of the store, or the announced next one.

        Raises:
            FailedPreconditionError: `base` is neither.
        """
        ...

    def forget(self, before: datetime) -> int:
        """Delete requests recorded before this moment, but none that `find` must give; returns their number."""
        ...

    def compact(self, upto: int) -> int:
        """Merge the changes up to this number into one per item; returns how many were removed.

        Deletes stay, and so do partial updates after a delete.
        """
        ...

    def announce(self, new_base: str, upto: int) -> None:
        """Record the next base, and the last change that it includes, before it is published.

        Opening the store with that base then rebases it, so that a kill between publishing and `rebase` does no harm.
        The current base stays the base. A second announcement replaces the first.
        """
        ...

    def rebase(self, new_base: str, upto: int) -> None:
        """Change the base of the store. Nothing is dropped.

        Args:
            new_base: Version of its catalogue.
            upto: It includes all changes up to this number; 0: none.

        Raises:
            InvalidArgumentError: there is no such change, or changes after it were dropped before.
        """
        ...

    def drop_folded(self, upto: int) -> int:
        """Drop changes up to this number, which the base must include; returns their number.

        Readers of an older base that have not read them yet get an error.

        Raises:
            FailedPreconditionError: the base does not include them; see `rebase`.
        """
        ...
