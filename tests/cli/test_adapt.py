"""`mmrec adapt`, as a person calls it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mmrec.data.dataset import read_dataset
from mmrec_encoders.aligned import AlignedPictures, AlignedTexts
from mmrec_encoders.fusion_training import FusionConfig, train_fusion
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.item_encoder_files import load_item_encoder, save_item_encoder
from mmrec_encoders.presets import build_encoders
from tests.commands import status_of
from tests.encoders.encoding import encode_query, features_of
from tests.encoders.finetuning.tiny import write_colour_shop
from tests.encoders.models import bert_folder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colour_shop(tmp_path_factory.mktemp("adapt") / "shop")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bert_folder(tmp_path_factory.mktemp("adapt") / "bert")


def test_a_small_clip_from_scratch_is_adapted_told_of_and_used(
    shop: Path, bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "adapted"
    common = ("adapt", shop, "--out", out, "--mode", "small", "--text-model", bert, "--epochs", 1, "--batch-size", 20)
    common = (*common, "--device", "cpu")
    assert status_of(*common, "--labels", "colour,shape") == 0
    shown = capsys.readouterr()
    assert "Retrieval on held-out titles" in shown.out
    assert "title to its own picture" in shown.out
    assert "majority class" in shown.out
    assert "item i46: the picture starts like a PNG file" in shown.err
    assert "held-out text to image R@1" in shown.err
    assert f"wrote {out}; use it with: mmrec fit {shop} --out bundle/ --image-model {out}" in shown.err

    # Again: finished, so the same figures come back at once, as JSON and in silence.
    assert status_of(*common, "--labels", "colour", "--labels", "shape", "--json", "--quiet") == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert shown.err == ""
    assert (found["mode"], found["steps"], found["held_titles"]) == ("small", 2, 5)
    assert [label["column"] for label in found["after"]["labels"]] == ["colour", "shape"]

    # Used for a whole catalogue and kept by a bundle.
    encoders = build_encoders("embedded", "cpu", image_model=str(out), text_model=f"clip:{out}")
    assert isinstance(encoders.image, AlignedPictures)
    assert isinstance(encoders.text, AlignedTexts)
    data = read_dataset(shop)
    plain = ItemEncoder(encoders.image, encoders.text)
    features = features_of(plain, data.catalogue, data.pictures)
    assert features.image_NI.shape == features.text_NT.shape == (48, 256)
    assert np.flatnonzero(~features.has_image_N).tolist() == [46]
    assert int(features.has_text_N.sum()) == 47
    fusing = FusionConfig(dimension=32, prefixes=(8, 16), steps=5, batch_size=8)
    fusion = train_fusion(features, np.zeros((0, 2), np.int64), fusing, device="cpu")
    save_item_encoder(plain.with_fusion(fusion), tmp_path / "encoders")
    shutil.rmtree(out)
    loaded = load_item_encoder(tmp_path / "encoders", "cpu")
    picture = (shop / "images" / "3.png").read_bytes()
    np.testing.assert_allclose(
        encode_query(loaded, "a red ball", picture), encode_query(plain.with_fusion(fusion), "a red ball", picture)
    )


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        (("--epochs", 0), 2, "epochs is 0; it must be at least 1"),
        (("--mode", "huge"), 2, "mode is 'huge'; it must be one of efficientnet, small, full, locked-image"),
        (("--mode", "full"), 2, "no image model is named"),
        (("--loss", "l2"), 2, "loss is 'l2'; it must be one of clip, siglip"),
        (("--batch-size", 4096), 2, "4,096 pairs a step, but there are 42 training pairs"),
        (("--labels", "weight"), 2, "labels names 'weight'"),
        (("--learning-rate", 0), 2, "learning_rate is 0.0; it must be over 0"),
        (("--mode", "full", "--image-model", "local-dir:/nowhere/clip"), 4, "cannot be loaded"),
    ],
)
def test_what_cannot_be_done_is_said_and_has_its_exit_status(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[object, ...], status: int, message: str
) -> None:
    assert status_of("adapt", shop, "--out", tmp_path / "out", "--device", "cpu", *flags) == status
    assert message in capsys.readouterr().err


def test_a_dataset_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("adapt", tmp_path / "nowhere", "--out", tmp_path / "out", "--device", "cpu") == 3
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--size", "huge", "--mode", "small"), "size is 'huge'; it must be one of base, large"),
        (
            ("--size", "large", "--mode", "full"),
            "--size is 'large', but only mode small has sizes; drop the flag, or take --mode small",
        ),
    ],
)
def test_a_size_that_is_not_there_is_refused(
    flags: tuple[str, ...], said: str, shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of("adapt", shop, "--out", tmp_path / "out", *flags) == 2
    assert said in capsys.readouterr().err
