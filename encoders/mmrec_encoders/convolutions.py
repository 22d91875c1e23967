"""Convolutions of a network that is fine-tuned, in the form whose gradients are fastest on a CPU.

The names and shapes of their weights are those of ``torch.nn.Conv2d``, so that state dicts fit either. Knows nothing
about which network they are part of.
"""

# Axes: B pictures, C channels, D channels that come out, H height, W width

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


def fast_gradients(module: nn.Module) -> None:
    """Replace the convolutions below `module` that have a faster form: 1x1, and depthwise, which freezes the kernel."""
    for name, layer in module.named_children():
        if isinstance(layer, nn.ReLU6):
            # In place on the view that a matrix product gives, autograd would copy every gradient twice.
            layer.inplace = False
        elif not isinstance(layer, nn.Conv2d):
            fast_gradients(layer)
        elif layer.groups > 1:
            setattr(module, name, FrozenDepthwise(layer))
        elif layer.kernel_size == (1, 1):
            setattr(module, name, Pointwise(layer))


class Pointwise(nn.Module):
    """A 1x1 convolution as one matrix product over all pixels, on tensors in channels-last layout.

    Args:
        layer: A convolution with a bias, whose parameters are taken.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, inputs_BCHW: torch.Tensor) -> torch.Tensor:
        """Shape: (B, C, H, W) to (B, D, H, W)."""
        rows_BHWD = F.linear(inputs_BCHW.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias)
        return rows_BHWD.permute(0, 3, 1, 2)


class FrozenDepthwise(nn.Module):
    """A depthwise convolution whose kernel gets no gradient; its bias and its input do.

    Args:
        layer: A square depthwise convolution with a bias, whose parameters are taken. Without padding of its own and
            with a stride, it pads as TensorFlow does.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        assert layer.bias is not None, "only convolutions with a bias"
        self.weight, self.bias = layer.weight.requires_grad_(False), layer.bias
        self._stride, self._padding = layer.stride[0], int(layer.padding[0])

    def forward(self, inputs_BCHW: torch.Tensor) -> torch.Tensor:
        """Shape: (B, C, H, W) to (B, C, H / stride, W / stride), rounded up."""
        if not self._padding:
            from timm.layers.padding import pad_same

            inputs_BCHW = pad_same(inputs_BCHW, list(self.weight.shape[2:]), [self._stride] * 2)
        # Not cast to the type of the inputs by autocast, which is over when the gradients are computed.
        weight, bias = (value.to(inputs_BCHW.dtype) for value in (self.weight, self.bias))
        found: torch.Tensor = _Depthwise.apply(inputs_BCHW, weight, bias, self._stride, self._padding)
        return found


class _Depthwise(torch.autograd.Function):
    """The gradient of the input as a forward convolution with the mirrored kernel.

    oneDNN computes the backward pass of a depthwise convolution tens of times slower than its forward pass.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs_BCHW: torch.Tensor,
        weight_C1KK: torch.Tensor,
        bias_C: torch.Tensor,
        stride: int,
        padding: int,
    ) -> torch.Tensor:
        ctx.save_for_backward(weight_C1KK)
        ctx.stride, ctx.padding, ctx.size = stride, padding, inputs_BCHW.shape[2:]
        return F.conv2d(inputs_BCHW, weight_C1KK, bias_C, stride, padding, groups=len(weight_C1KK))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (weight_C1KK,), grad_BCHW = ctx.saved_tensors, grads[0]
        bias_C = grad_BCHW.sum(dim=(0, 2, 3))
        reach = weight_C1KK.shape[2] - 1
        if ctx.stride > 1:
            # As if every position had been computed, and those that the stride leaves out did not matter.
            height, width = (side + 2 * ctx.padding - reach for side in ctx.size)
            spread_BCHW = grad_BCHW.new_zeros(*grad_BCHW.shape[:2], height, width)
            spread_BCHW = spread_BCHW.contiguous(memory_format=torch.channels_last)
            spread_BCHW[:, :, :: ctx.stride, :: ctx.stride] = grad_BCHW
            grad_BCHW = spread_BCHW
        mirrored_C1KK = weight_C1KK.flip(2, 3)
        inputs_BCHW = F.conv2d(grad_BCHW, mirrored_C1KK, padding=reach - ctx.padding, groups=len(weight_C1KK))
        return inputs_BCHW, None, bias_C, None, None
