"""Requests that wait at the same time are committed together: one wait for the disk instead of one each.

Unit of work: one group. There is no thread of its own: whichever caller's turn comes takes everything that waits, its
own request among it, and the others find theirs settled when their turn comes. Knows nothing of SQL.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, TypeVar

from mmrec.errors import UnavailableError

__all__ = ["GroupCommit", "Ticket"]

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

    __slots__ = ("_error", "_result", "settled", "size", "work")

    def __init__(self, work: W, size: int) -> None:
        self.work = work
        self.size = size
        self.settled = False
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

    @property
    def waiting(self) -> int:
        """Requests whose turn has not come."""
        return len(self._waiting)

    def submit(self, work: W, size: int) -> R:
        """Have a request committed, with others or alone; its result or its error."""
        ticket: Ticket[W, R] = Ticket(work, size)
        self._waiting.append(ticket)  # appending to and taking from a deque are atomic
        while not ticket.settled:
            with self._turn:
                if not ticket.settled:
                    self._commit_group()
        return ticket.outcome()

    def _commit_group(self) -> None:
        group: list[Ticket[W, R]] = []
        size = 0
        while self._waiting and len(group) < _MOST_REQUESTS:
            size += self._waiting[0].size
            if group and size > _MOST_BYTES:
                break
            group.append(self._waiting.popleft())
        try:
            self._commit(group)
        except BaseException as err:
            if isinstance(err, Exception):
                for ticket in group:
                    ticket.fail(err)
                return
            for ticket in group:
                ticket.fail(UnavailableError(_INTERRUPTED))
            raise
