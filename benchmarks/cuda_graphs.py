"""CUDA graphs: GPU work that is recorded once and replayed, hundreds of kernels for the cost of one launch.

Works on any function that uses fixed memory and never synchronises. On a CPU the function itself is called each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch

T = TypeVar("T")

WARM_UPS = 2
"""Calls before the recording, in which libraries initialise."""


class Recorded(Generic[T]):
    """A function recorded for replay.

    Args:
        work: Must always do the same operations on the same memory; `replay` writes its result into the same tensors.
        device: Where it computes.
        pool: From `graph_pool`; recordings that share a pool must not be replayed while the result of another is still
            in use. None for a pool of its own.
    """

    def __init__(self, work: Callable[[], T], device: torch.device, pool: Any = None) -> None:
        self._work = work
        self._graph: torch.cuda.CUDAGraph | None = None
        self.given: T
        if device.type != "cuda":
            self.given = work()
            return
        with torch.cuda.device(device):
            # On another stream: warm-up allocations on the current one would become part of the recording.
            side_stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side_stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side_stream):
                for _ in range(WARM_UPS):
                    work()
            torch.cuda.current_stream().wait_stream(side_stream)
            graph = torch.cuda.CUDAGraph()
            # "thread_local" lets other threads use the GPU while this one records.
            with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
                self.given = work()
            self._graph = graph

    def replay(self) -> T:
        """Run the work on the calling thread's stream, without synchronising."""
        if self._graph is None:
            self.given = self._work()
        else:
            self._graph.replay()
        return self.given


def graph_pool(device: torch.device) -> Any:
    """A memory pool for recordings that are replayed one after the other; None on a CPU."""
    return torch.cuda.graph_pool_handle() if device.type == "cuda" else None
