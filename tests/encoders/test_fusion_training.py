from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mmrec.errors import InvalidArgumentError
from mmrec_encoders.fusion import Fusion, ItemFeatures
from mmrec_encoders.fusion_training import FusionConfig, steps_for, train_fusion
from tests.encoders.test_fusion import random_features

CONFIG = FusionConfig(dimension=32, prefixes=(8, 16), steps=120, batch_size=64)
NO_PAIRS = np.zeros((0, 2), np.int64)
SEEN, SAID, ITEMS = 6, 5, 240


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def shop() -> tuple[ItemFeatures, np.ndarray, np.ndarray]:
    """Items with a colour that only the picture shows and a material that only the words tell, and both labels."""
    rng = np.random.default_rng(0)
    colour, material = rng.integers(0, SEEN, ITEMS), rng.integers(0, SAID, ITEMS)
    image = unit(rng.normal(size=(SEEN, 12))[colour] + 0.25 * rng.normal(size=(ITEMS, 12)))
    text = unit(rng.normal(size=(SAID, 20))[material] + 0.25 * rng.normal(size=(ITEMS, 20)))
    everything = np.ones(ITEMS, np.bool_)
    return ItemFeatures(image, everything, text, everything), colour, material


@pytest.fixture(scope="module")
def plain(shop: tuple[ItemFeatures, np.ndarray, np.ndarray]) -> Fusion:
    """Trained without histories."""
    return train_fusion(shop[0], NO_PAIRS, CONFIG, device="cpu")


def nearest_share(vectors: np.ndarray, label: np.ndarray, neighbours: int = 5) -> float:
    """Share of nearest neighbours with the same label."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2)
    return float((label[np.argsort(-cosines, axis=1)[:, :neighbours]] == label[:, None]).mean())


def both_missing_something(features: ItemFeatures) -> ItemFeatures:
    has_image, has_text = features.has_image_N.copy(), features.has_text_N.copy()
    has_image[::3] = False
    has_text[1::3] = False
    return features._replace(has_image_N=has_image, has_text_N=has_text)


def test_the_same_seed_gives_the_same_fusion_and_another_seed_another() -> None:
    features, pairs = random_features(60), np.array([[0, 1], [2, 3], [4, 5]])
    config = replace(CONFIG, steps=5)
    first, again, other = (train_fusion(features, pairs, config, seed=s, device="cpu") for s in (1, 1, 2))
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_training_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    train_fusion(random_features(20), NO_PAIRS, replace(CONFIG, steps=2), device="cpu")
    assert torch.equal(torch.rand(1), expected)


def test_what_only_the_picture_shows_and_what_only_the_words_tell_both_survive(
    shop: tuple[ItemFeatures, np.ndarray, np.ndarray], plain: Fusion
) -> None:
    features, colour, material = shop
    fused = plain.fuse(features)
    both = colour * SAID + material
    assert nearest_share(fused, colour) >= 0.8
    assert nearest_share(fused, material) >= 0.8
    assert nearest_share(fused, both) >= 0.7


def test_each_trained_prefix_is_usable_by_itself(
    shop: tuple[ItemFeatures, np.ndarray, np.ndarray], plain: Fusion
) -> None:
    features, colour, material = shop
    for length in (8, 16):
        short = plain.shorten(plain.fuse(features), length)
        assert min(nearest_share(short, colour), nearest_share(short, material)) >= 0.6


def test_a_picture_and_words_of_one_item_find_the_item(
    shop: tuple[ItemFeatures, np.ndarray, np.ndarray], plain: Fusion
) -> None:
    features, colour, material = shop
    fused = plain.fuse(features)
    for query, label in (
        (plain.picture_query(features.image_NI), colour),
        (plain.text_query(features.text_NT), material),
    ):
        best = np.argsort(-(query @ fused.T), axis=1)[:, :5]
        assert (label[best] == label[:, None]).mean() >= 0.8


def test_items_of_one_history_come_together_also_when_they_were_never_in_training(
    shop: tuple[ItemFeatures, np.ndarray, np.ndarray], plain: Fusion
) -> None:
    """Customers stay with a colour. Items left out of the histories land with their colour, not with their material."""
    features, colour, material = shop
    rng = np.random.default_rng(1)
    seen = np.arange(ITEMS) % 4 != 0
    pairs = []
    for _ in range(1500):
        same = np.flatnonzero(seen & (colour == rng.integers(SEEN)))
        pairs.append(rng.choice(same, 2, replace=False))
    untaught = plain.fuse(features)
    taught = train_fusion(features, np.array(pairs), CONFIG, device="cpu").fuse(features)
    cold = np.flatnonzero(~seen)
    assert nearest_share(taught[cold], colour[cold]) >= 0.85
    assert nearest_share(taught[cold], colour[cold]) - nearest_share(taught[cold], material[cold]) > (
        nearest_share(untaught[cold], colour[cold]) - nearest_share(untaught[cold], material[cold])
    )


def _centred(rows: np.ndarray) -> np.ndarray:
    return unit(rows - rows.mean(axis=0))


def _pairs_within(label: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(2)
    return np.array([rng.choice(np.flatnonzero(label == rng.choice(label)), 2, replace=False) for _ in range(1500)])


def test_before_training_each_modality_has_almost_the_cosines_of_its_encoder(
    shop: tuple[ItemFeatures, np.ndarray, np.ndarray],
) -> None:
    features, _, _ = shop
    fusion = train_fusion(features, NO_PAIRS, replace(CONFIG, steps=0), device="cpu")
    for vectors, rows in (
        (fusion.picture_query(features.image_NI), features.image_NI),
        (fusion.text_query(features.text_NT), features.text_NT),
    ):
        centred = _centred(rows)
        # The vector of the missing modality, small but not zero, is in all of them.
        np.testing.assert_allclose(vectors @ vectors.T, centred @ centred.T, atol=0.05)


def test_the_modality_that_ranks_pairs_better_weighs_more_before_training(
    shop: tuple[ItemFeatures, np.ndarray, np.ndarray],
) -> None:
    features, colour, material = shop
    still = replace(CONFIG, steps=0)
    seen, said = (
        train_fusion(features, _pairs_within(label), still, device="cpu").fuse(features) for label in (colour, material)
    )
    assert nearest_share(seen, colour) > nearest_share(said, colour)
    assert nearest_share(said, material) > nearest_share(seen, material)


def test_no_modality_loses_by_being_fused_whatever_the_histories_say(
    shop: tuple[ItemFeatures, np.ndarray, np.ndarray],
) -> None:
    features, colour, material = shop
    fusion = train_fusion(features, _pairs_within(colour), CONFIG, device="cpu")
    for vectors, rows, label in (
        (fusion.picture_query(features.image_NI), features.image_NI, colour),
        (fusion.text_query(features.text_NT), features.text_NT, material),
    ):
        assert nearest_share(vectors, label) >= nearest_share(_centred(rows), label) - 0.02


def test_items_with_one_modality_only_land_where_their_kind_is(
    shop: tuple[ItemFeatures, np.ndarray, np.ndarray],
) -> None:
    features, colour, material = shop
    partial = both_missing_something(features)
    fused = train_fusion(partial, NO_PAIRS, CONFIG, device="cpu").fuse(partial)
    whole = partial.has_image_N & partial.has_text_N
    for here, label in ((partial.has_image_N & ~whole, colour), (partial.has_text_N & ~whole, material)):
        best = np.argsort(-(fused[here] @ fused[whole].T), axis=1)[:, :5]
        assert (label[whole][best] == label[here][:, None]).mean() >= 0.7


@pytest.mark.parametrize("count", [0, 1, 2, 3])
@pytest.mark.parametrize("pairs", [NO_PAIRS, np.array([[0, 0]])])
def test_very_few_items_are_enough(count: int, pairs: np.ndarray) -> None:
    if count == 0:
        pairs = NO_PAIRS
    features = random_features(count)
    fusion = train_fusion(features, pairs, replace(CONFIG, steps=3), device="cpu")
    assert np.isfinite(fusion.fuse(features)).all()


@pytest.mark.parametrize("missing", ["pictures", "words", "everything"])
def test_a_catalogue_without_pictures_or_words_is_trained_on_what_it_has(missing: str) -> None:
    features = random_features(50)
    nowhere = np.zeros(50, np.bool_)
    if missing in ("pictures", "everything"):
        features = features._replace(has_image_N=nowhere, image_NI=np.zeros((50, 1), np.float32))
    if missing in ("words", "everything"):
        features = features._replace(has_text_N=nowhere, text_NT=np.zeros_like(features.text_NT))
    fusion = train_fusion(features, np.array([[0, 1], [1, 2]]), replace(CONFIG, steps=10), device="cpu")
    assert np.isfinite(fusion.fuse(features)).all()


@pytest.mark.parametrize(
    ("items", "pairs", "steps"),
    [(0, 0, 0), (1, 1, 0), (12, 18, 100), (400, 0, 157), (300, 1000, 391), (1682, 98_114, 500)],
)
def test_a_small_catalogue_gets_fewer_steps(items: int, pairs: int, steps: int) -> None:
    assert steps_for(FusionConfig(steps=500, passes=100, batch_size=256), items, pairs) == steps


def test_pairs_of_items_that_are_not_there_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="pairs name items 0 to 20; the catalogue has rows 0 to 19"):
        train_fusion(random_features(20), np.array([[0, 20]]), CONFIG, device="cpu")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"prefixes": (128, 64)}, "prefixes must ascend"),
        ({"prefixes": (64, 256)}, "prefixes must ascend"),
        ({"prefixes": (0, 64)}, "prefixes must ascend"),
        ({"dimension": 0, "prefixes": ()}, "dimension is 0"),
        ({"steps": -1}, "steps is -1"),
        ({"batch_size": 1}, "batch_size is 1"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"modality_dropout": 1.5}, "modality_dropout is 1.5"),
    ],
)
def test_a_configuration_that_breaks_a_rule_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        FusionConfig(**values)  # type: ignore[arg-type]


@pytest.mark.gpu
def test_training_on_the_gpu_ends_where_it_ends_on_the_cpu(
    shop: tuple[ItemFeatures, np.ndarray, np.ndarray],
) -> None:
    features, _, _ = shop
    config = replace(CONFIG, steps=20)
    fusions: list[Fusion] = [train_fusion(features, NO_PAIRS, config, device=device) for device in ("cpu", "cuda")]
    cosines = (fusions[0].fuse(features) * fusions[1].fuse(features)).sum(axis=1)
    assert cosines.min() >= 0.999
