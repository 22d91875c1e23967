"""Ratings in a fit: what is held out, that nothing of it is learned, and what the bundle holds."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mmrec
from mmrec.bundle import BundleWriter, open_bundle
from mmrec.data.dataset import read_dataset
from mmrec.data.interactions import Interactions
from mmrec.errors import BundleError
from mmrec.ratings.fitting import RatingConfig, fit_rating_model
from mmrec.ratings.model import RatingModel
from mmrec.recommender.artefact import RATED, RATING_MODEL
from mmrec.training import evaluate_bundle, fit_dataset
from mmrec.training.ratings import OURS, RatingSplit, rating_rows, split_ratings
from mmrec.training.splitting import SplitName, split_events
from tests.conftest import tiny_fit


def split_of(
    rated: Interactions, positive: Interactions | None = None, name: SplitName = "leave-one-out"
) -> RatingSplit:
    positive = rated if positive is None else positive
    split = split_ratings(rated, name, positive, split_events(positive, name, "here"))
    assert split is not None
    return split


def places(mask_E: np.ndarray) -> list[int]:
    return np.flatnonzero(mask_E).tolist()


def test_the_last_two_ratings_of_each_user_are_held_out() -> None:
    rated = Interactions.from_columns(list("aaaabbbcc"), range(9), range(9), [1.0] * 9)
    split = split_of(rated)
    # User c has two ratings only, which are learned from.
    assert places(split.learned_E) == [0, 1, 2, 4, 5, 7, 8]
    assert places(split.validation_E) == [2, 5]
    assert places(split.test_E) == [3, 6]
    assert places(split.known_E) == [0, 1, 2, 4, 5]


def test_what_the_recommender_is_asked_for_is_no_rating_to_learn_from() -> None:
    rated = Interactions.from_columns(list("aaaaaa"), range(6), range(6), [5.0, 5.0, 5.0, 5.0, 1.0, 1.0])
    liked = Interactions.from_columns(list("aaaa"), range(4), range(4), [5.0] * 4)
    split = split_of(rated, liked)
    # 3 is the last one that was liked; 4 and 5, which were not, are the last ratings.
    assert places(split.learned_E) == [0, 1, 2, 4]
    assert (places(split.validation_E), places(split.test_E)) == ([4], [5])


def test_a_split_by_time_learns_from_nothing_later() -> None:
    times = [1_000_000_000 + day for day in range(20)]
    rated = Interactions.from_columns(["a", "b"] * 10, [item % 7 for item in range(20)], times, [3.0, 4.0] * 10)
    split = split_of(rated, name="time")
    assert rated.times_E[split.learned_E & ~split.validation_E].max() == 1_000_000_015
    assert sorted((rated.times_E[split.validation_E] - 1_000_000_000).tolist()) == [16, 17]
    assert sorted((rated.times_E[split.test_E] - 1_000_000_000).tolist()) == [18, 19]
    assert rated.times_E[split.known_E].max() < 1_000_000_018


def test_too_few_ratings_are_no_reason_to_fail() -> None:
    events = Interactions.from_columns(list("aaa"), range(3), range(3))
    held = split_events(events, "leave-one-out", "here")
    two = Interactions.from_columns(list("aa"), range(2), range(2), [1.0, 2.0])
    for rated in (Interactions.empty(), two):
        assert split_ratings(rated, "leave-one-out", events, held) is None


def planted(value: float) -> tuple[RatingModel, RatingSplit]:
    """A model of ratings between 2 and 4, of which every held-out one is `value`."""
    rng = np.random.default_rng(1)
    users = [f"u{number // 8}" for number in range(240)]
    ratings = rng.integers(2, 5, 240).astype(np.float32)
    rated = Interactions.from_columns(users, rng.integers(0, 12, 240), range(240), ratings)
    held = split_of(rated).test_E
    rated = replace(rated, ratings_E=np.where(held, np.float32(value), rated.ratings_E))
    split = split_of(rated)
    config = RatingConfig(factors=2, implicit=2, rounds=4, last_rounds=1, tuning_users=5)
    learned = rated.where(split.learned_E)
    return fit_rating_model(learned, split.validation_E[split.learned_E], np.zeros((12, 0), np.float32), config), split


def test_held_out_ratings_change_nothing_of_the_model() -> None:
    (low, asked_low), (high, asked_high) = planted(1.0), planted(5.0)
    for name in ("item_NK", "item_variance_NK", "implicit_NK", "user_prior_2K", "user_KK"):
        np.testing.assert_array_equal(getattr(low, name), getattr(high, name))
    assert (low.scale, low.kernel) == (high.scale, high.kernel)
    assert (low.scale.low, low.scale.high) == (2.0, 4.0)
    # Nor do the simple predictors know them: all miss a 1 and a 5 by about as much.
    for rows in (rating_rows(low, asked_low), rating_rows(high, asked_high)):
        assert [row.name for row in rows] == ["global mean", "user mean", "item mean", "biases", OURS]
        assert min(row.mae for row in rows) > 1.5


@pytest.fixture(scope="module")
def rated_dataset(demo_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's dataset, whose customers rate items by whether their numbers are even, and a third of them low."""
    folder = tmp_path_factory.mktemp("rated") / "shop"
    shutil.copytree(demo_dataset, folder)
    table = pq.read_table(folder / "events.parquet")
    even = [int(item_id[1:]) % 2 == 0 for item_id in table["item_id"].to_pylist()]
    kind = [int(user_id[1:]) % 3 for user_id in table["user_id"].to_pylist()]
    stars = [4.0 + (likes and own == 0) - 2 * (own == 1 and not likes) for likes, own in zip(even, kind, strict=True)]
    pq.write_table(table.append_column("rating", pa.array(stars)), folder / "events.parquet")
    (folder / "dataset.toml").write_text('[events]\nignore_types = ["wishlist_remove"]\n')
    return folder


@pytest.fixture(scope="module")
def rated_bundle(rated_dataset: Path, demo_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = replace(tiny_fit(), encoders_from=str(demo_bundle))
    return fit_dataset(rated_dataset, tmp_path_factory.mktemp("rated-bundle"), config).bundle


@pytest.mark.slow
def test_a_fit_measures_and_stores_what_predicts_ratings(rated_dataset: Path, rated_bundle: Path) -> None:
    bundle = open_bundle(rated_bundle)
    stored = bundle.read_json("metrics.json")["ratings"]
    assert [row["name"] for row in stored] == ["global mean", "user mean", "item mean", "biases", OURS]
    assert stored[-1]["rmse"] < 0.75 * stored[0]["rmse"]
    assert "| ratings predicted by | RMSE | MAE |" in bundle.read_text("MODEL_CARD.md")
    again = evaluate_bundle(rated_bundle).evaluation.ratings
    figures = [(row.name, row.rmse, row.mae_high, row.within_two) for row in again]
    assert figures == [(row["name"], row["rmse"], row["mae_high"], row["within_two"]) for row in stored]
    data = read_dataset(rated_dataset)
    # Low ratings are no events to recommend from, and ratings all the same.
    assert data.rated.events > data.interactions.events
    assert {RATED, RATING_MODEL} <= set(bundle.manifest.files)


@pytest.mark.slow
def test_the_recommender_rates_stored_and_new_customers(rated_bundle: Path, tmp_path: Path) -> None:
    recommender = mmrec.Recommender.load(rated_bundle, device="cpu")
    lover = [mmrec.HistoryEvent(f"p{number:04}", rating=5.0 if number % 2 == 0 else 2.0) for number in range(1, 31)]
    found = recommender.predict_ratings(["p0050", "p0051", "nonsense"], history=lover)
    even, odd = found.ratings
    assert (even.item_id, odd.item_id, found.missing_ids) == ("p0050", "p0051", ("nonsense",))
    assert 5.0 >= even.rating > odd.rating >= 2.0
    assert 0 < (even.deviation or 0) < 2
    known = recommender.predict_ratings(["p0050"], user_id=recommender.snapshot().parts.rated.user_ids[0])
    assert 2.0 <= known.ratings[0].rating <= 5.0

    # A new item is rated by its content, and a compaction keeps what predicts ratings.
    recommender.upsert_items([{"item_id": "new", "title": "A lamp"}])
    before = recommender.predict_ratings(["new", "p0050"], history=lover).ratings
    shutil.copytree(rated_bundle, tmp_path / "bundle")
    with BundleWriter(tmp_path / "bundle", preset="embedded", name="shop") as writer:
        recommender.publish(writer, catalogue="folded", folded={})
    after = mmrec.Recommender.load(tmp_path / "bundle", device="cpu").predict_ratings(["new", "p0050"], history=lover)
    assert [one.rating for one in after.ratings] == pytest.approx([one.rating for one in before], abs=1e-4)


@pytest.mark.slow
def test_what_a_customer_rates_low_is_not_recommended(rated_bundle: Path) -> None:
    assert open_bundle(rated_bundle).manifest.parameters["rejected_below"] == 3.0
    recommender = mmrec.Recommender.load(rated_bundle, device="cpu", encoders_when_used=True)
    rated = [mmrec.HistoryEvent("p0001", rating=2.5), mmrec.HistoryEvent("p0002", rating=3.0)]
    found = recommender.recommend(history_events=rated, include_seen=True, k=60)
    assert (len(found.items), set(recommender.recommend(k=60).item_ids) - set(found.item_ids)) == (59, {"p0001"})
    assert found.item_ids == recommender.recommend(["p0002"], deny=["p0001"], include_seen=True, k=60).item_ids
    # As what is recorded.
    recommender.record_events([mmrec.UserEvent(one.item_id, "view", "u", rating=one.rating) for one in rated])
    assert recommender.recommend(user_id="u", include_seen=True, k=60).item_ids == found.item_ids


@pytest.mark.slow
def test_types_that_the_dataset_ignores_are_rejections_of_live_customers_too(rated_bundle: Path) -> None:
    assert open_bundle(rated_bundle).manifest.parameters["ignore_types"] == ["wishlist_remove"]
    recommender = mmrec.Recommender.load(rated_bundle, device="cpu", encoders_when_used=True)
    every = set(recommender.recommend(k=60).item_ids)
    types = {"p0001": "Wishlist-Remove", "p0002": "return", "p0003": "impression"}
    given = [mmrec.HistoryEvent(item_id, name) for item_id, name in types.items()]
    found = recommender.recommend(history_events=given, include_seen=True, k=60)
    assert every - set(found.item_ids) == {"p0001"}
    assert found.item_ids == recommender.recommend(["p0002"], deny=["p0001"], include_seen=True, k=60).item_ids
    recommender.record_events([mmrec.UserEvent(item_id, name, "u") for item_id, name in types.items()])
    assert recommender.recommend(user_id="u", include_seen=True, k=60).item_ids == found.item_ids


@pytest.mark.slow
def test_a_rating_model_of_another_bundle_is_refused(rated_bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(rated_bundle, tmp_path / "bundle")
    path = open_bundle(tmp_path / "bundle").path(RATING_MODEL)
    path.write_bytes(path.read_bytes()[:-4] + b"bad!")
    with pytest.raises(BundleError, match="rating_model"):
        mmrec.Recommender.load(tmp_path / "bundle", device="cpu")
