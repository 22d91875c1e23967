"""What came of the calls of a load: counts by status code, latencies, and the course of it second by second.

Latencies are measured from the time at which a call was planned, not from the time at which it was sent: where sending
was held up, the wait counts, as a customer would have waited too (otherwise "coordinated omission", see G. Tene, "How
not to measure latency"). Knows nothing about sending.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mmrec.evaluation.load.load import Load

OK = "OK"
REFUSED = "RESOURCE_EXHAUSTED"
_PER_DECADE = 20
"""Bounds of the histogram within a factor of ten."""


class Outcome(NamedTuple):
    """What came of one call.

    Attributes:
        call: Its kind.
        planned_s: When it was to be sent, in seconds after the first second that is measured; below 0: warm-up.
        lag_s: How much later it was sent, in seconds.
        seconds: From the planned time to its end; infinity where it never ended.
        code: Status code; empty where it never ended.
        answered: Whether the server said so; otherwise the client gave up at the deadline, or lost the connection.
    """

    call: str
    planned_s: float
    lag_s: float
    seconds: float
    code: str
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Latencies:
    """Of calls with the same outcome, in milliseconds from their planned times."""

    calls: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


class Bucket(NamedTuple):
    """Calls whose latency lies below a bound, and not below the bound before."""

    below_ms: float
    calls: int


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What came of a load; calls of the warm-up are left out.

    Attributes:
        load: What was sent.
        calls: Number of calls.
        goodput_per_s: Calls with an answer in time, a second.
        codes: Latencies by status code.
        by_call: The same for each kind of call.
        histogram: Latencies of calls with an answer; bounds in equal ratios, 20 within a factor of ten.
        by_second: In each second: number of calls that ended in it, by status code.
        unanswered: Calls that ended without a word from the server, by their deadline or a lost connection.
        hung: Calls that had not ended some seconds after their deadline.
        lag_p99_ms: How much later than planned calls were sent, 99th percentile; large where the generator's own
            machine is too slow for the rate.
    """

    load: Load
    calls: int
    goodput_per_s: float
    codes: Mapping[str, Latencies]
    by_call: Mapping[str, Mapping[str, Latencies]]
    histogram: tuple[Bucket, ...]
    by_second: tuple[Mapping[str, int], ...]
    unanswered: int
    hung: int
    lag_p99_ms: float

    @property
    def accepted(self) -> Latencies:
        """Calls with an answer."""
        return self.codes.get(OK, latencies(()))

    @property
    def refused(self) -> Latencies:
        """Calls that were refused because the server was busy."""
        return self.codes.get(REFUSED, latencies(()))

    @classmethod
    def of(cls, load: Load, outcomes: Sequence[Outcome]) -> LoadResult:
        """Count."""
        measured = [one for one in outcomes if one.planned_s >= 0]
        ended = [one for one in measured if one.code]
        good = [one for one in ended if one.code == OK]
        kinds = dict.fromkeys(one.call for one in measured)
        return cls(
            load=load,
            calls=len(measured),
            goodput_per_s=len(good) / load.seconds,
            codes=_by_code(ended),
            by_call={kind: _by_code(one for one in ended if one.call == kind) for kind in kinds},
            histogram=histogram([one.seconds for one in good]),
            by_second=_by_second(ended),
            unanswered=sum(not one.answered for one in ended),
            hung=len(measured) - len(ended),
            lag_p99_ms=1000 * _quantile(sorted(one.lag_s for one in measured), 0.99),
        )


def latencies(seconds: Iterable[float]) -> Latencies:
    """Percentiles of some latencies, each one that was measured; zeros where there are none."""
    in_order = sorted(seconds)
    p50, p90, p99, most = (1000 * _quantile(in_order, share) for share in (0.5, 0.9, 0.99, 1.0))
    return Latencies(len(in_order), p50, p90, p99, most)


def histogram(seconds: Sequence[float]) -> tuple[Bucket, ...]:
    """Counts between bounds in equal ratios; from the first bound that is needed to the last."""
    if not seconds:
        return ()
    steps = np.floor(_PER_DECADE * np.log10(np.maximum(1000 * np.asarray(seconds), 1e-3))).astype(int)
    first = int(steps.min())
    counts = np.bincount(steps - first).tolist()
    return tuple(Bucket(10 ** ((first + place + 1) / _PER_DECADE), count) for place, count in enumerate(counts))


def _by_code(outcomes: Iterable[Outcome]) -> dict[str, Latencies]:
    found: dict[str, list[float]] = {}
    for one in outcomes:
        found.setdefault(one.code, []).append(one.seconds)
    return {code: latencies(found[code]) for code in sorted(found, key=lambda code: (code != OK, code))}


def _by_second(ended: Sequence[Outcome]) -> tuple[dict[str, int], ...]:
    seconds: list[dict[str, int]] = []
    for one in ended:
        second = int(one.planned_s + one.seconds)
        seconds += [{} for _ in range(second + 1 - len(seconds))]
        seconds[second][one.code] = seconds[second].get(one.code, 0) + 1
    return tuple(seconds)


def _quantile(in_order: Sequence[float], share: float) -> float:
    """The smallest value that this share of the values does not exceed; 0 of none."""
    return in_order[max(0, math.ceil(share * len(in_order)) - 1)] if in_order else 0.0
