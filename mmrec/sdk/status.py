"""Converts errors to and from `google.rpc.Status`, and the trailing metadata of a failed call.

Every status has an ErrorInfo of the domain ``mmrec``; invalid fields are BadRequest violations, retry delays are
RetryInfo. Of an internal error only its id is sent.
"""

from __future__ import annotations

from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from mmrec import errors
from mmrec.errors import FieldViolation, InternalError, InvalidArgumentError, MmrecError

DOMAIN = "mmrec"
"""`ErrorInfo.domain` of every error."""
DETAILS_KEY = "grpc-status-details-bin"
"""Name of the trailing metadata in which gRPC carries a serialized `google.rpc.Status`."""

ERROR_CLASSES: tuple[type[MmrecError], ...] = (
    errors.InvalidArgumentError,
    errors.InvalidImageError,
    errors.InvalidDatasetError,
    errors.NotFoundError,
    errors.FailedPreconditionError,
    errors.MissingExtraError,
    errors.ModelNotAvailableError,
    errors.DeviceNotAvailableError,
    errors.BundleError,
    errors.NotImplementedYetError,
    errors.UnauthenticatedError,
    errors.PermissionDeniedError,
    errors.ResourceExhaustedError,
    errors.UnavailableError,
    errors.DeadlineExceededError,
    errors.CancelledError,
    errors.StoppedError,
    errors.InternalError,
)
"""Every class that can be sent. `ErrorInfo.reason` names it."""

_BY_REASON = {kind.reason: kind for kind in ERROR_CLASSES}

_BY_CODE: dict[str, type[MmrecError]] = {
    "OK": errors.InternalError,  # an error with the code OK is a bug of the sender
    "CANCELLED": errors.CancelledError,
    "UNKNOWN": errors.InternalError,
    "INVALID_ARGUMENT": errors.InvalidArgumentError,
    "DEADLINE_EXCEEDED": errors.DeadlineExceededError,
    "NOT_FOUND": errors.NotFoundError,
    "ALREADY_EXISTS": errors.FailedPreconditionError,
    "PERMISSION_DENIED": errors.PermissionDeniedError,
    "UNAUTHENTICATED": errors.UnauthenticatedError,
    "RESOURCE_EXHAUSTED": errors.ResourceExhaustedError,
    "FAILED_PRECONDITION": errors.FailedPreconditionError,
    "ABORTED": errors.FailedPreconditionError,
    "OUT_OF_RANGE": errors.InvalidArgumentError,
    "UNIMPLEMENTED": errors.NotImplementedYetError,
    "INTERNAL": errors.InternalError,
    "UNAVAILABLE": errors.UnavailableError,
    "DATA_LOSS": errors.BundleError,
}
"""The class for a status without a reason of mmrec, as sent by proxies and gRPC itself."""

# gRPC refuses trailing metadata of more than 8 KiB. The message is sent twice: percent-encoded (up to three bytes for
# one), and inside the details, which are base64 (four bytes for three).
_TRAILER_MESSAGE_BYTES = 600
_TRAILER_DETAIL_BYTES = 3000
_TRAILER_FIELD_BYTES = 200


def error_to_status(error: MmrecError) -> status_pb2.Status:
    """The status of an error. Of an internal error it has only the id."""
    message, metadata = error.message, {}
    if error.code == "INTERNAL":
        error_id = getattr(error, "error_id", "")
        message = f"internal error {error_id}; the server's log has it under this id" if error_id else "internal error"
        metadata = {"error_id": error_id} if error_id else {}
    status = status_pb2.Status(code=code_pb2.Code.Value(error.code), message=_unicode(message))
    _add(status, error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata))
    if isinstance(error, InvalidArgumentError) and error.violations:
        bad = error_details_pb2.BadRequest()
        for violation in error.violations:
            bad.field_violations.add(field=_unicode(violation.field), description=_unicode(violation.description))
        _add(status, bad)
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(round(min(max(retry_after_s, 0.0), 86_400.0) * 1e9))
        _add(status, retry)
    return status


def error_from_status(status: status_pb2.Status) -> MmrecError:
    """The error of a status from any sender. Details that cannot be parsed are ignored."""
    info, violations, retry_after_s = error_details_pb2.ErrorInfo(), [], None
    for detail in status.details:
        try:
            if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
                detail.Unpack(info)
            elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
                bad = error_details_pb2.BadRequest()
                detail.Unpack(bad)
                violations = [FieldViolation(v.field, v.description) for v in bad.field_violations]
            elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
                retry = error_details_pb2.RetryInfo()
                detail.Unpack(retry)
                retry_after_s = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
        except (DecodeError, ValueError):
            continue
    kind = _BY_REASON.get(info.reason) if info.domain == DOMAIN else None
    return _make(
        kind or _class_of(status.code),
        status.message,
        tuple(violations),
        retry_after_s,
        info.metadata.get("error_id", ""),
    )


def error_from_code(code: str, message: str) -> MmrecError:
    """The error of a status code without details, as sent by gRPC itself and proxies."""
    return _make(_BY_CODE.get(code, errors.InternalError), message, (), None, "")


def error_to_trailer(error: MmrecError) -> tuple[str, bytes]:
    """Message and serialized status of a failed call, both shortened to gRPC's limit for metadata."""
    status = error_to_status(error)
    status.message = _clip(status.message, _TRAILER_MESSAGE_BYTES)
    if status.ByteSize() > _TRAILER_DETAIL_BYTES and isinstance(error, InvalidArgumentError):
        kept = [
            FieldViolation(_clip(v.field, _TRAILER_FIELD_BYTES), _clip(v.description, _TRAILER_FIELD_BYTES))
            for v in error.violations[:6]
        ]
        shorter = error_to_status(type(error)(status.message, violations=kept))
        status.CopyFrom(shorter)
    return status.message, status.SerializeToString()


def error_from_trailer(data: bytes) -> MmrecError | None:
    """The error of a serialized status; None if the bytes are not a status."""
    try:
        status = status_pb2.Status.FromString(data)
    except (DecodeError, ValueError):
        return None
    return error_from_status(status)


def _make(
    kind: type[MmrecError],
    message: str,
    violations: tuple[FieldViolation, ...],
    retry_after_s: float | None,
    error_id: str,
) -> MmrecError:
    if issubclass(kind, errors.InvalidArgumentError):
        return kind(message, violations=violations)
    if issubclass(kind, errors.ResourceExhaustedError | errors.UnavailableError):
        return kind(message, retry_after_s=retry_after_s)
    if issubclass(kind, InternalError):
        return kind(message, error_id=error_id)
    return kind(message)


def _class_of(code: int) -> type[MmrecError]:
    try:
        return _BY_CODE[code_pb2.Code.Name(code)]
    except (KeyError, ValueError):
        return errors.InternalError


def _add(status: status_pb2.Status, detail: Message) -> None:
    status.details.add().Pack(detail)


def _unicode(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _clip(text: str, most: int) -> str:
    data = text.encode("utf-8", "replace")
    return text if len(data) <= most else data[: most - 3].decode("utf-8", "ignore") + "..."
