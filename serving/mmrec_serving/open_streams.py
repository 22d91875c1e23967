"""Limits the streams that one caller has open at the same time.

Unit of work: one call. A caller is the name of an API key or, without keys, the address of a peer. For one thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from mmrec.errors import ResourceExhaustedError
from mmrec.sdk.rpcs import METHODS

STREAMS = frozenset(method.path for method in METHODS if method.client_streaming or method.server_streaming)
"""The RPCs of the contract that are streams."""


class OpenStreams:
    """The open streams of each caller.

    Args:
        most: Most of one caller, at least 1.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    @contextmanager
    def counted(self, path: str, key: str, peer: str) -> Iterator[None]:
        """Count a call while it runs, if it is a stream.

        Args:
            path: Full name of its RPC.
            key: Name of its API key; empty for none.
            peer: Where it comes from, such as ``ipv4:10.0.0.7:41234``, as gRPC says it.

        Raises:
            ResourceExhaustedError: the caller has as many open as it may.
        """
        if path not in STREAMS:
            yield
            return
        caller = f"the key {key!r}" if key else f"the address {peer.rpartition(':')[0]}"
        if self._open[caller] >= self._most:
            raise ResourceExhaustedError(
                f"{caller} has all the streams open that it may have at once ({self._most:,}); end one first, or start "
                "the server with a larger --max-streams"
            )
        self._open[caller] += 1
        try:
            yield
        finally:
            self._open[caller] -= 1
            if not self._open[caller]:
                del self._open[caller]
