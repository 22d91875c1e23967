"""The rating model: predictions worked out by hand from a few ratings, new items, storage."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.errors import BundleError, InvalidArgumentError
from mmrec.ratings.model import RatedHistory, RatingModel, RatingScale, TimeKernel
from mmrec_encoders.weights import write_weights

STARS = RatingScale(1.0, 5.0, mean=3.0, deviation=1.0, log_count=1.0, log_count_deviation=1.0, timed=True)
NO_MOOD = TimeKernel(0.0, 1.0, 1.0, noise=1.0)
MOOD = TimeKernel(1.0, scale=10.0, power=1.0, noise=1.0)


def small_model(kernel: TimeKernel = NO_MOOD, *, users: tuple[float, float] = (0.0, 1.0)) -> RatingModel:
    """Three items with one factor each: a plain one, a liked one, one for lovers of the factor.

    Args:
        kernel: Of the moods.
        users: Variance of the users' factors, and of their biases.
    """
    f32 = np.float32
    return RatingModel(
        item_NK=np.array([[0, 0], [0, 1], [1, 0]], f32),
        item_variance_NK=np.zeros((3, 2), f32),
        implicit_NK=np.zeros((3, 2), f32),
        content_CK=np.array([[0, 2], [1, 0]], f32),
        content_mean_K=np.array([0, -1], f32),
        user_prior_2K=np.zeros((2, 2), f32),
        user_KK=np.diag(users).astype(f32),
        scale=STARS,
        kernel=kernel,
    )


def history(*ratings: tuple[int, float, float], also: tuple[int, ...] = ()) -> RatedHistory:
    """Ratings as row, rating, time; and rows that were acted on without one."""
    rows, values, times = (np.array(column) for column in zip(*ratings, strict=True)) if ratings else ([], [], [])
    acted = np.unique([*(row for row, _, _ in ratings), *also]).astype(np.int64)
    return RatedHistory(np.array(rows, np.int64), np.array(values, float), np.array(times, float), acted)


def predicted(model: RatingModel, known: RatedHistory, *rows: int, now: float = 0.0) -> tuple[list[float], list[float]]:
    found = model.predict(
        known, np.array(rows), np.full(len(rows), now), np.array([[0.5, 0.0]] * len(rows), np.float32)
    )
    return found.ratings_T.round(6).tolist(), (found.deviations_T**2).round(6).tolist()


def test_a_stranger_gets_the_items_own_ratings() -> None:
    assert predicted(small_model(), history(), 0, 1, 2) == ([3.0, 4.0, 3.0], [2.0, 2.0, 2.0])


def test_one_rating_moves_the_users_bias_by_half_of_it_where_noise_is_as_large() -> None:
    # Bias and noise have variance 1: 5 is 2 above the mean, half of which is the user's.
    assert predicted(small_model(), history((0, 5.0, 0.0)), 0, 1) == ([4.0, 5.0], [1.5, 1.5])


def test_ratings_of_a_factor_say_something_of_items_with_it_alone() -> None:
    model = small_model(users=(1.0, 0.0))
    assert predicted(model, history((2, 5.0, 0.0)), 0, 2) == ([3.0, 4.0], [1.0, 1.5])


def test_a_mood_fades_with_time() -> None:
    model = small_model(MOOD, users=(0.0, 0.0))
    rated = history((0, 5.0, 100.0))
    assert predicted(model, rated, 0, now=100.0) == ([4.0], [1.5])
    assert predicted(model, rated, 0, now=110.0) == ([3.5], [1.875])


def test_what_was_acted_on_says_something_without_a_rating() -> None:
    implicit_NK = np.array([[0, 0], [0, 0.5], [0, 1.0]], np.float32)
    model = replace(small_model(), implicit_NK=implicit_NK)
    assert predicted(model, history(also=(1,)), 0)[0] == [3.5]
    # The sum is divided by the root of the number of items.
    assert predicted(model, history(also=(0, 1, 2)), 0)[0] == [round(3 + 1.5 / 3**0.5, 6)]


def test_an_item_that_the_model_lacks_follows_from_its_content() -> None:
    # 0.5 * (0, 2) + (0, -1): no factor, no bias; its variances are the largest of the known items.
    model = replace(small_model(), item_variance_NK=np.array([[0, 0], [0, 0.25], [0, 0]], np.float32))
    assert predicted(model, history((0, 5.0, 0.0)), 3, 7) == ([4.0, 4.0], [1.75, 1.75])
    bare = model.predict(history(), np.array([3]), np.zeros(1))
    assert bare.ratings_T.tolist() == [2.0]


def test_ratings_of_items_that_the_model_lacks_are_left_out() -> None:
    model = small_model()
    assert predicted(model, history((9, 1.0, 0.0), (0, 5.0, 0.0)), 1) == predicted(model, history((0, 5.0, 0.0)), 1)


ratings = st.tuples(st.integers(0, 2), st.floats(1, 5), st.floats(0, 1e9))


@given(st.lists(ratings, max_size=20), st.floats(0, 1e9))
def test_predictions_stay_on_the_scale_and_ratings_never_make_them_less_sure(
    rated: list[tuple[int, float, float]], now: float
) -> None:
    model = small_model(MOOD, users=(1.0, 1.0))
    values, variances = predicted(model, history(*rated), 0, 1, 2, now=now)
    assert all(1.0 <= value <= 5.0 for value in values)
    alone = predicted(model, history(), 0, 1, 2, now=now)[1]
    assert all(1.0 <= variance <= before + 1e-6 for variance, before in zip(variances, alone, strict=True))


def test_the_order_of_the_history_does_not_matter() -> None:
    model = small_model(MOOD, users=(1.0, 1.0))
    rated = [(0, 4.0, 3.0), (2, 1.0, 5.0), (1, 2.0, 9.0)]
    forwards, backwards = (predicted(model, history(*order), 0, 1, 2, now=10.0) for order in (rated, rated[::-1]))
    np.testing.assert_allclose(forwards, backwards, atol=2e-6)


def test_a_stored_model_predicts_the_same(tmp_path: Path) -> None:
    model = small_model(MOOD, users=(1.0, 1.0))
    model.save(tmp_path / "model.safetensors")
    again = RatingModel.load(tmp_path / "model.safetensors")
    assert (again.scale, again.kernel) == (model.scale, model.kernel)
    known = history((0, 5.0, 0.0), (2, 1.0, 3.0))
    assert predicted(again, known, 0, 1, 2, 3, now=4.0) == predicted(model, known, 0, 1, 2, 3, now=4.0)


def test_parts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    replace(small_model(), implicit_NK=np.zeros((2, 2), np.float32)).save(path)
    with pytest.raises(BundleError, match=r"implicit_NK of the rating model .* has the shape \(2, 2\).*\(3, 2\)"):
        RatingModel.load(path)
    write_weights(path, {}, {"kind": "mmrec-ratings", "format": 1})
    with pytest.raises(BundleError, match=r"lacks a part \('item_NK'\): fit again"):
        RatingModel.load(path)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(BundleError, match="damaged"):
        RatingModel.load(path)


def test_a_kernel_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="scale is 0"):
        TimeKernel(1.0, 0.0, 1.0, 1.0)
    with pytest.raises(InvalidArgumentError, match="noise is nan"):
        TimeKernel(1.0, 1.0, 1.0, float("nan"))
