"""The interface of a store of events; `SqliteEventStore`, `PostgresEventStore` and `RedisEventStore` implement it.

Unit of work: one call of many events. Every store keeps these promises:

* Durable: what `record` returned survives a kill and a power cut. The events of a call are there all, or none of them.
* Numbered: numbers rise by one per recorded event and are given once, whatever is deleted, and after a crash too.
* Once: an event whose id was recorded before is not recorded again.
* In order: whoever has read the events up to a number never finds another one with a lower number later.
* Forgotten: after `delete_user` the store has nothing of that customer but a keyed digest. What the files of the store
  still hold is said by each implementation.
* Never overwritten: a file that is damaged, or of another program or layout, is refused with a remedy and not changed.

These do not hold for a disk that reports writes it has not made, or when somebody removes a ``-wal`` file. A call that
failed with a disk error may have been recorded; events with ids are safe to send again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, Self

from mmrec.contract.events import UserEvent
from mmrec.contract.forgotten_users import ForgottenUsers


class RecordedEvent(NamedTuple):
    """An event that is durable.

    Attributes:
        sequence: Its unique number, 1 or more, higher than that of every event before it.
        event: The event; its `time` is set.
    """

    sequence: int
    event: UserEvent


class EventReader(Protocol):
    """Events to read. Any number of threads, here and in other processes, may read while others write."""

    def position(self) -> int:
        """Number of the last event that was ever recorded; 0: none."""
        ...

    def history(
        self, user_id: str, *, after: int = 0, upto: int | None = None, most: int = 1000
    ) -> list[RecordedEvent]:
        """The last events of a customer, oldest first. Waits for no writer.

        Args:
            user_id: The customer; one without events has an empty history.
            after: Only events with a higher number.
            upto: Only events up to this number; None: to the last.
            most: The last so many of those, 1 to 100,000.

        Raises:
            BundleError: an event is damaged.
        """
        ...

    def last_deletion(self) -> int:
        """Number of the last deletion of a customer; 0: none."""
        ...

    def forgotten(self) -> ForgottenUsers:
        """The customers that were deleted, each by the number of its last deletion."""
        ...

    def replay(self, after: int = 0, batch: int = 1000) -> Iterator[Sequence[RecordedEvent]]:
        """The events after a number, in order, to the last at the time the last batch is read.

        Numbers of deleted events are missing.

        Args:
            after: Number of the last event that the caller has; 0: none.
            batch: Most events at once, 1 to 100,000.

        Raises:
            BundleError: an event is damaged.
        """
        ...

    def close(self) -> None:
        """Close the store. May be called again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class EventStore(EventReader, Protocol):
    """Events to read and to write, by any number of threads of one process, or of several if the store is shared."""

    @property
    def shared(self) -> bool:
        """Whether other processes record and delete too."""
        ...

    def record(self, events: Sequence[UserEvent]) -> list[int]:
        """Make events durable, all in one transaction.

        An event with the id of one that was recorded before, in an earlier call or earlier in this one, is not recorded
        again, whatever else it says. An event without a time gets that of the call.

        Args:
            events: Oldest first; may be empty.

        Returns:
            The number of each event, in the same order; for one that was recorded before, the number it has.

        Raises:
            ResourceExhaustedError: the disk is full. Nothing was recorded.
            UnavailableError: the store is closed, locked by another program, or out of reach. Nothing was recorded; or
                the connection was lost, and it is not known.
        """
        ...

    def delete_user(self, user_id: str) -> int:
        """Delete every event of a customer, of whom `forgotten` then tells; returns how many there were.

        A customer without events is deleted too: a bundle may know of one. Each call is a deletion of its own, with the
        next number. The ids of the events are forgotten too: one that is sent again is recorded.

        Raises:
            InvalidArgumentError: `user_id` is empty.
            ResourceExhaustedError: the disk is full. Nothing was deleted, or the last bytes still stand in a file: call
                it again.
            UnavailableError: the store is closed or locked by another program, and nothing was deleted; or another
                program reads for so long that the last bytes still stand in a file: call it again.
        """
        ...
