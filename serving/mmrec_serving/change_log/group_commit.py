"""Requests that wait at the same time are committed together: one wait for the disk instead of one each.

Unit of work: one group. There is no thread of its own: one of the callers leads, takes everything that waits, its own
request among it, and then hands the lead to one that has come meanwhile. Those whose requests it settled go their way
at once, so that what they ask next is in the next group but one. Knows nothing of SQL.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Event, Lock
from typing import Generic, TypeVar

from mmrec.errors import UnavailableError

W = TypeVar("W")
R = TypeVar("R")

_MOST_REQUESTS = 512
_MOST_BYTES = 32 * 1024 * 1024
"""A group ends before it has more of either; a larger request is a group by itself."""
_INTERRUPTED = (
    "the commit was interrupted, and whether it was done is not known; send it again with the same request id"
)


class Ticket(Generic[W, R]):
    """A request that waits, and then its result or error. Settled once.

    Args:
        work: The request.
        size: Bytes, about.
    """

    __slots__ = ("_error", "_result", "leads", "settled", "size", "wake", "work")

    def __init__(self, work: W, size: int) -> None:
        self.work = work
        self.size = size
        self.settled = False
        self.leads = False
        self.wake = Event()
        self._result: R | None = None
        self._error: BaseException | None = None

    def give(self, result: R) -> None:
        """Settle it with a result."""
        if not self.settled:
            self._result, self.settled = result, True

    def fail(self, error: BaseException) -> None:
        """Settle it with an error."""
        if not self.settled:
            self._error, self.settled = error, True

    def outcome(self) -> R:
        """The result; raises the error."""
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # R itself may include None


class GroupCommit(Generic[W, R]):
    """Gathers requests of any number of threads into groups.

    Args:
        turn: Held while a group is committed; others who hold it keep groups from being committed meanwhile.
        commit: Settles every ticket of a group. What it raises goes to the tickets that it has not settled.
    """

    def __init__(self, turn: Lock, commit: Callable[[Sequence[Ticket[W, R]]], None]) -> None:
        self._turn = turn
        self._commit = commit
        self._waiting: deque[Ticket[W, R]] = deque()
        self._led = False
        self._lock = Lock()

    @property
    def waiting(self) -> int:
        """Requests whose turn has not come."""
        return len(self._waiting)

    def submit(self, work: W, size: int) -> R:
        """Have a request committed, with others or alone; its result or its error."""
        ticket: Ticket[W, R] = Ticket(work, size)
        with self._lock:
            self._waiting.append(ticket)
            ticket.leads, self._led = not self._led, True
        try:
            if not ticket.leads:
                ticket.wake.wait()
            while not ticket.settled:
                with self._turn:
                    self._commit_group()
        finally:
            with self._lock:
                if not ticket.settled and ticket in self._waiting:  # interrupted: nobody asks for it any more
                    self._waiting.remove(ticket)
                if ticket.leads:
                    self._hand_on()
        return ticket.outcome()

    def _hand_on(self) -> None:
        self._led = bool(self._waiting)
        if self._led:
            self._waiting[0].leads = True
            self._waiting[0].wake.set()

    def _commit_group(self) -> None:
        group: list[Ticket[W, R]] = []
        size = 0
        with self._lock:
            while self._waiting and len(group) < _MOST_REQUESTS:
                size += self._waiting[0].size
                if group and size > _MOST_BYTES:
                    break
                group.append(self._waiting.popleft())
        try:
            self._commit(group)
        except Exception as err:
            for ticket in group:
                ticket.fail(err)
        finally:
            for ticket in group:
                ticket.fail(UnavailableError(_INTERRUPTED))  # unless it is settled
                ticket.wake.set()
