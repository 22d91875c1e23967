"""Named places of the store at which a test can end its process. Knows nothing about the store.

The store calls what it is given with the name of each place it passes; by default nothing happens. Wherever a kill
comes, everything acknowledged is there, and the rest is there whole or not at all.
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
"""In the order in which a store that is made, written to, compacted and closed passes them first."""


def no_failpoint(name: str) -> None:
    """Go on."""
