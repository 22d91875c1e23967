"""Fine-tuning an open_clip model: what it changes, what it leaves, and that open_clip loads what comes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmrec.data.dataset import read_dataset
from mmrec.errors import ModelNotAvailableError
from mmrec_encoders.clip_texts import ClipTextEncoder
from mmrec_encoders.finetuning import FinetuningConfig, FinetuningReport, finetune_encoders, finetuning_preset
from mmrec_encoders.finetuning.pairs import find_pairs
from mmrec_encoders.open_clip_images import OpenClipImageEncoder
from mmrec_encoders.open_clip_models import open_clip_config
from tests.encoders.finetuning.test_run import StopAfter, StopError
from tests.encoders.models import open_clip_folder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return open_clip_folder(tmp_path_factory.mktemp("clip") / "clip")


def config_for(clip: Path, mode: str, **changes: object) -> FinetuningConfig:
    settings: dict[str, object] = {"epochs": 2, "batch_size": 8, "learning_rate": 3e-3, "device": "cpu"}
    return finetuning_preset(mode, image_model=str(clip), **{"dtype": "float32", **settings, **changes})


@pytest.fixture(scope="module")
def full(colour_shop: Path, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FinetuningReport]:
    out = tmp_path_factory.mktemp("full") / "out"
    return out, finetune_encoders(colour_shop, out, config_for(clip, "full", epochs=8, hold_out=0.2))


@pytest.fixture(scope="module")
def whole(colour_shop: Path, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], FinetuningReport]:
    """Reports of two passes without a break, by mode."""

    @cache
    def trained(mode: str) -> FinetuningReport:
        # A fingerprint begins with the name of its folder.
        return finetune_encoders(colour_shop, tmp_path_factory.mktemp(mode) / "out", config_for(clip, mode))

    return trained


def _fingerprint(folder: Path) -> str:
    return OpenClipImageEncoder(open_clip_config(str(folder), "cpu", "float32")).fingerprint.rpartition("@")[2]


def test_a_fine_tuned_model_is_a_folder_that_open_clip_loads(
    colour_shop: Path, clip: Path, full: tuple[Path, FinetuningReport]
) -> None:
    out, report = full
    assert {"open_clip_config.json", "open_clip_model.safetensors", "adapt.json"} <= {p.name for p in out.iterdir()}
    encoder = OpenClipImageEncoder(open_clip_config(f"local-dir:{out}", "cpu", "float32"))
    assert encoder.fingerprint == report.fingerprints["image"]
    assert encoder.fingerprint.rpartition("@")[2] != _fingerprint(clip)
    # Both towers, loaded again, find what the report says they find.
    texts = ClipTextEncoder(open_clip_config(str(out), "cpu", "float32"))
    assert texts.fingerprint == report.fingerprints["text"]
    pairs = find_pairs(read_dataset(colour_shop), config_for(clip, "full", hold_out=0.2))
    rows = [row for row in pairs.held_rows if pairs.catalogue.item_ids[row] != "i46"]
    pictures = encoder.encode([Image.open(colour_shop / "images" / pairs.catalogue.images[row]) for row in rows])
    scores = texts.encode([pairs.catalogue.titles[row] for row in rows]) @ pictures.T
    ranks = 1 + (scores > scores.diagonal()[:, None]).sum(axis=1)
    assert np.median(ranks) == report.after.text_to_own_image.median_rank
    assert (ranks <= 5).mean() == pytest.approx(report.after.text_to_own_image.recall_5)


def test_fine_tuning_lowers_the_loss(full: tuple[Path, FinetuningReport]) -> None:
    losses = [epoch.loss for epoch in full[1].epochs]
    assert losses[-1] < losses[0] - 0.2


def test_a_locked_image_tower_stays_as_it_is_and_the_words_tower_learns(
    colour_shop: Path, clip: Path, tmp_path: Path
) -> None:
    report = finetune_encoders(colour_shop, tmp_path / "out", config_for(clip, "locked-image", epochs=6))
    assert _fingerprint(tmp_path / "out") == _fingerprint(clip)
    assert report.epochs[-1].loss < report.epochs[0].loss - 0.1


@pytest.mark.parametrize("mode", ["full", "locked-image"])
def test_a_fine_tuning_that_was_stopped_ends_like_one_that_was_not(
    colour_shop: Path, clip: Path, whole: Callable[[str], FinetuningReport], tmp_path: Path, mode: str
) -> None:
    config = config_for(clip, mode, save_minutes=0.0)
    with pytest.raises(StopError):
        finetune_encoders(colour_shop, tmp_path / "out", config, StopAfter(40))
    assert finetune_encoders(colour_shop, tmp_path / "out", config).fingerprints == whole(mode).fingerprints


def test_the_sigmoid_loss_starts_from_a_bias_that_suits_a_model_without_one(
    colour_shop: Path, clip: Path, tmp_path: Path
) -> None:
    report = finetune_encoders(
        colour_shop, tmp_path / "out", config_for(clip, "full", loss="siglip", learning_rate=1e-4)
    )
    # A yes or no about each of eight couples costs log 2 where nothing is known, and several with a bias that is off.
    assert report.epochs[0].loss < 8 * np.log(2)
    described = json.loads((tmp_path / "out" / "open_clip_config.json").read_text())
    assert described["model_cfg"]["init_logit_bias"] == -10.0
    assert _fingerprint(tmp_path / "out") == report.fingerprints["image"].rpartition("@")[2]


def test_an_accumulated_step_is_one_large_step(colour_shop: Path, clip: Path, tmp_path: Path) -> None:
    whole = finetune_encoders(colour_shop, tmp_path / "a", config_for(clip, "locked-image", batch_size=16))
    parts = finetune_encoders(colour_shop, tmp_path / "b", config_for(clip, "locked-image", accumulate=2))
    assert (whole.batch, parts.batch) == (16, 16)
    assert [e.loss for e in parts.epochs] == pytest.approx([e.loss for e in whole.epochs], abs=1e-4)


def test_bfloat16_trains_float32_weights(
    colour_shop: Path, clip: Path, whole: Callable[[str], FinetuningReport], tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    half = finetune_encoders(colour_shop, tmp_path / "half", config_for(clip, "full", dtype="bfloat16"))
    exact = whole("full")
    assert half.fingerprints["image"] != exact.fingerprints["image"]
    assert half.epochs[0].loss == pytest.approx(exact.epochs[0].loss, abs=0.1)
    weights = load_file(tmp_path / "half" / "open_clip_model.safetensors")
    assert {str(value.dtype) for value in weights.values()} == {"torch.float32"}


def test_a_model_that_is_not_there_is_named(colour_shop: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotAvailableError, match="no-such-folder"):
        finetune_encoders(colour_shop, tmp_path / "out", config_for(Path("local-dir:/no-such-folder"), "full"))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_on_a_gpu(colour_shop: Path, clip: Path, tmp_path: Path, dtype: str) -> None:
    report = finetune_encoders(colour_shop, tmp_path / "out", config_for(clip, "full", dtype=dtype, device="cuda"))
    exact = finetune_encoders(colour_shop, tmp_path / "exact", config_for(clip, "full", device="cpu"))
    assert report.epochs[0].loss == pytest.approx(exact.epochs[0].loss, abs=0.1)
