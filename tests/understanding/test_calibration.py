"""Temperatures and calibration, against values worked out by hand and made-up truths."""

from __future__ import annotations

import numpy as np
import pytest

from mmrec.errors import InvalidArgumentError
from mmrec.understanding.calibration import (
    best_temperature,
    expected_calibration_error,
    fit_temperature,
    grouped_folds,
    log_loss,
    softmax,
)


def test_softmax() -> None:
    probabilities = softmax(np.array([[0.0, np.log(3.0)], [1e6, -1e6]]))
    np.testing.assert_allclose(probabilities, [[0.25, 0.75], [1.0, 0.0]], atol=1e-7)
    np.testing.assert_allclose(softmax(np.array([[0.0, 2 * np.log(3.0)]]), 2.0), [[0.25, 0.75]], atol=1e-7)
    assert softmax(np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_none(temperature: float) -> None:
    with pytest.raises(InvalidArgumentError, match="temperature is"):
        softmax(np.zeros((1, 2)), temperature)


def test_log_loss() -> None:
    assert log_loss(np.array([[0.25, 0.75]]), np.array([0])) == pytest.approx(np.log(4))
    assert log_loss(np.zeros((0, 2)), np.zeros(0, np.int64)) == 0.0


def test_expected_calibration_error() -> None:
    # Two bins: 0.9 sure and always right, 0.6 sure and right once in two.
    confidences, right = np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, True, True, False])
    assert expected_calibration_error(confidences, right) == pytest.approx((0.1 * 2 + 0.1 * 2) / 4)
    assert expected_calibration_error(np.ones(3), np.ones(3, np.bool_)) == 0.0
    assert expected_calibration_error(np.zeros(0), np.zeros(0, np.bool_)) == 0.0


def answers(scores: np.ndarray, temperature: float, seed: int = 0) -> np.ndarray:
    """Right labels drawn with the probabilities that this temperature gives."""
    probabilities = softmax(scores, temperature)
    drawn = np.random.default_rng(seed).random((len(scores), 1))
    return np.asarray((probabilities.cumsum(axis=1) > drawn).argmax(axis=1))


@pytest.mark.parametrize("temperature", [0.05, 0.3])
def test_the_temperature_that_made_the_answers_is_found(temperature: float) -> None:
    scores = np.random.default_rng(1).uniform(-0.5, 0.5, (4_000, 6))
    targets = answers(scores, temperature)
    assert best_temperature(scores, targets) == pytest.approx(temperature, rel=0.1)
    fitted = fit_temperature(scores, targets)
    assert fitted.temperature == pytest.approx(temperature, rel=0.15)
    assert fitted.ece < 0.04
    assert fitted.rows == 2_000
    raw = softmax(scores)
    assert expected_calibration_error(raw.max(axis=1), raw.argmax(axis=1) == targets) > 2 * fitted.ece


def test_groups_stay_together_and_rows_of_unknown_answer_are_left_out() -> None:
    scores = np.random.default_rng(1).uniform(-0.5, 0.5, (300, 4))
    targets = answers(scores, 0.1)
    targets[::3] = -1
    fitted = fit_temperature(scores, targets, [f"group {row // 30}" for row in range(300)], seed=3)
    assert fitted.rows == 100


def test_folds() -> None:
    groups = ["a"] * 5 + ["b"] * 5 + list("cdefghijkl")
    folds = grouped_folds(groups, 2, seed=0)
    assert len(set(folds[:5])) == len(set(folds[5:10])) == 1
    assert sorted(np.bincount(folds).tolist()) in ([10, 10], [9, 11], [8, 12], [7, 13])
    assert folds.tolist() == grouped_folds(groups, 2, seed=0).tolist()
    assert grouped_folds([], 2, seed=0).tolist() == []


def test_what_does_not_fit_is_refused() -> None:
    scores = np.zeros((4, 2))
    with pytest.raises(InvalidArgumentError, match=r"targets \(3,\)"):
        fit_temperature(scores, np.zeros(3, np.int64))
    with pytest.raises(InvalidArgumentError, match="must name one of 2 labels"):
        fit_temperature(scores, np.array([0, 1, 2, 0]))
    with pytest.raises(InvalidArgumentError, match="2 rows have a known label, in fewer than 2 groups"):
        fit_temperature(scores, np.array([0, 1, -1, -1]), ["a", "a", "b", "c"])
