"""Counts and latencies of calls that were sent."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from mmrec.errors import InvalidArgumentError
from mmrec.evaluation.load import Load, LoadResult, draw_load
from mmrec.evaluation.load.outcomes import Bucket, Outcome, histogram, latencies


def test_percentiles_are_measured_values() -> None:
    found = latencies(second / 1000 for second in range(200, 0, -1))
    assert (found.calls, found.p50_ms, found.p90_ms, found.p99_ms, found.max_ms) == (200, 100.0, 180.0, 198.0, 200.0)
    assert latencies([]).p99_ms == 0.0


def test_bounds_of_a_histogram_are_in_equal_ratios() -> None:
    found = histogram([0.001, 0.00101, 0.0115, 0.0099])
    assert [bucket.calls for bucket in found] == [2, *[0] * 18, 1, 0, 1]
    assert found[0].below_ms == pytest.approx(10**0.05)
    assert found[19].below_ms == pytest.approx(10.0)
    assert histogram([]) == ()


def test_a_load_is_summed_up_without_its_warm_up() -> None:
    outcomes = [
        Outcome("recommend", -0.5, 0.0, 0.010, "OK"),
        Outcome("recommend", 0.1, 0.001, 0.020, "OK"),
        Outcome("recommend", 0.2, 0.002, 1.000, "OK"),
        Outcome("search", 0.3, 0.003, 0.004, "RESOURCE_EXHAUSTED"),
        Outcome("recommend", 1.9, 0.004, 2.000, "DEADLINE_EXCEEDED", answered=False),
        Outcome("search", 1.95, 0.005, math.inf, "", answered=False),
    ]
    result = LoadResult.of(Load(3.0, seconds=2.0), outcomes)
    assert (result.calls, result.goodput_per_s, result.unanswered, result.hung) == (5, 1.0, 1, 1)
    assert list(result.codes) == ["OK", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"]
    assert (result.accepted.calls, result.accepted.p50_ms, result.accepted.max_ms) == (2, 20.0, 1000.0)
    assert (result.refused.calls, result.refused.p50_ms) == (1, 4.0)
    assert {kind: {code: found.calls for code, found in codes.items()} for kind, codes in result.by_call.items()} == {
        "recommend": {"OK": 2, "DEADLINE_EXCEEDED": 1},
        "search": {"RESOURCE_EXHAUSTED": 1},
    }
    assert result.by_second == ({"OK": 1, "RESOURCE_EXHAUSTED": 1}, {"OK": 1}, {}, {"DEADLINE_EXCEEDED": 1})
    assert sum(bucket.calls for bucket in result.histogram) == 2
    assert result.histogram[-1] == Bucket(pytest.approx(10**3.05), 1)
    assert result.lag_p99_ms == 5.0


def test_loads_are_drawn_whether_anything_was_answered_or_not(tmp_path: Path) -> None:
    answered = LoadResult.of(Load(2.0, seconds=1.0), [Outcome("recommend", 0.1, 0.0, 0.02, "OK")])
    nothing = LoadResult.of(Load(4.0, seconds=1.0), [Outcome("recommend", 0.1, 0.0, 0.02, "UNAVAILABLE")])
    path = tmp_path / "plots" / "load.png"
    draw_load([answered, nothing], path)
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"rate": 0.0}, "rate is 0.0; it must be over 0"),
        ({"calls": {}}, "calls is empty; name one or more of recommend, recommend-many, "),
        ({"calls": {"sing": 1.0}}, "calls is 'sing'; it must be one of recommend, recommend-many, "),
        ({"calls": {"search": 0.0}}, "the share of search is 0.0; it must be over 0"),
        ({"arrivals": "all"}, "arrivals is 'all'; it must be one of poisson, even"),
        ({"history": 2000}, "history is 2000; it must be 0 to 1,000"),
    ],
)
def test_a_load_that_breaks_a_rule_is_refused(changed: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        Load(**{"rate": 1.0, **changed})  # type: ignore[arg-type]
