import numpy as np
import pytest

from mmrec.evaluation.intervals import bootstrap_intervals, holm, paired_test


def test_the_interval_of_equal_values_is_that_value() -> None:
    assert bootstrap_intervals({"a": np.full(7, 0.25)}) == {"a": (0.25, 0.25)}


def test_the_interval_is_that_of_the_normal_approximation_for_many_questions() -> None:
    values = np.random.default_rng(1).random(2000)
    low, high = bootstrap_intervals({"a": values})["a"]
    half = 1.96 * values.std() / np.sqrt(2000)
    assert low == pytest.approx(values.mean() - half, abs=half / 10)
    assert high == pytest.approx(values.mean() + half, abs=half / 10)


def test_the_same_seed_gives_the_same_interval_whatever_stands_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(2).random((3, 50))
    together = bootstrap_intervals({"a": values[0], "b": values[1], "c": values[2]})
    monkeypatch.setattr("mmrec.evaluation.intervals.VALUES_AT_ONCE", 50)
    apart = bootstrap_intervals({"a": values[0], "b": values[1], "c": values[2]})
    for name in "abc":
        assert together[name] == pytest.approx(apart[name], abs=1e-12)
    assert bootstrap_intervals({"a": values[0]}, seed=1)["a"] != apart["a"]


def test_nothing_asked_has_no_interval() -> None:
    assert bootstrap_intervals({"a": np.zeros(0)}) == {}
    assert bootstrap_intervals({}) == {}


def test_two_that_never_differ_are_not_told_apart() -> None:
    found = paired_test(np.array([0.0, 1.0, 0.5]), np.array([0.0, 1.0, 0.5]))
    assert found == (0.0, 0.0, 0.0, 1.0, 1.0, 3)


def test_few_questions_are_tested_exactly() -> None:
    # All five signs alike: 2 of the 2^5 assignments are as extreme.
    found = paired_test(np.array([0.1, 0.2, 0.3, 0.4, 0.5]), np.zeros(5))
    assert found.difference == pytest.approx(0.3)
    assert found.p_permutation == 2 / 32
    assert found.p_wilcoxon == 2 / 32


def test_one_question_that_differs_says_nothing() -> None:
    found = paired_test(np.array([0.0, 1.0, 0.5]), np.array([0.0, 0.0, 0.5]))
    assert (found.p_permutation, found.p_wilcoxon) == (1.0, 1.0)


@pytest.mark.parametrize("differing", range(2, 16))
def test_any_number_of_differing_questions_can_be_tested(differing: int) -> None:
    values = np.array([1.0] * differing + [0.0, 0.0])
    found = paired_test(values, np.zeros(differing + 2))
    assert found.p_permutation == pytest.approx(max(2 / 2**differing, 2 / 10_000), rel=0.99)
    assert 0 < found.p_wilcoxon < 0.2


def test_a_real_difference_is_found_and_pairing_is_what_finds_it() -> None:
    rng = np.random.default_rng(3)
    hard = rng.random(500)
    found = paired_test(hard + 0.02 + 0.01 * rng.standard_normal(500), hard)
    assert found.low > 0
    assert found.p_permutation < 0.001
    assert found.p_wilcoxon < 0.001


def test_chance_alone_is_found_as_often_as_the_level_says() -> None:
    rng = np.random.default_rng(4)
    found = [
        paired_test(rng.random(40), rng.random(40), permutations=199, resamples=50).p_permutation <= 0.05
        for _ in range(200)
    ]
    assert 2 <= sum(found) <= 20


def test_holm_multiplies_the_smallest_by_their_number_and_never_goes_down() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []
