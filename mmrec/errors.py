"""Every error mmrec raises, and what each becomes on the wire and at the shell.

    MmrecError
    ├── InvalidArgumentError      INVALID_ARGUMENT     exit 2   a request or flag breaks a rule
    │   ├── InvalidImageError                                   a picture that cannot be read safely
    │   └── InvalidDatasetError                        exit 3   a dataset folder that cannot be used
    ├── NotFoundError             NOT_FOUND            exit 3   a named thing does not exist
    ├── FailedPreconditionError   FAILED_PRECONDITION  exit 4   the system is not in a state to do this
    │   ├── MissingExtraError                                   an optional dependency is not installed
    │   ├── ModelNotAvailableError                              weights can be neither found nor fetched
    │   └── DeviceNotAvailableError                             the asked-for accelerator is not here
    ├── BundleError               DATA_LOSS            exit 4   a bundle is damaged, mixed or half-written
    ├── NotImplementedYetError    UNIMPLEMENTED        exit 2   no call or field of this version's contract
    ├── UnauthenticatedError      UNAUTHENTICATED      exit 5
    ├── PermissionDeniedError     PERMISSION_DENIED    exit 5
    ├── ResourceExhaustedError    RESOURCE_EXHAUSTED   exit 5   the queue or a cap is full; try again later
    ├── UnavailableError          UNAVAILABLE          exit 5   no server, draining, or not warm yet
    ├── DeadlineExceededError     DEADLINE_EXCEEDED    exit 5
    ├── CancelledError            CANCELLED            exit 130
    │   └── StoppedError                               exit 143   SIGTERM, at a place to go on from
    └── InternalError             INTERNAL             exit 1   a bug; carries an id to find it in the log

Flow: library code raises one of these with a message that names what was received, the rule and the remedy.
The server's interceptor turns it into a `google.rpc.Status` (`code`, `reason` as ErrorInfo, `violations` as
BadRequest, `retry_after_s` as RetryInfo); the SDK turns that back into the same class; the command line prints the
message on stderr and exits with `exit_code`. Nothing else crosses a process border.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a request that breaks a rule.

    Attributes:
        field: Path of the field, e.g. ``items[17].image``.
        description: What was received, the rule, and the remedy.
    """

    field: str
    description: str


class MmrecError(Exception):
    """Base of every error mmrec raises on purpose."""

    code: ClassVar[str] = "INTERNAL"
    """Name of the ``google.rpc.Code``."""
    reason: ClassVar[str] = "INTERNAL"
    """Stable upper-snake-case identifier, sent as ``ErrorInfo.reason``."""
    exit_code: ClassVar[int] = 1
    """Exit status of the command line."""
    answered: int | None = None
    """Batches of a stream, or of a list that is sent in several calls, that were answered before; None otherwise."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidArgumentError(MmrecError):
    """A request, flag or file breaks a rule; `violations` lists the fields and the rules."""

    code = "INVALID_ARGUMENT"
    reason = "INVALID_ARGUMENT"
    exit_code = 2

    def __init__(self, message: str, *, field: str = "", violations: Sequence[FieldViolation] = ()) -> None:
        super().__init__(message)
        own = (FieldViolation(field, message),) if field else ()
        self.violations: tuple[FieldViolation, ...] = tuple(violations) or own


class InvalidImageError(InvalidArgumentError):
    """A picture is not one of the allowed formats, is damaged, or is over the pixel or byte limit."""

    reason = "INVALID_IMAGE"


class InvalidDatasetError(InvalidArgumentError):
    """A dataset folder is missing a table or column, or is empty."""

    reason = "INVALID_DATASET"
    exit_code = 3


class NotFoundError(MmrecError):
    """A named item, user, file or folder does not exist."""

    code = "NOT_FOUND"
    reason = "NOT_FOUND"
    exit_code = 3


class FailedPreconditionError(MmrecError):
    """The request is sound, but the system is not in a state to do it."""

    code = "FAILED_PRECONDITION"
    reason = "FAILED_PRECONDITION"
    exit_code = 4


class MissingExtraError(FailedPreconditionError):
    """An optional dependency is not installed; the message names the extra."""

    reason = "MISSING_EXTRA"


class ModelNotAvailableError(FailedPreconditionError):
    """Model weights can be neither found on disk nor fetched; the message names what to pass instead."""

    reason = "MODEL_NOT_AVAILABLE"


class DeviceNotAvailableError(FailedPreconditionError):
    """The asked-for device is not on this machine."""

    reason = "DEVICE_NOT_AVAILABLE"


class BundleError(MmrecError):
    """A bundle is damaged, mixed from several versions, half-written, or of an unknown version."""

    code = "DATA_LOSS"
    reason = "BUNDLE_DAMAGED"
    exit_code = 4


class NotImplementedYetError(MmrecError):
    """The contract of this version does not have this call, or this field of a request."""

    code = "UNIMPLEMENTED"
    reason = "UNIMPLEMENTED"
    exit_code = 2


class UnauthenticatedError(MmrecError):
    """No valid credentials came with the call."""

    code = "UNAUTHENTICATED"
    reason = "UNAUTHENTICATED"
    exit_code = 5


class PermissionDeniedError(MmrecError):
    """The credentials are valid and do not allow this."""

    code = "PERMISSION_DENIED"
    reason = "PERMISSION_DENIED"
    exit_code = 5


class ResourceExhaustedError(MmrecError):
    """The server's queue is full, or a message is over the cap."""

    code = "RESOURCE_EXHAUSTED"
    reason = "RESOURCE_EXHAUSTED"
    exit_code = 5

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnavailableError(MmrecError):
    """The server cannot be reached, is draining, or is not warm yet."""

    code = "UNAVAILABLE"
    reason = "UNAVAILABLE"
    exit_code = 5

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineExceededError(MmrecError):
    """The deadline passed, or cannot be met."""

    code = "DEADLINE_EXCEEDED"
    reason = "DEADLINE_EXCEEDED"
    exit_code = 5


class CancelledError(MmrecError):
    """The caller went away or cancelled the call."""

    code = "CANCELLED"
    reason = "CANCELLED"
    exit_code = 130


class StoppedError(CancelledError):
    """The process was asked to stop, and did so where the same command goes on."""

    reason = "STOPPED"
    exit_code = 143


class InternalError(MmrecError):
    """A bug. Clients get an id only; the log has the rest under that id."""

    code = "INTERNAL"
    reason = "INTERNAL"
    exit_code = 1

    def __init__(self, message: str, *, error_id: str = "") -> None:
        super().__init__(message)
        self.error_id = error_id


E = TypeVar("E", bound=MmrecError)


def prefixed(error: E, prefix: str) -> E:
    """The same error, told about an entry of a list: ``k`` becomes ``requests[3].k``."""
    if not isinstance(error, InvalidArgumentError):
        return error
    violations = [FieldViolation(f"{prefix}.{v.field}" if v.field else prefix, v.description) for v in error.violations]
    return type(error)(f"{prefix}: {error.message}", violations=violations or [FieldViolation(prefix, error.message)])
