import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmrec.channels.cold_start import PLACES, cold_places, cold_start_boosts


@pytest.mark.parametrize(("share", "places"), [(0.0, 0), (0.049, 0), (0.05, 1), (0.1, 1), (0.5, 5), (1.0, 10)])
def test_places_are_the_share_rounded(share: float, places: int) -> None:
    assert cold_places(share) == places


def test_the_best_new_item_gets_the_last_place_and_the_order_of_new_items_stays() -> None:
    scores = np.concatenate([np.arange(20, 0, -1), [-3.0, -5.0]]).astype(np.float32)[None]
    new = np.arange(22) >= 20
    lifted = scores + cold_start_boosts(scores, None, new, 0.1)[:, None] * new
    top = np.argsort(-lifted[0], kind="stable")[:PLACES].tolist()
    assert top == [0, 1, 2, 3, 4, 5, 6, 7, 8, 20]
    assert lifted[0, 20] - lifted[0, 21] == pytest.approx(2.0, abs=1e-4)


def test_new_items_that_have_their_places_already_are_left_where_they_are() -> None:
    scores = np.arange(30, 0, -1).astype(np.float32)[None]
    assert cold_start_boosts(scores, None, np.arange(30) == 9, 0.1).tolist() == [0.0]


def test_only_eligible_items_count() -> None:
    scores = np.arange(30, 0, -1).astype(np.float32)[None]
    new = np.arange(30) >= 28
    eligible = np.arange(30) != 28
    lifted = scores + cold_start_boosts(scores, eligible[None], new, 0.1)[:, None] * new
    shown = [item for item in np.argsort(-lifted[0]).tolist() if eligible[item]][:PLACES]
    assert shown == [0, 1, 2, 3, 4, 5, 6, 7, 8, 29]


@pytest.mark.parametrize("new", [np.zeros(30, bool), np.ones(30, bool), np.arange(30) >= 5])
def test_where_there_is_nothing_to_lift_or_too_little_to_pass(new: np.ndarray) -> None:
    scores = np.arange(30, 0, -1).astype(np.float32)[None]
    assert cold_start_boosts(scores, None, new, 0.1).tolist() == [0.0]


@given(seed=st.integers(0, 10_000), share=st.floats(0, 1), scale=st.sampled_from([1e-3, 1.0, 1e3]))
@example(seed=332, share=0.625, scale=1e-3)
def test_new_items_have_at_least_their_places_and_no_more_than_it_takes(seed: int, share: float, scale: float) -> None:
    rng = np.random.default_rng(seed)
    scores = (rng.normal(size=(8, 60)) * scale).astype(np.float32)
    new = np.arange(60) < 20
    lifts = cold_start_boosts(scores, None, new, share)
    lifted = scores + lifts[:, None] * new
    shown = new[np.argsort(-lifted, axis=1, kind="stable")[:, :PLACES]].sum(1)
    before = new[np.argsort(-scores, axis=1, kind="stable")[:, :PLACES]].sum(1)
    assert (shown == np.maximum(before, cold_places(share))).all()
