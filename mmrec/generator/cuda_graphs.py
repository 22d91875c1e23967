"""Work on a GPU that is recorded once and replayed: a few hundred kernels for the price of one launch.

Works on any function that reads and writes fixed memory and waits for nothing; knows nothing about models. On a CPU
there is nothing to record, and the function itself is called each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch

T = TypeVar("T")

WARM_UPS = 2
"""Calls before the recording, in which libraries make what they need once."""


class Recorded(Generic[T]):
    """A function recorded for replay.

    Args:
        work: What it gives is written anew by each `replay`, in the same memory. It must always do the same operations
            on the same memory.
        device: Where it computes.
        pool: From `graph_pool`, shared by recordings none of which is replayed while what another
            gave is still read; None for memory of its own.
    """

    def __init__(self, work: Callable[[], T], device: torch.device, pool: Any = None) -> None:
        self._work = work
        self._graph: torch.cuda.CUDAGraph | None = None
        self.given: T
        if device.type != "cuda":
            self.given = work()
            return
        with torch.cuda.device(device):
            # Not on the stream that is in use: what a warm-up allocates there would count as of the recording.
            beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            beside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(beside):
                for _ in range(WARM_UPS):
                    work()
            torch.cuda.current_stream().wait_stream(beside)
            graph = torch.cuda.CUDAGraph()
            # Other threads may go on with work of their own while this one records.
            with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
                self.given = work()
            self._graph = graph

    def replay(self) -> T:
        """Do it again; in the order of the calling thread's stream, without waiting."""
        if self._graph is None:
            self.given = self._work()
        else:
            self._graph.replay()
        return self.given


def graph_pool(device: torch.device) -> Any:
    """Memory that recordings share which are replayed one after the other; None on a CPU."""
    return torch.cuda.graph_pool_handle() if device.type == "cuda" else None
