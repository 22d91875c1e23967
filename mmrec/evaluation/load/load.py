"""What is sent to a server: one frozen value, checked when it is made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from mmrec.contract.rules import MAX_HISTORY, MAX_K
from mmrec.errors import InvalidArgumentError
from mmrec.evaluation.load.calls import CALLS
from mmrec.runtime.limits import check_choice, check_number, check_numbers

Arrivals = Literal["poisson", "even"]
"""Times of the calls: independent of each other, as those of many customers are, or at equal intervals."""


@dataclass(frozen=True, slots=True)
class Load:
    """Calls at planned times.

    Attributes:
        rate: Calls a second on average, over 0.
        seconds: Time in which calls are sent and measured, over 0.
        warmup_s: Time before that, in which calls are sent at the same rate and not measured, 0 or more.
        timeout_s: Timeout of a call in seconds, over 0.
        calls: Share of each kind of call (the names of `CALLS`); any positive numbers.
        history: Items in the history of a customer, 0 to 1,000; drawn from the catalogue.
        k: Items asked for, 1 to 1,000.
        arrivals: Poisson process, or equal intervals.
        connections: Connections that the calls are spread over, 1 to 1,000.
        seed: Of everything drawn.
    """

    rate: float
    seconds: float = 30.0
    warmup_s: float = 2.0
    timeout_s: float = 2.0
    calls: Mapping[str, float] = field(default_factory=lambda: {"recommend": 1.0})
    history: int = 50
    k: int = 10
    arrivals: Arrivals = "poisson"
    connections: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(self, "rate", "seconds", "timeout_s", over=0, high=1_000_000)
        check_numbers(self, "warmup_s", low=0, below=math.inf)
        check_numbers(self, "history", low=0, high=MAX_HISTORY)
        check_numbers(self, "k", low=1, high=MAX_K)
        check_numbers(self, "connections", low=1, high=1_000)
        check_numbers(self, "seed", low=0, below=math.inf)
        check_choice("arrivals", self.arrivals, get_args(Arrivals))
        if not self.calls:
            raise InvalidArgumentError(f"calls is empty; name one or more of {', '.join(CALLS)}", field="calls")
        for name, share in self.calls.items():
            check_choice("calls", name, tuple(CALLS))
            check_number(f"the share of {name}", share, over=0, below=math.inf)
