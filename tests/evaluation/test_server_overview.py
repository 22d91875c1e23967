"""What two readings of a server's metrics say, worked out by hand."""

from __future__ import annotations

import pytest

from mmrec.errors import InvalidArgumentError, UnavailableError
from mmrec.evaluation.server_overview import Reading, overview, read_metrics

Values = dict[str, dict[frozenset[tuple[str, str]], float]]


def reading(time: float, **values: list[tuple[dict[str, str], float]]) -> Reading:
    return Reading(time, {name: {frozenset(labels.items()): v for labels, v in one} for name, one in values.items()})


def rows(found: Reading, before: Reading | None, title: str) -> list[tuple[object, ...]]:
    (table,) = [table for table in overview(found, before) if table.title == title]
    return list(table.rows)


CALL = {"grpc_service": "S", "grpc_method": "M", "grpc_type": "unary"}


def calls(time: float, good: float, bad: float, started: float, fast: float) -> Reading:
    handled = [({**CALL, "grpc_code": "OK"}, good), ({**CALL, "grpc_code": "NOT_FOUND"}, bad)]
    buckets = [({**CALL, "le": le}, count) for le, count in (("0.1", fast), ("0.2", good + bad), ("+Inf", good + bad))]
    return reading(
        time,
        grpc_server_started_total=[(CALL, started)],
        grpc_server_handled_total=handled,
        grpc_server_handling_seconds_bucket=buckets,
        grpc_server_handling_seconds_count=[(CALL, good + bad)],
    )


def test_rates_and_quantiles_are_of_the_time_between_two_readings() -> None:
    before, now = calls(100.0, 10, 0, 10, 10), calls(110.0, 25, 5, 33, 20)
    # 20 calls in 10 s, half of them up to 100 ms: the median is there, and 49 of 50 of the rest lie in the next bucket.
    (row,) = rows(now, before, "Calls")
    assert row == ("M", 20, 2.0, 0.5, 3, pytest.approx(100.0), pytest.approx(198.0))


def test_a_server_that_was_started_again_counts_from_nothing() -> None:
    assert rows(calls(110.0, 5, 0, 5, 5), calls(100.0, 50, 0, 50, 50), "Calls")[0][1:3] == (5, 0.5)


def test_a_quantile_beyond_the_last_bound_is_the_last_bound() -> None:
    found = reading(
        1.0,
        mmrec_stage_seconds_bucket=[({"stage": "run", "le": "0.5"}, 1), ({"stage": "run", "le": "+Inf"}, 10)],
        mmrec_stage_seconds_count=[({"stage": "run"}, 10)],
        mmrec_stage_seconds_sum=[({"stage": "run"}, 20.0)],
    )
    ((stage, _, mean, p99),) = rows(found, reading(0.0), "Stages of calls")
    assert (stage, mean, p99) == ("run", 2000.0, 500.0)


def test_where_nothing_happened_cells_are_empty() -> None:
    found = reading(5.0, mmrec_queue_waiting=[({"kind": "recommend"}, 0)], mmrec_loaded=[({}, 0)])
    assert rows(found, reading(0.0), "Work") == [("recommend", 0, 0.0, None, None, None, 0.0)]
    assert rows(found, reading(0.0), "Server") == [("bundle", "loading"), ("measured over", "5 s")]


@pytest.mark.parametrize("address", ["", "localhost", "localhost:", "a@b:80", "http://localhost:80", "x/y:80"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidArgumentError, match="pass HOST:PORT as given to mmrec serve --metrics"):
        read_metrics(address)


def test_nobody_answers() -> None:
    with pytest.raises(UnavailableError, match=r"no metrics at 127\.0\.0\.1:9: .*refused"):
        read_metrics("127.0.0.1:9")
