"""Where a store of catalogue changes lies and how it behaves: one frozen value, checked when it is made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from mmrec.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where a store lies and how it behaves.

    Attributes:
        folder: Folder of the store; made if it is missing. One store a folder, on a disk of this machine: SQLite's
            write-ahead log works on no network file system.
        busy_timeout_s: Seconds to wait for another program that holds the file (a backup, say), 0 or more.
        keep_requests: How long a request id protects against doing the same twice, at least a second.
        verify: Whether to look through the whole file for damage when it is opened for writing, which reads it once.
    """

    folder: Path
    busy_timeout_s: float = 10.0
    keep_requests: timedelta = timedelta(hours=24)
    verify: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        if not (math.isfinite(self.busy_timeout_s) and 0 <= self.busy_timeout_s <= 3600):
            raise InvalidArgumentError(
                f"busy_timeout_s is {self.busy_timeout_s}; it must be from 0 to 3,600", field="busy_timeout_s"
            )
        if not timedelta(seconds=1) <= self.keep_requests <= timedelta(days=3650):
            raise InvalidArgumentError(
                f"keep_requests is {self.keep_requests}; it must be from a second to ten years", field="keep_requests"
            )
