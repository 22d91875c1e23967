"""Errors as clients see them: errors of mmrec in full, any other error as an id that is found in the log.

Every id is in the log. When the same place fails again and again, only the first few log lines have a traceback, so
that the log stays readable. Knows nothing about gRPC.
"""

from __future__ import annotations

import logging
import traceback
import uuid

from mmrec.errors import InternalError, MmrecError
from mmrec_serving.log_sampling import Bursts

_log = logging.getLogger(__name__)
_TRACEBACKS: Bursts[str] = Bursts()


def conceal(error: BaseException) -> MmrecError:
    """The error for a client. Any other than mmrec's is logged under a new id, and the client gets the id only."""
    if isinstance(error, InternalError) and error.error_id:
        return error
    if isinstance(error, MmrecError) and error.code != "INTERNAL":
        return error
    error_id = uuid.uuid4().hex[:12]
    place = _place(error)
    _TRACEBACKS.ended()
    if _TRACEBACKS.first(place):
        _log.error("internal error %s", error_id, exc_info=error)
    else:
        _log.error("internal error %s: %s again", error_id, place)
    return InternalError(f"internal error {error_id}", error_id=error_id)


def _place(error: BaseException) -> str:
    """Type of an error, and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    where = f" in {frames[0].filename}, line {frames[0].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
