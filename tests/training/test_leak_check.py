"""Events that were learned are recognised under other names and times, and strangers who do alike are not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from mmrec.data.interactions import Interactions
from mmrec.data.splits import LeaveOneOut, leave_one_out
from mmrec.training.leak_check import KnownAnswers, count_known_answers

RNG = np.random.default_rng(7)
ITEMS = 300
POPULAR = RNG.permutation(ITEMS)


def _walks(users: int, seed: int, shortest: int = 5, longest: int = 12) -> list[npt.NDArray[np.int64]]:
    """Histories of users who mostly take popular items, and often the next one of a series."""
    rng = np.random.default_rng(seed)
    weights = 1.0 / (np.arange(ITEMS) + 1.0)
    walks = []
    for _ in range(users):
        walk = [int(rng.choice(ITEMS, p=weights / weights.sum()))]
        while len(walk) < rng.integers(shortest, longest + 1):
            follows = (walk[-1] + 1) % ITEMS
            walk.append(follows if rng.random() < 0.4 else int(rng.choice(ITEMS, p=weights / weights.sum())))
        walks.append(np.array(walk))
    return walks


def _split(walks: list[npt.NDArray[np.int64]], prefix: str = "u", start: int = 1_700_000_000) -> LeaveOneOut:
    users = [f"{prefix}{u}" for u, walk in enumerate(walks) for _ in walk]
    items = np.concatenate(walks)
    return leave_one_out(Interactions.from_columns(users, items, start + np.arange(len(items))))


WALKS = _walks(400, seed=1)
FITTED = _split(WALKS)


def test_learned_events_of_users_with_other_names() -> None:
    known = count_known_answers(_split([walk[:-1] for walk in WALKS], prefix="other").test, FITTED)
    assert (known.asked, known.known) == (400, 400)
    assert known.expected < 60
    assert known.learned


def test_learned_events_at_other_times_among_new_ones() -> None:
    mixed = [walk[:-1] for walk in WALKS[:200]] + _walks(200, seed=2)
    known = count_known_answers(_split(mixed, start=1_700_003_600).test, FITTED)
    assert known.known >= 200
    assert known.learned


def test_strangers_who_do_alike_have_learned_nothing() -> None:
    for seed in range(3, 8):
        known = count_known_answers(_split(_walks(400, seed=seed)).test, FITTED)
        assert not known.learned
        assert known.known < 2 * known.expected + 10


def test_the_questions_of_the_fit_itself_are_not_learned() -> None:
    assert not count_known_answers(FITTED.test, FITTED).learned


def test_the_same_users_with_new_events_are_not_learned() -> None:
    more = [np.append(walk, other[0]) for walk, other in zip(WALKS, _walks(400, seed=9), strict=True)]
    assert not count_known_answers(_split(more).test, FITTED).learned


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_histories_of_two_popular_items_are_not_learned(seed: int) -> None:
    fitted = _split(_walks(500, seed=20, shortest=3, longest=3))
    assert not count_known_answers(_split(_walks(300, seed=seed, shortest=3, longest=3)).test, fitted).learned


def test_a_series_that_everybody_follows_is_no_sign() -> None:
    series = [np.arange(start, start + 8) for start in RNG.integers(0, 20, 300)]
    others = [np.arange(start, start + 8) for start in RNG.integers(0, 20, 300)]
    assert not count_known_answers(_split(others).test, _split(series)).learned


def test_a_handful_of_questions_is_no_proof() -> None:
    assert not KnownAnswers(asked=3, known=3, expected=0.5).learned
    assert KnownAnswers(asked=30, known=30, expected=0.5).learned
    assert not KnownAnswers(asked=0, known=0, expected=0.0).learned
