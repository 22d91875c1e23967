"""The replaced convolutions give the outputs and gradients of those they replace."""

from __future__ import annotations

import copy

import pytest
import torch
from timm.layers.create_conv2d import create_conv2d
from torch import nn

from mmrec_encoders.convolutions import FrozenDepthwise, Pointwise, fast_gradients


@pytest.mark.parametrize(("kernel", "stride", "size"), [(3, 1, 6), (5, 1, 4), (3, 2, 6), (5, 2, 6), (5, 2, 7)])
def test_a_depthwise_convolution_has_the_same_output_and_gradients(kernel: int, stride: int, size: int) -> None:
    torch.manual_seed(0)
    layer: nn.Module = create_conv2d(  # type: ignore[no-untyped-call]
        8, 8, kernel, stride=stride, padding="same", depthwise=True, bias=True
    )
    assert isinstance(layer, nn.Conv2d)
    _assert_same(layer, FrozenDepthwise(copy.deepcopy(layer)), torch.randn(3, 8, size, size), ("bias",))


def test_a_pointwise_convolution_has_the_same_output_and_gradients() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 12, 1)
    _assert_same(layer, Pointwise(copy.deepcopy(layer)), torch.randn(3, 8, 5, 5), ("weight", "bias"))


def test_only_convolutions_with_a_faster_form_are_replaced_and_state_dicts_fit_either() -> None:
    network = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.ReLU6()))
    network.append(nn.Conv2d(4, 2, 1))
    replaced = copy.deepcopy(network)
    fast_gradients(replaced)
    assert [type(layer) for layer in replaced.modules() if not isinstance(layer, nn.Sequential)] == [
        nn.Conv2d,
        FrozenDepthwise,
        nn.ReLU6,
        Pointwise,
    ]
    replaced.load_state_dict(network.state_dict())
    assert list(replaced.state_dict()) == list(network.state_dict())


def _assert_same(layer: nn.Module, replaced: nn.Module, pixels: torch.Tensor, trained: tuple[str, ...]) -> None:
    sides = []
    for module in (layer, replaced):
        inputs = pixels.clone(memory_format=torch.channels_last).requires_grad_()
        outputs = module(inputs)
        (outputs * torch.arange(outputs.numel()).view_as(outputs) / outputs.numel()).sum().backward()
        sides.append([outputs, inputs.grad, *(getattr(module, name).grad for name in trained)])
    for expected, found in zip(*sides, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
