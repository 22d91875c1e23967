"""Errors of Redis as errors of mmrec, which name the store, what is safe and the remedy.

Unit of work: one error. Knows nothing about the operation.
"""

from __future__ import annotations

import ssl

from redis import exceptions

from mmrec.errors import BundleError, FailedPreconditionError, MmrecError, ResourceExhaustedError, UnavailableError
from mmrec_serving.redis_server.place import RedisPlace
from mmrec_serving.redis_server.store_keys import StoreKeys

LOST = "MMREC_LOST"
"""With which scripts answer that the store is not there any more."""
DAMAGED = "MMREC_DAMAGED"
"""With which scripts answer that an entry is damaged; what is, stands behind it."""

_KEPT = "everything that was acknowledged is kept"
_AGAIN_S = 1.0
_ROOM_AGAIN_S = 10.0


def in_words(keys: StoreKeys, place: RedisPlace) -> str:
    """A store, as messages name it."""
    return f"the {keys.name} in {str(place)!r}"


def unreachable(err: exceptions.RedisError, keys: StoreKeys, place: RedisPlace) -> MmrecError:
    """The error of a connection that could not be made."""
    if isinstance(err, exceptions.NoPermissionError):
        return _not_allowed(err, keys, place)
    return UnavailableError(
        f"{in_words(keys, place)} cannot be reached ({_reason(err)}); look whether Redis runs there, and at the "
        f"name and password of the URL: nothing of this was recorded, and {_KEPT}",
        retry_after_s=_AGAIN_S,
    )


def explained(err: exceptions.RedisError, keys: StoreKeys, place: RedisPlace) -> MmrecError:
    """The error of mmrec for one of Redis, while it was used."""
    where, reason = in_words(keys, place), _reason(err)
    nothing = f"nothing of this was recorded, and {_KEPT}"
    unknown = f"whether this request was is not known: send it again with {keys.again}"
    code = reason.partition(" ")[0]
    if code == LOST:
        return lost(where)
    if code == DAMAGED:
        return damaged(where, reason.removeprefix(DAMAGED).strip())
    if isinstance(err, exceptions.BusyLoadingError) or code in ("BUSY", "TRYAGAIN"):
        return UnavailableError(f"{where} is busy ({reason}); try again: {nothing}", retry_after_s=_AGAIN_S)
    if isinstance(err, exceptions.ConnectionError | exceptions.TimeoutError):
        return UnavailableError(
            f"the connection to {where} was lost ({reason}); {_KEPT}; {unknown}", retry_after_s=_AGAIN_S
        )
    if isinstance(err, exceptions.ReadOnlyError):
        return UnavailableError(
            f"{where} is read-only at the moment ({reason}); name the primary server: {nothing}",
            retry_after_s=_AGAIN_S,
        )
    if code in ("NOREPLICAS", "MASTERDOWN"):
        return UnavailableError(
            f"{where} cannot be written to at the moment ({reason}); look at the replicas of that Redis: {nothing}",
            retry_after_s=_AGAIN_S,
        )
    if isinstance(err, exceptions.NoPermissionError):
        return _not_allowed(err, keys, place)
    if isinstance(err, exceptions.OutOfMemoryError) or code == "MISCONF":
        return ResourceExhaustedError(
            f"{where} has no room left ({reason}): nothing of this request was recorded, and {_KEPT}; make room on the "
            "Redis server (maxmemory, or its disk), then send the same again",
            retry_after_s=_ROOM_AGAIN_S,
        )
    return FailedPreconditionError(
        f"{where} cannot be used: {reason}; look at the Redis server. {_KEPT.capitalize()}; {unknown}"
    )


def lost(where: str) -> BundleError:
    """The error of a store that was there when it was opened, and is not any more."""
    return BundleError(
        f"{where} is gone: that Redis was emptied, or has started without its data. Restore its append-only file from "
        "a copy; or start every server again, which makes a new store"
    )


def damaged(where: str, what: str) -> BundleError:
    """The error of an entry that is not as it was written."""
    return BundleError(f"{where} is damaged: {what}. Restore the append-only file of Redis from a copy")


def _not_allowed(err: exceptions.RedisError, keys: StoreKeys, place: RedisPlace) -> FailedPreconditionError:
    return FailedPreconditionError(
        f"{in_words(keys, place)} cannot be used: {_reason(err)}; the user of the URL needs the rights "
        f"~{place.prefix}:* +@read +@write +@scripting +@connection +info +config|get +bgrewriteaof"
    )


def _reason(err: exceptions.RedisError) -> str:
    """Why, without the address that the driver's words have."""
    cause = err.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the certificate does not pass: {cause.verify_message.partition(',')[0]}"
    if isinstance(cause, OSError):
        return cause.strerror or str(cause)
    return (str(err).strip().splitlines() or [type(err).__name__])[0]
