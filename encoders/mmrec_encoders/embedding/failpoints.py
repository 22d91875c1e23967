"""Named points of the embedding job at which a test can kill its process.

The job calls a `Failpoint` with the name of each point it passes; by default nothing happens. After a kill between any
two points, the next run must give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

Failpoint: TypeAlias = Callable[[str], None]
"""Called with one of `FAILPOINTS`."""

FAILPOINTS: Final = (
    "after-lock",
    "before-training",
    "before-encoders-renamed",
    "after-encoders",
    "before-job-description",
    "mid-job-description",
    "after-decoders-started",
    "after-read",
    "after-texts",
    "after-decode",
    "mid-pictures",
    "after-pictures",
    "before-cache-commit",
    "mid-cache",
    "after-cache-commit",
    "before-shard-write",
    "mid-shard-write",
    "before-shard-rename",
    "after-shard-rename",
    "after-shards",
    "before-dead-letters",
    "mid-dead-letters",
    "before-manifest",
    "mid-manifest",
    "after-manifest",
)
"""In the order of first use; those from ``after-read`` to ``after-shard-rename`` come at least once per shard."""


def no_failpoint(name: str) -> None:
    """Do nothing."""
