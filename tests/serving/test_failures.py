"""Of a failure that is not ours callers get an id, and every id is in the log."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from mmrec.errors import BundleError, InternalError, InvalidArgumentError, MmrecError, NotFoundError, UnavailableError
from mmrec_serving.change_log.sqlite_file import CHANGES
from mmrec_serving.failures import conceal
from mmrec_serving.sqlite_files import StoreFile, StoreFolder, explained


def test_our_own_errors_are_told_in_full() -> None:
    error = NotFoundError("there is no such item")
    assert conceal(error) is error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            explained(OSError(errno.ENOSPC, "No space left on device"), CHANGES, Path("/srv/my shop/store")),
            "no space is left on the disk of the store of catalogue changes in (see the log): nothing of this request",
        ),
        (
            explained(OSError(errno.EMFILE, "Too many open files"), CHANGES, Path("/srv/store")),
            "the store of catalogue changes in (see the log) cannot be used: Too many open files; give a folder",
        ),
        (
            StoreFile(CHANGES, StoreFolder(Path("/srv/it's/store"))).closed(),
            "the store of catalogue changes in (see the log) is closed",
        ),
        (
            StoreFile(CHANGES, StoreFolder(Path("/srv/store"))).damaged("'/srv/store/changes.db' is empty"),
            "(see the log) is damaged: (see the log) is",
        ),
        (
            BundleError("/srv/bundle/versions/7/features.parquet is not a readable Parquet file: make it again"),
            "(see the log) is not a readable Parquet file: make it again",
        ),
        (
            UnavailableError("the store in 'postgresql://srv/srv' cannot be reached", retry_after_s=1.0),
            "the store in (see the log) cannot be reached",
        ),
        (
            UnavailableError("the store in 'unix:///srv/my socket?db=0&prefix=srv' is busy", retry_after_s=1.0),
            "the store in (see the log) is busy",
        ),
    ],
)
def test_paths_of_the_server_are_in_the_log_alone(
    error: MmrecError, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    alike = conceal(error)
    assert told in alike.message
    assert "srv" not in str(alike)
    assert type(alike) is type(error)
    assert getattr(alike, "retry_after_s", None) == getattr(error, "retry_after_s", None)
    assert error.message in caplog.text
    assert conceal(alike) is alike


def test_what_the_client_sent_and_what_is_no_path_are_told() -> None:
    for error in (
        InvalidArgumentError("item_id is '/home/mug'; give another"),
        NotFoundError("the catalogue has no item '/home/mug'"),
        UnavailableError("try and/or wait 1/2 s; see /; it takes 3 MB/s"),
    ):
        assert conceal(error) is error


def test_values_that_messages_quote_are_not_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    customer, words = "-".join(["user", "17"]), " ".join(["a", "ring", "for", "Ann"])
    try:
        try:
            raise KeyError(customer)
        except KeyError as err:
            raise ValueError(f"no column of {words!r} in 3 of 5\nrows of {customer!r}") from err
    except ValueError as err:
        conceal(err)
    assert "KeyError: '...'\n" in caplog.text
    assert "ValueError: no column of '...' in 3 of 5\nrows of '...'\n" in caplog.text
    assert "raise KeyError(customer)" in caplog.text
    assert "user-17" not in caplog.text
    assert "Ann" not in caplog.text


def test_a_fault_that_comes_again_and_again_has_its_traceback_in_the_log_a_few_times(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ids = []
    for number in range(50):
        try:
            raise ZeroDivisionError(f"a secret, number {number}")
        except ZeroDivisionError as err:
            told = conceal(err)
            assert isinstance(told, InternalError)
            assert "secret" not in told.message
            ids.append(told.error_id)
    assert all(caplog.text.count(error_id) == 1 for error_id in ids)
    # 5 in an interval, and no more than two intervals.
    assert 5 <= caplog.text.count("Traceback") <= 10
    assert sum("ZeroDivisionError in " in record.getMessage() for record in caplog.records) >= 40
