"""Errors as clients see them: errors of mmrec without paths and URLs, any other error as an id found in the log.

Every id is in the log. When the same place fails again and again, only the first few log lines have a traceback, so
that the log stays readable. Knows nothing about gRPC.
"""

from __future__ import annotations

import copy
import logging
import re
import traceback
import uuid

from mmrec.errors import InternalError, MmrecError
from mmrec_serving.log_sampling import Bursts

_log = logging.getLogger(__name__)
_TRACEBACKS: Bursts[str] = Bursts()
_MESSAGES: Bursts[str] = Bursts()

_OF_THE_SERVER = frozenset({"RESOURCE_EXHAUSTED", "UNAVAILABLE", "DATA_LOSS", "FAILED_PRECONDITION"})
"""Codes of errors about the server. Messages of others quote what the client sent, and are told as they are."""
_PATH = re.compile(
    r"""(?P<quote>["'])(?:/|[A-Za-z]:\\|[a-z]+://).*?(?P=quote)|(?<![^\s(\[=])(?:/|[A-Za-z]:\\)[^\s"',;:()]+"""
)
"""An absolute path, in quotes or up to the next space or mark; or a URL in quotes."""


def conceal(error: BaseException) -> MmrecError:
    """The error for a client.

    Paths in errors about the server are left out and logged. Any other error than mmrec's is logged under a new id, and
    the client gets the id only.
    """
    if isinstance(error, InternalError) and error.error_id:
        return error
    if isinstance(error, MmrecError) and error.code != "INTERNAL":
        return _without_paths(error)
    error_id = uuid.uuid4().hex[:12]
    place = _place(error)
    fields = {"fields": {"error_id": error_id}}
    _TRACEBACKS.ended()
    if _TRACEBACKS.first(place):
        _log.error("internal error %s\n%s", error_id, _traceback(error), extra=fields)
    else:
        _log.error("internal error %s: %s again", error_id, place, extra=fields)
    return InternalError(f"internal error {error_id}", error_id=error_id)


def _without_paths(error: MmrecError) -> MmrecError:
    message = error.message
    # Refusals of a busy server are many, and most messages have no path.
    if (
        error.code not in _OF_THE_SERVER
        or not ("/" in message or "\\" in message)
        or (told := _PATH.sub("(see the log)", message)) == message
    ):
        return error
    _MESSAGES.ended()
    if _MESSAGES.first(message):
        _log.warning("a client was told %s: %s", error.code, message)
    alike = copy.copy(error)
    alike.message, alike.args = told, (told,)
    return alike


_QUOTED = re.compile(r"""(?P<quote>["']).*?(?P=quote)""", re.DOTALL)


def _traceback(error: BaseException) -> str:
    """The traceback without values that messages quote: they may be of a customer."""
    pieces = traceback.format_exception(error)
    return "".join(piece if piece.startswith("  File ") else _QUOTED.sub("'...'", piece) for piece in pieces).rstrip()


def _place(error: BaseException) -> str:
    """Type of an error, and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    where = f" in {frames[0].filename}, line {frames[0].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
