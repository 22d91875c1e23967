from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.errors import BundleError, InvalidArgumentError
from mmrec_encoders.fusion import Fusion, ItemFeatures
from tests.encoders.contracts import assert_cosines, assert_unit_rows


def random_features(count: int, seed: int = 0, image_dim: int = 6, text_dim: int = 10) -> ItemFeatures:
    """Items of which some have a picture only, some words only, and some neither."""
    rng = np.random.default_rng(seed)

    def rows(dim: int, share: float) -> tuple[np.ndarray, np.ndarray]:
        there = rng.random(count) < share
        vectors = rng.normal(size=(count, dim)).astype(np.float32)
        return np.where(there[:, None], vectors / np.linalg.norm(vectors, axis=1, keepdims=True), 0), there

    image, has_image = rows(image_dim, 0.7)
    text, has_text = rows(text_dim, 0.8)
    return ItemFeatures(image.astype(np.float32), has_image, text.astype(np.float32), has_text)


@pytest.fixture
def fusion() -> Fusion:
    torch.manual_seed(0)
    made = Fusion(6, 10, 16, (4, 8))
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made.eval()


def test_every_item_gets_a_unit_vector_and_one_that_has_nothing_a_zero_one(fusion: Fusion) -> None:
    features = random_features(50)
    something_N = features.has_image_N | features.has_text_N
    assert 0 < something_N.sum() < 50
    fused_ND = fusion.fuse(features)
    assert_unit_rows(fused_ND[something_N], int(something_N.sum()), 16)
    assert not fused_ND[~something_N].any()


def test_a_vector_does_not_depend_on_its_neighbours(fusion: Fusion) -> None:
    features = random_features(40)
    whole = fusion.fuse(features)
    singles = [fusion.fuse(ItemFeatures(*(part[i : i + 1] for part in features))) for i in range(40)]
    something_N = features.has_image_N | features.has_text_N
    assert_cosines(whole[something_N], np.concatenate(singles)[something_N], 0.9999)


def test_what_stands_in_a_missing_modalitys_row_does_not_matter(fusion: Fusion) -> None:
    features = random_features(40)
    noise = np.random.default_rng(1).normal(size=features.image_NI.shape).astype(np.float32)
    other = features._replace(image_NI=np.where(features.has_image_N[:, None], features.image_NI, noise))
    np.testing.assert_array_equal(fusion.fuse(features), fusion.fuse(other))


def test_a_query_is_an_item_with_the_other_modality_missing(fusion: Fusion) -> None:
    features = random_features(40)
    words_only = features.has_text_N & ~features.has_image_N
    np.testing.assert_allclose(
        fusion.text_query(features.text_NT[words_only]), fusion.fuse(features)[words_only], atol=1e-6
    )
    picture_only = features.has_image_N & ~features.has_text_N
    np.testing.assert_allclose(
        fusion.picture_query(features.image_NI[picture_only]), fusion.fuse(features)[picture_only], atol=1e-6
    )


def test_no_items_give_no_vectors(fusion: Fusion) -> None:
    assert fusion.fuse(random_features(0)).shape == (0, 16)


@pytest.mark.parametrize(("asked", "length"), [(0, 16), (16, 16), (8, 8), (4, 4)])
def test_a_trained_prefix_is_cut_and_scaled_to_unit_norm(fusion: Fusion, asked: int, length: int) -> None:
    fused = fusion.fuse(random_features(5))
    short = fusion.shorten(fused, asked)
    assert_unit_rows(short, 5, length)
    assert_cosines(short, fused[:, :length] / np.linalg.norm(fused[:, :length], axis=1, keepdims=True), 0.99999)


@pytest.mark.parametrize("asked", [-1, 5, 17])
def test_another_length_is_refused(fusion: Fusion, asked: int) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"dimension is {asked}; it must be 0 \(all\) or one of 4, 8, 16"):
        fusion.shorten(fusion.fuse(random_features(5)), asked)


def test_vectors_of_other_encoders_are_refused(fusion: Fusion) -> None:
    with pytest.raises(InvalidArgumentError, match="lengths 7 and 10; this fusion was trained for 6 and 10"):
        fusion.fuse(random_features(3, image_dim=7))


def test_a_saved_fusion_comes_back_the_same(fusion: Fusion, tmp_path: Path) -> None:
    fusion.save(tmp_path / "fusion.safetensors")
    loaded = Fusion.load(tmp_path / "fusion.safetensors")
    assert (loaded.shape, loaded.fingerprint) == (fusion.shape, fusion.fingerprint)
    features = random_features(20)
    np.testing.assert_array_equal(loaded.fuse(features), fusion.fuse(features))


def test_another_kind_of_file_is_refused(fusion: Fusion, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(3)}, tmp_path / "fusion.safetensors")
    with pytest.raises(BundleError, match="does not hold fusion weights"):
        Fusion.load(tmp_path / "fusion.safetensors")


def test_a_later_format_is_refused_by_its_number(fusion: Fusion, tmp_path: Path) -> None:
    from mmrec_encoders.weights import write_weights

    write_weights(tmp_path / "fusion.safetensors", fusion.state_dict(), {"kind": "fusion", "format": 2})
    with pytest.raises(BundleError, match="has format version 2; this mmrec reads 1"):
        Fusion.load(tmp_path / "fusion.safetensors")


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 10**6), value=st.integers(0, 255), cut=st.integers(0, 400))
def test_a_changed_or_cut_file_is_refused_or_has_another_fingerprint(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: int, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("fusion")
    fusion = Fusion(2, 3, 4)
    fusion.save(folder / "fusion.safetensors")
    data = bytearray((folder / "fusion.safetensors").read_bytes())
    changed = data[at % len(data)] != value or cut > 0
    data[at % len(data)] = value
    (folder / "fusion.safetensors").write_bytes(data[: len(data) - cut])
    try:
        loaded = Fusion.load(folder / "fusion.safetensors")
    except BundleError:
        assert changed
        return
    same = loaded.fingerprint == fusion.fingerprint and loaded.shape == fusion.shape
    # Spaces in the header carry no meaning, and may change without harm.
    assert same or changed


@pytest.mark.gpu
def test_the_gpu_agrees_with_the_cpu(fusion: Fusion, tmp_path: Path) -> None:
    fusion.save(tmp_path / "fusion.safetensors")
    there = Fusion.load(tmp_path / "fusion.safetensors", device=torch.device("cuda"))
    features = random_features(50)
    assert_cosines(there.fuse(features), fusion.fuse(features), 0.999)
