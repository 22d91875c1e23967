import math
from dataclasses import dataclass

import pytest

from mmrec.errors import InvalidArgumentError
from mmrec.runtime.limits import check_choice, check_number, check_numbers


@dataclass
class Settings:
    rate: float = 0.5
    rounds: int | None = None


@pytest.mark.parametrize(
    ("value", "limits", "rule"),
    [
        (0, {"low": 1}, "at least 1"),
        (0, {"over": 0}, "over 0"),
        (1.0, {"low": 0, "below": 1}, "at least 0 and below 1"),
        (0.6, {"over": 0, "high": 0.5}, "over 0 and at most 0.5"),
        (2_000_000, {"low": 1, "high": 1_000_000}, "1 to 1,000,000"),
        (math.inf, {"over": 0, "below": math.inf}, "over 0 and finite"),
        (math.nan, {"low": 0}, "at least 0"),
    ],
)
def test_a_number_outside_its_limits(value: float, limits: dict[str, float], rule: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        check_number("rate", value, **limits)
    assert caught.value.message == f"rate is {value}; it must be {rule}"
    assert [violation.field for violation in caught.value.violations] == ["rate"]


def test_numbers_at_their_limits() -> None:
    check_number("rate", 1, low=1, high=1)
    check_number("rate", 0.999, over=0, below=1)


def test_fields_of_a_configuration() -> None:
    check_numbers(Settings(), "rate", "rounds", low=0)
    with pytest.raises(InvalidArgumentError, match="rounds is -1; it must be at least 0"):
        check_numbers(Settings(rounds=-1), "rate", "rounds", low=0)


def test_a_word_that_is_no_choice() -> None:
    check_choice("require", "", ("", "words"))
    with pytest.raises(InvalidArgumentError, match="require is 'sound'; it must be one of empty, words"):
        check_choice("require", "sound", ("", "words"))
