"""Named places of a store at which a test can end its process. Knows nothing about any store.

A store calls its failpoint with the name of each place that it passes; by default nothing happens. Wherever the
process is killed, everything acknowledged is stored, and other requests are stored completely or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Failpoint: TypeAlias = Callable[[str], None]
"""Called with the name of a place."""


def no_failpoint(name: str) -> None:
    """Do nothing."""
