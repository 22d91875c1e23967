"""What a SigLIP 2 configuration asks for: squashed pictures, its own mean and deviation, cleaned and padded texts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from mmrec_encoders.clip_texts import ClipTextEncoder
from mmrec_encoders.open_clip_images import OpenClipImageEncoder
from mmrec_encoders.open_clip_models import OpenClipConfig, published_preprocessing
from mmrec_encoders.preparation import ClipPreparation
from tests.encoders.contracts import drawn
from tests.encoders.models import VIT, byte_tokenizer

PREPROCESSING = {
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "interpolation": "bicubic",
    "resize_mode": "squash",
}
TEXT = {
    "context_length": 64,
    "vocab_size": 400,
    "hf_tokenizer_name": "beside",
    "tokenizer_kwargs": {"clean": "canonicalize"},
    "no_causal_mask": True,
    "proj_bias": True,
    "pool_type": "last",
}
TEXTS = ["A RED, mug!", "a green cushion with dots " * 30, "", "x"]
PICTURES = [drawn(60, 30, (200, 40, 40), 1), drawn(33, 71, (40, 180, 60), 2)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("siglip")
    byte_tokenizer(folder, end="</s>", pad="<pad>")
    config = {**VIT, "init_logit_bias": -10, "text_cfg": {**VIT["text_cfg"], **TEXT}}
    torch.manual_seed(0)
    save_file(open_clip.CustomTextCLIP(**config).state_dict(), folder / "open_clip_model.safetensors")
    described = {"model_cfg": {**config, "custom_text": True}, "preprocess_cfg": PREPROCESSING}
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    return folder


def test_pictures_are_squashed_and_standardised_as_the_configuration_says(folder: Path) -> None:
    encoder = OpenClipImageEncoder(OpenClipConfig(f"local-dir:{folder}", device="cpu", dtype="float32"))
    half = (0.5, 0.5, 0.5)
    assert encoder.preparation == ClipPreparation(32, 32, "squash", "bicubic", 0, half, half)
    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    with torch.no_grad():
        expected = model.eval().encode_image(torch.stack([transform(one) for one in PICTURES]), normalize=True)
    np.testing.assert_allclose(encoder.encode(PICTURES), expected.numpy(), atol=2e-6)


def test_texts_are_cleaned_cut_and_padded_to_the_context_length(folder: Path) -> None:
    encoder = ClipTextEncoder(OpenClipConfig(f"local-dir:{folder}", device="cpu", dtype="float32"))
    model = open_clip.create_model_from_pretrained(f"local-dir:{folder}", return_transform=False).eval()
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(TEXTS)
    assert tokens.shape == (4, 64)
    with torch.no_grad():
        expected = model.encode_text(tokens, normalize=True).numpy()
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=2e-6)
    np.testing.assert_allclose(encoder.encode(["a red mug"]), encoder.encode(TEXTS[:1]), atol=2e-6)


def test_a_built_in_model_from_a_weights_file_is_given_pictures_as_its_published_weights_are() -> None:
    squashed = published_preprocessing("ViT-B-16-SigLIP2")
    assert (squashed["image_resize_mode"], squashed["image_mean"]) == ("squash", (0.5, 0.5, 0.5))
    plain = published_preprocessing("MobileCLIP-S1")
    assert (plain["image_interpolation"], plain["image_std"]) == ("bilinear", (1.0, 1.0, 1.0))
    assert published_preprocessing("a model that nobody published") == {}
