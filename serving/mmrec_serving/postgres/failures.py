"""Errors of PostgreSQL as errors of mmrec, which name the store, what is safe and the remedy.

Unit of work: one error. Knows nothing about the operation.
"""

from __future__ import annotations

import psycopg

from mmrec.errors import BundleError, FailedPreconditionError, MmrecError, ResourceExhaustedError, UnavailableError
from mmrec_serving.postgres.place import PostgresPlace
from mmrec_serving.postgres.tables import StoreTables

_KEPT = "everything that was acknowledged is kept"
_AGAIN_S = 1.0
_ROOM_AGAIN_S = 10.0
_READ_ONLY = "25006"
_BUSY = ("55P03", "57014", "40001", "40P01", "25P03")
"""A lock or an answer that was waited for too long, and transactions that met."""
_GONE = ("08", "57P", "53300")
"""Connections that end or are refused: the server stops, starts, or has too many."""


def in_words(tables: StoreTables, place: PostgresPlace) -> str:
    """A store, as messages name it."""
    return f"the {tables.name} in {str(place)!r}"


def unreachable(err: psycopg.Error, tables: StoreTables, place: PostgresPlace) -> UnavailableError:
    """The error of a connection that could not be made; the driver does not say why in any but words."""
    reason = (str(err).strip().splitlines() or [""])[0].rpartition("failed: ")[2]
    return UnavailableError(
        f"{in_words(tables, place)} cannot be reached ({reason}); look whether PostgreSQL runs there, and at "
        f"the name and password of the URL: nothing of this was recorded, and {_KEPT}",
        retry_after_s=_AGAIN_S,
    )


def explained(err: psycopg.Error, tables: StoreTables, place: PostgresPlace) -> MmrecError:
    """The error of mmrec for one of PostgreSQL, while it was used."""
    where, state = in_words(tables, place), err.sqlstate or ""
    reason = err.diag.message_primary or (str(err).strip().splitlines() or [type(err).__name__])[0]
    unknown = f"whether this request was is not known: send it again with {tables.key}"
    if (isinstance(err, psycopg.OperationalError) and not state) or state.startswith(_GONE):
        return UnavailableError(
            f"the connection to {where} was lost ({reason}); {_KEPT}; {unknown}", retry_after_s=_AGAIN_S
        )
    if state in _BUSY:
        return UnavailableError(
            f"{where} is busy ({reason}); try again: nothing of this was recorded, and {_KEPT}",
            retry_after_s=_AGAIN_S,
        )
    if state == _READ_ONLY:
        return UnavailableError(
            f"{where} is read-only at the moment ({reason}); name the primary server, or all of them and "
            f"target_session_attrs=read-write: nothing of this was recorded, and {_KEPT}",
            retry_after_s=_AGAIN_S,
        )
    if state.startswith("53"):
        return ResourceExhaustedError(
            f"{where} has no room left ({reason}): nothing of this request was recorded, and {_KEPT}; make room on the "
            "database server, then send the same again",
            retry_after_s=_ROOM_AGAIN_S,
        )
    if state.startswith("XX"):
        return BundleError(f"{where} is damaged: {reason}. Restore the database from a copy")
    return FailedPreconditionError(
        f"{where} cannot be used: {reason}; look at the database server. {_KEPT.capitalize()}; {unknown}"
    )
