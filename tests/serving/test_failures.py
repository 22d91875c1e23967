"""Of a failure that is not ours callers get an id, and every id is in the log."""

from __future__ import annotations

import pytest

from mmrec.errors import InternalError, NotFoundError
from mmrec_serving.failures import conceal


def test_our_own_errors_are_told_in_full() -> None:
    error = NotFoundError("there is no such item")
    assert conceal(error) is error


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
