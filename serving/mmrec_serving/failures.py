"""What callers may know of a failure: our own errors in full, of anything else an id to find it in the log.

Knows nothing of gRPC.
"""

from __future__ import annotations

import logging
import uuid

from mmrec.errors import InternalError, MmrecError

__all__ = ["conceal"]

_log = logging.getLogger(__name__)


def conceal(error: BaseException) -> MmrecError:
    """The error to hand to a caller. What is not ours is logged under a new id, and only the id goes on."""
    if isinstance(error, InternalError) and error.error_id:
        return error
    if isinstance(error, MmrecError) and error.code != "INTERNAL":
        return error
    error_id = uuid.uuid4().hex[:12]
    _log.error("internal error %s", error_id, exc_info=error)
    return InternalError(f"internal error {error_id}", error_id=error_id)
