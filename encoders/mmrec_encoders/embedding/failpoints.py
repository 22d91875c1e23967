"""Named places of the embedding job at which a test can end its process. Knows nothing about the job.

The job calls what it is given with the name of each place it passes; by default nothing happens. Between any two of
these places a kill must leave what the next run needs to give the same bytes.
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
"""In the order in which a job passes them first; those from ``after-read`` to ``after-shard-rename`` come once a
shard or more."""


def no_failpoint(name: str) -> None:
    """Go on."""
