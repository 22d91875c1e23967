"""Checks of configured values: numbers within limits, and words of a choice."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmrec.errors import InvalidArgumentError


def check_numbers(
    config: object,
    *names: str,
    low: float | None = None,
    over: float | None = None,
    high: float | None = None,
    below: float | None = None,
) -> None:
    """Check that fields of a configuration lie within limits; a field that is None has none.

    Args:
        config: Has the fields as attributes.
        names: Of the fields.
        low: The least number.
        over: Numbers are larger than this.
        high: The largest number.
        below: Numbers are smaller than this; infinity for any finite number.

    Raises:
        InvalidArgumentError: one is outside, or not a number.
    """
    for name in names:
        value = getattr(config, name)
        if value is not None:
            check_number(name, value, low=low, over=over, high=high, below=below)


def check_number(
    name: str,
    value: float,
    *,
    low: float | None = None,
    over: float | None = None,
    high: float | None = None,
    below: float | None = None,
) -> None:
    """Check that one value lies within limits; see `check_numbers`.

    Raises:
        InvalidArgumentError: it is outside, or not a number.
    """
    limits = (("at least", low), ("over", over), ("at most", high), ("below", below))
    fits = (
        low is None or value >= low,
        over is None or value > over,
        high is None or value <= high,
        below is None or value < below,
    )
    if not all(fits):
        rule = " and ".join(
            "finite" if limit == math.inf else f"{word} {limit:,}" for word, limit in limits if limit is not None
        )
        if low is not None and high is not None:
            rule = f"{low:,} to {high:,}"
        raise InvalidArgumentError(f"{name} is {value}; it must be {rule}", field=name)


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Check that a value is one of some words.

    Raises:
        InvalidArgumentError: it is none of them.
    """
    if value not in choices:
        words = ", ".join(choice or "empty" for choice in choices)
        raise InvalidArgumentError(f"{name} is {value!r:.80}; it must be one of {words}", field=name)
