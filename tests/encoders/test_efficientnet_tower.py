from __future__ import annotations

import numpy as np
import torch

from mmrec_encoders.efficientnet import EfficientNetEncoder
from mmrec_encoders.efficientnet_tower import EfficientNetTower
from tests.encoders.contracts import drawn


def _tower(dim: int = 8) -> EfficientNetTower:
    torch.manual_seed(0)
    tower = EfficientNetTower(dim, mean=0.5, std=0.25)
    tower.load_published()
    return tower.eval()


def _standardised(count: int, size: int) -> torch.Tensor:
    pictures = [drawn(size, size, (200, 40 + 20 * number, 40), 3) for number in range(count)]
    pixels = np.stack([np.asarray(picture).transpose(2, 0, 1) for picture in pictures])
    return (torch.from_numpy(pixels.copy()).float() / 255.0 - 0.5) / 0.25


def test_it_has_the_features_of_the_published_network() -> None:
    picture = drawn(192, 192, (200, 40, 40), 3)
    expected = EfficientNetEncoder(device="cpu").encode([picture])[0, :1280]
    inputs = (torch.from_numpy(np.asarray(picture).transpose(2, 0, 1)[None].copy()).float() / 255.0 - 0.5) / 0.25
    with torch.inference_mode():
        features = _tower().network(inputs * 0.5)[0].numpy()
    np.testing.assert_allclose(features / np.linalg.norm(features), expected / np.linalg.norm(expected), atol=1e-4)


def test_a_batch_gives_what_its_pictures_give_alone() -> None:
    inputs, tower = _standardised(70, 32), _tower()
    with torch.inference_mode():
        whole = tower(inputs)
        alone = torch.cat([tower(inputs[at : at + 1]) for at in (0, 63, 64, 69)])
    assert whole.shape == (70, 8)
    torch.testing.assert_close(whole[[0, 63, 64, 69]], alone, atol=1e-4, rtol=1e-4)


def test_the_first_stages_and_the_depthwise_kernels_are_frozen_and_the_rest_is_not() -> None:
    tower = _tower()
    tower(_standardised(2, 64)).square().sum().backward()
    trained = {name for name, parameter in tower.named_parameters() if parameter.grad is not None}
    assert "projection.weight" in trained
    assert {"network.blocks.6.0.conv_pw.weight", "network.blocks.6.0.conv_dw.bias"} <= trained
    assert not {"network.conv_stem.weight", "network.blocks.3.2.conv_pw.weight"} & trained
    assert {"network.blocks.4.0.conv_pw.weight", "network.conv_head.weight"} <= trained
    assert "network.blocks.6.0.conv_dw.weight" not in trained


def test_pictures_that_differ_in_colour_alone_get_other_vectors() -> None:
    red, blue = (torch.tensor(shade).view(1, 3, 1, 1).expand(1, 3, 32, 32) for shade in ((1.0, -1, -1), (-1, -1, 1.0)))
    tower = _tower()
    tower.projection.weight.data[:, :1280] = 0.0
    with torch.inference_mode():
        assert float((tower(red) - tower(blue)).norm()) > 0.1
