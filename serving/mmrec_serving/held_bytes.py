"""Bytes of requests and replies that a server holds in memory, bounded for all calls together.

Unit of work: one call. Small messages are not counted: the number of calls bounds them. Used in one thread, that of the
event loop. Knows nothing about gRPC.
"""

from __future__ import annotations

from mmrec.errors import ResourceExhaustedError

SMALL_BYTES = 64 * 1024
"""Messages up to this size, in bytes, are not counted."""
_RETRY_S = 1.0


class HeldBytes:
    """What all calls hold.

    Args:
        most: Bytes, at least 1. One message may have more, if it is the only one.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self._held

    def call(self) -> CallBytes:
        """The account of a new call."""
        return CallBytes(self)

    def take(self, count: int) -> None:
        """Hold more bytes.

        Raises:
            ResourceExhaustedError: that would be too many.
        """
        if self._held and self._held + count > self._most:
            raise ResourceExhaustedError(
                f"calls hold {self._held:,} bytes of large requests, and of replies that were not read yet; with "
                f"{count:,} more it would be over the limit of {self._most:,}; try again later, or send and ask for "
                "less at once",
                retry_after_s=_RETRY_S,
            )
        self._held += count

    def give(self, count: int) -> None:
        """Hold so many bytes less."""
        self._held -= count


class CallBytes:
    """What one call holds, until it is closed."""

    def __init__(self, all_calls: HeldBytes) -> None:
        self._all = all_calls
        self._held = 0

    def take(self, message: bytes) -> None:
        """Hold a message, if it is large; see `HeldBytes.take`."""
        if len(message) > SMALL_BYTES:
            self._all.take(len(message))
            self._held += len(message)

    def close(self) -> None:
        """The call has ended."""
        self._all.give(self._held)
        self._held = 0
