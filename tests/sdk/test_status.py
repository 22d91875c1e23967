from __future__ import annotations

import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec import errors
from mmrec.errors import (
    FailedPreconditionError,
    FieldViolation,
    InternalError,
    InvalidArgumentError,
    InvalidImageError,
    MmrecError,
    ResourceExhaustedError,
    UnavailableError,
)
from mmrec.sdk.status import (
    ERROR_CLASSES,
    error_from_code,
    error_from_status,
    error_from_trailer,
    error_to_status,
    error_to_trailer,
)


def _all_classes() -> set[type[MmrecError]]:
    return {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, MmrecError) and value is not MmrecError
    }


def test_every_error_class_has_its_place_in_the_map() -> None:
    assert set(ERROR_CLASSES) == _all_classes()


@pytest.mark.parametrize("kind", ERROR_CLASSES)
def test_every_error_class_comes_back_as_itself(kind: type[MmrecError]) -> None:
    status = error_to_status(kind("what, rule, mend"))
    assert code_pb2.Code.Name(status.code) == kind.code
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == (kind.reason, "mmrec")
    back = error_from_status(status)
    assert type(back) is kind
    assert back.message == ("internal error" if kind is InternalError else "what, rule, mend")


@pytest.mark.parametrize("name", code_pb2.Code.keys())
def test_every_code_has_a_class_when_nothing_else_is_known(name: str) -> None:
    error = error_from_status(status_pb2.Status(code=code_pb2.Code.Value(name), message="m"))
    assert type(error) in ERROR_CLASSES
    assert type(error_from_code(name, "m")) is type(error)
    assert error.message == "m"


def test_codes_that_no_class_of_ours_sends() -> None:
    assert type(error_from_code("ABORTED", "m")) is FailedPreconditionError
    assert type(error_from_code("no such code", "m")) is InternalError
    assert type(error_from_status(status_pb2.Status(code=99))) is InternalError


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=60, deadline=None)
@given(text, st.lists(st.builds(FieldViolation, text, text), max_size=4))
def test_violations_survive(message: str, violations: list[FieldViolation]) -> None:
    back = error_from_status(error_to_status(InvalidImageError(message, violations=violations)))
    assert isinstance(back, InvalidImageError)
    assert (back.message, back.violations) == (message, tuple(violations))


@pytest.mark.parametrize("kind", [ResourceExhaustedError, UnavailableError])
@pytest.mark.parametrize("seconds", [None, 0.0, 0.25, 10.0])
def test_waiting_times_survive(kind: type[ResourceExhaustedError | UnavailableError], seconds: float | None) -> None:
    back = error_from_status(error_to_status(kind("m", retry_after_s=seconds)))
    assert isinstance(back, kind)
    assert back.retry_after_s == seconds


def test_an_internal_error_shows_its_id_and_nothing_else() -> None:
    status = error_to_status(InternalError("the password is swordfish", error_id="ab12"))
    assert b"swordfish" not in status.SerializeToString()
    back = error_from_status(status)
    assert isinstance(back, InternalError)
    assert back.error_id == "ab12"
    assert "ab12" in back.message


def test_an_error_of_no_class_is_as_closed_as_an_internal_one() -> None:
    assert b"swordfish" not in error_to_status(MmrecError("swordfish")).SerializeToString()


def test_text_that_is_no_unicode_does_not_break_an_error() -> None:
    assert error_to_status(InvalidArgumentError("\ud800", field="\ud800")).message == "?"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=100))
def test_whatever_the_bytes_of_a_trailer_it_is_an_error_or_nothing(data: bytes) -> None:
    assert isinstance(error_from_trailer(data), MmrecError | None)


def test_damaged_details_are_left_out() -> None:
    status = status_pb2.Status(code=3, message="m")
    status.details.add(type_url="type.googleapis.com/google.rpc.BadRequest", value=b"\xff\xff")
    status.details.add(type_url="type.googleapis.com/no.such.Message", value=b"x")
    error = error_from_status(status)
    assert isinstance(error, InvalidArgumentError)
    assert error.violations == ()


def test_a_long_error_is_cut_to_what_grpc_lets_through() -> None:
    violations = [FieldViolation(f"items[{i}].image", "ж" * 5000) for i in range(1000)]
    message, details = error_to_trailer(InvalidArgumentError("ж" * 100_000, violations=violations))
    assert 3 * len(message.encode()) + len(details) * 4 // 3 < 8192
    error = error_from_trailer(details)
    assert isinstance(error, InvalidArgumentError)
    assert error.message == message
    assert error.message.endswith("...")
    assert error.violations[0].field == "items[0].image"


def test_a_short_error_is_not_cut() -> None:
    message, details = error_to_trailer(InvalidArgumentError("k is -1", field="k"))
    assert message == "k is -1"
    error = error_from_trailer(details)
    assert isinstance(error, InvalidArgumentError)
    assert error.violations == (FieldViolation("k", "k is -1"),)
