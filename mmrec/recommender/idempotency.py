"""Changes that were made before: who sends one again, under the same id, gets the first reply and changes nothing.

Unit of work: one change. Remembers in memory, as long as the object lives. Knows nothing of catalogues.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mmrec.contract.changes import ChangeResults, DeleteRequest, UpsertRequest, content_hash
from mmrec.errors import FailedPreconditionError

Change = TypeVar("Change", UpsertRequest, DeleteRequest)

MOST_ENTRIES = 1_000_000
"""Entries of replies that are kept in all, about 100 MB of them."""


class MadeChanges:
    """The replies to the last changes that had an id. Used by one thread at a time.

    Args:
        most: How many are kept; fewer when their replies have over a million entries in all.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        # A dict keeps the order in which its keys came: the first is the oldest.
        self._made: dict[str, tuple[str, ChangeResults]] = {}
        self._entries = 0

    def __len__(self) -> int:
        return len(self._made)

    def once(self, request: Change, make: Callable[[Change], ChangeResults]) -> ChangeResults:
        """The first reply to a change that was made before, or else that of making it now.

        A request without an id, or one that only checks, is made in any case and not remembered.

        Args:
            request: The change.
            make: Makes it; what it raises is not remembered.

        Raises:
            FailedPreconditionError: another change was made under this id.
        """
        if not request.request_id or request.validate_only:
            return make(request)
        content = content_hash(request)
        before = self._made.get(request.request_id)
        if before is None:
            reply = make(request)
            self._remember(request.request_id, content, reply)
            return reply
        if before[0] != content:
            raise FailedPreconditionError(
                f"request_id is {request.request_id!r}, under which another change was made before; give every change "
                "an id of its own, and send the same content when sending one again"
            )
        return before[1]

    def _remember(self, request_id: str, content: str, reply: ChangeResults) -> None:
        self._made[request_id] = (content, reply)
        self._entries += len(reply.entries)
        while len(self._made) > self._most or (self._entries > MOST_ENTRIES and len(self._made) > 1):
            _, dropped = self._made.pop(next(iter(self._made)))
            self._entries -= len(dropped.entries)
