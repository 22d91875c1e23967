"""Names of the places of the store at which a test can end its process; see `mmrec_serving.sqlite_files.failpoints`."""

from __future__ import annotations

from typing import Final

FAILPOINTS: Final = (
    "after-lock",
    "mid-create",
    "before-create-rename",
    "after-create-rename",
    "after-open",
    "mid-record",
    "before-record-commit",
    "after-record-commit",
    "before-deletion-commit",
    "after-deletion-commit",
    "before-close",
)
"""In the order in which a store that is created, written and closed first passes them."""
