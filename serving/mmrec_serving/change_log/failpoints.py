"""Named places of the store at which a test can end its process. Knows nothing about the store.

The store calls its failpoint with the name of each place that it passes; by default nothing happens. Wherever the
process is killed, everything acknowledged is stored, and other requests are stored completely or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

Failpoint: TypeAlias = Callable[[str], None]
"""Called with one of `FAILPOINTS`."""

FAILPOINTS: Final = (
    "after-lock",
    "mid-create",
    "before-create-rename",
    "after-create-rename",
    "after-open",
    "mid-record",
    "before-record-commit",
    "after-record-commit",
    "mid-compaction",
    "before-compaction-commit",
    "after-compaction-commit",
    "before-announce-commit",
    "after-announce-commit",
    "before-rebase-commit",
    "after-rebase-commit",
    "before-drop-commit",
    "after-drop-commit",
    "before-forget-commit",
    "after-forget-commit",
    "before-close",
)
"""In the order in which a store that is created, written, compacted and closed first passes them."""


def no_failpoint(name: str) -> None:
    """Do nothing."""
