"""What a scheduler tells of its jobs while it goes on: to one observer of all of them, and to the caller of each.

Unit of work: one job, or one batch. Everything is told in the thread where it happens, so it must be quick and raise
nothing. Knows nothing about gRPC, and what is done with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mmrec.errors import MmrecError

OnStage = Callable[[str, float, float, int], None]
"""Told of a stage of one job: its name (``queue``, ``run``), its begin and end by the clock of the scheduler, and
the number of requests of the batch, 0 for ``queue``."""


def no_stage(name: str, began: float, ended: float, batch: int) -> None:
    """The `OnStage` that does nothing."""


class Observer:
    """Is told what becomes of all jobs; this one does nothing."""

    def refused(self, kind: str, error: MmrecError) -> None:
        """A job was not let into the queue."""

    def dropped(self, kind: str, error: MmrecError) -> None:
        """A job was taken out of the queue, because its deadline cannot be met any more."""

    def waited(self, kind: str, seconds: float) -> None:
        """A job, or the next part of one, has waited so long for its turn, which begins now."""

    def ran(self, kind: str, requests: Sequence[Any], results: Sequence[Any], seconds: float) -> None:
        """A batch has ended: one result per request, as `mmrec_serving.scheduler.Work` returns them."""
