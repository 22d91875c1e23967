"""Names of the places of the store at which a test can end its process; see `mmrec_serving.sqlite_files.failpoints`."""

from __future__ import annotations

from typing import Final

from mmrec_serving.sqlite_files.failpoints import Failpoint as Failpoint
from mmrec_serving.sqlite_files.failpoints import no_failpoint as no_failpoint

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
