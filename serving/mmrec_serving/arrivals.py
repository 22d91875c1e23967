"""Reading the requests of calls, of which slow ones are held in memory while they arrive.

Unit of work: one call whose client sends one message. Knows nothing about what is in it.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio

from mmrec.errors import InvalidArgumentError, ResourceExhaustedError

_ARRIVING_S = 0.25
"""A request that takes longer than this to arrive is taken for a large one."""
_ARRIVING = 16
"""Most requests that take longer to arrive, at the same time."""


class Arrivals:
    """Reads the request of a call. Of slow ones only a few are read at the same time, since they are held in memory."""

    def __init__(self) -> None:
        self._slow = 0

    async def read(self, context: Any) -> bytes:
        """The request of a call whose client sends one message.

        Raises:
            ResourceExhaustedError: it did not arrive soon, and too many others are arriving.
            InvalidArgumentError: the client sent none.
        """
        reading = asyncio.ensure_future(context.read())
        # If the call ends before, nobody asks for the outcome.
        reading.add_done_callback(lambda done: done.cancelled() or done.exception())
        done, _ = await asyncio.wait((reading,), timeout=_ARRIVING_S)
        if not done:
            if self._slow >= _ARRIVING:
                raise ResourceExhaustedError(
                    f"{self._slow} large requests are arriving already, which is the limit; try again later",
                    retry_after_s=1.0,
                )
            self._slow += 1
            try:
                await asyncio.wait((reading,))
            finally:
                self._slow -= 1
        data = reading.result()
        if data is grpc.aio.EOF:
            raise InvalidArgumentError("the call has no request message; send one, which may be empty")
        assert isinstance(data, bytes)
        return data
