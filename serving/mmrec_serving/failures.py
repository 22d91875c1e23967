"""What callers may know of a failure: our own errors in full, of anything else an id to find it in the log.

Every id is in the log. Where the same thing fails again and again, the first few times have their traceback there, and
the others the place alone: the log of a server that is asked for something broken all day can still be read.

Knows nothing of gRPC.
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
    """The error to hand to a caller. What is not ours is logged under a new id, and only the id goes on."""
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
    """Its kind, and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    where = f" in {frames[0].filename}, line {frames[0].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
