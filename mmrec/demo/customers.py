"""Simulated customers who buy by their taste. Knows nothing about pictures, words or files.

A taste is one colour family and one occasion. Most purchases have both, some have one of them, a few have
neither. Four customers in ten change half of their taste once. Most products come to the shop during the year
and sell best while they are new, so the last purchases are often of things that hardly anybody has bought
yet: counting co-purchases is not enough, and neither is the picture or the description alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mmrec.demo.attributes import COLOURS, OCCASIONS, ItemTruth, Taste
from mmrec.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class CustomerConfig:
    """How customers behave.

    Attributes:
        shortest: Fewest purchases of a customer.
        longest: Most purchases of a customer.
        both: Share of purchases that have both halves of the taste.
        one: Share of purchases that have one half of it.
        drift: Share of customers who change one half of their taste once.
        late: Share of products that come to the shop during the year.
        novelty: How many times better a product sells on its first day than later.
        skew: Standard deviation of the logarithm of a product's popularity.
    """

    shortest: int = 6
    longest: int = 10
    both: float = 0.72
    one: float = 0.16
    drift: float = 0.4
    late: float = 0.75
    novelty: float = 15.0
    skew: float = 0.5

    def __post_init__(self) -> None:
        if not 3 <= self.shortest <= self.longest:
            raise InvalidArgumentError(
                f"shortest is {self.shortest} and longest {self.longest}; 3 <= shortest <= longest"
            )
        if self.both + self.one > 1 or min(self.both, self.one) < 0:
            raise InvalidArgumentError(
                f"both is {self.both} and one {self.one}; they are shares whose sum is at most 1"
            )


class Histories(NamedTuple):
    """Purchases of every customer.

    Attributes:
        items: Per customer, rows of the catalogue, oldest first, none twice.
        times: Per customer, when, as a share of the year in [0, 1), ascending.
        tastes: Per customer, the taste at the end of the history.
    """

    items: list[np.ndarray]
    times: list[np.ndarray]
    tastes: list[Taste]


def make_histories(
    catalogue: Sequence[ItemTruth], users: int, rng: np.random.Generator, config: CustomerConfig | None = None
) -> Histories:
    """Let customers shop for a year.

    Args:
        catalogue: What is in the shop; at least `config.longest` products.
        users: How many customers.
        rng: Random generator.
        config: How they behave.
    """
    config = config or CustomerConfig()
    count = len(catalogue)
    colours = list(COLOURS)
    colour_N = np.array([colours.index(item.colour) for item in catalogue])
    occasion_N = np.array([OCCASIONS.index(item.occasion) for item in catalogue])
    weight_N = rng.lognormal(0, config.skew, count)
    launch_N = np.where(rng.random(count) < config.late, rng.random(count), -1.0)
    # Enough products are available from the first day for the longest history.
    launch_N[rng.permutation(count)[: config.longest]] = -1.0

    histories = Histories([], [], [])
    for _ in range(users):
        length = int(rng.integers(config.shortest, config.longest + 1))
        times = np.sort(rng.random(length))
        taste = [int(rng.integers(len(colours))), int(rng.integers(len(OCCASIONS)))]
        change_at = int(rng.integers(2, length - 1)) if rng.random() < config.drift else length
        bought_N = np.zeros(count, dtype=bool)
        rows = np.zeros(length, dtype=np.int64)
        for step, now in enumerate(times):
            if step == change_at:
                half, sizes = int(rng.integers(2)), (len(colours), len(OCCASIONS))
                taste[half] = (taste[half] + int(rng.integers(1, sizes[half]))) % sizes[half]
            available_N = (launch_N <= now) & ~bought_N
            new_N = np.exp(-(now - launch_N) / 0.1) * (launch_N >= 0)
            appeal_N = weight_N * (1 + config.novelty * new_N) * available_N
            preferred_N = appeal_N * _preferred(colour_N == taste[0], occasion_N == taste[1], rng.random(), config)
            chances_N = preferred_N if preferred_N.any() else appeal_N
            rows[step] = rng.choice(count, p=chances_N / chances_N.sum())
            bought_N[rows[step]] = True
        histories.items.append(rows)
        histories.times.append(times)
        histories.tastes.append(Taste(colours[taste[0]], OCCASIONS[taste[1]]))
    return histories


def _preferred(
    colour_matches_N: np.ndarray, occasion_matches_N: np.ndarray, draw: float, config: CustomerConfig
) -> np.ndarray:
    """Products that a customer considers for one purchase, chosen by `draw` in [0, 1). Shape: (N,), bool."""
    if draw < config.both:
        both_N: np.ndarray = colour_matches_N & occasion_matches_N
        return both_N
    if draw < config.both + config.one / 2:
        return colour_matches_N
    if draw < config.both + config.one:
        return occasion_matches_N
    return np.ones_like(colour_matches_N)
