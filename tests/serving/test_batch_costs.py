"""What is expected of batches after some were measured."""

from __future__ import annotations

import pytest

from mmrec_serving.batch_costs import BatchCosts


def _measured(*batches: tuple[int, float]) -> BatchCosts:
    costs = BatchCosts()
    for units, seconds in batches:
        costs.observe(units, seconds)
    return costs


def test_without_measurements_nothing_is_expected() -> None:
    costs = BatchCosts()
    assert (costs.seconds(5), costs.total(50, 32), costs.least(3)) == (0.0, 0.0, 0.0)
    assert costs.room(32, 0.1) == 32


def test_a_fixed_part_and_a_part_for_each_unit_are_told_apart() -> None:
    costs = _measured((1, 0.06), (11, 0.16), (21, 0.26))
    assert costs.seconds(31) == pytest.approx(0.36)
    assert costs.total(25, 10) == pytest.approx(0.15 + 0.15 + 0.1)
    assert costs.least(11) == pytest.approx(0.06)


def test_after_batches_of_one_size_smaller_ones_take_their_share_and_larger_ones_no_longer() -> None:
    costs = _measured((8, 0.8), (8, 0.8))
    assert costs.seconds(1) == pytest.approx(0.1)
    assert costs.seconds(32) == pytest.approx(0.8)
    assert costs.least(1) == pytest.approx(0.1)


def test_a_batch_has_room_for_what_takes_the_time_of_a_part() -> None:
    assert _measured((1, 0.02), (11, 0.22)).room(32, 0.1) == 5
    assert _measured((1, 0.5), (2, 1.0)).room(32, 0.1) == 1
    # Of a long fixed part, units take twice its time.
    assert _measured((1, 0.11), (11, 0.21)).room(32, 0.1) == 20
    # Whether larger batches take longer is not known.
    assert _measured((1, 5.0)).room(32, 0.1) == 32
    assert _measured((8, 0.8)).room(32, 0.1) == 1


def test_only_the_last_measurements_count() -> None:
    costs = _measured(*[(1, 9.0)] * 50, *[(1, 1.0)] * 16)
    assert costs.seconds(1) == 1.0
    costs = _measured((1, 9.0), (1, 9.0), (1, 1.0))
    costs.forget()
    assert costs.least(1) == 1.0
    costs.forget()
    assert costs.least(1) == 0.0


def test_noise_makes_no_batch_cheaper_for_being_larger() -> None:
    costs = _measured((1, 0.5), (10, 0.1))
    assert costs.seconds(100) == pytest.approx(0.3)
