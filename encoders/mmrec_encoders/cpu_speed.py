"""Faster layers on a CPU, for models that are only run and not trained.

torch multiplies float32 matrices with MKL, which leaves half of an AMD processor's width unused, and keeps
oneDNN, which uses all of it, for narrower formats. The kernel is torch's own (its compiler emits it) but has no
public name, so it is tried on a small example first, and nothing is changed where it is missing or differs.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn


class OneDnnLinear(nn.Linear):
    """A linear layer that oneDNN runs wherever no gradient is wanted.

    Attributes:
        gelu: Whether the activation that followed it is now done in the same pass over the numbers.
    """

    gelu: bool = False

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """What `torch.nn.Linear` (and the activation) gives, up to rounding. Shape: (..., in) to (..., out)."""
        if torch.is_grad_enabled() or input.dtype != self.weight.dtype or not input.numel():
            found = F.linear(input, self.weight, self.bias)
            return F.gelu(found) if self.gelu else found
        return _multiply(input, self.weight, self.bias, gelu=self.gelu)


def speed_up_linears(model: nn.Module) -> int:
    """Let the linear layers of a model on the CPU be `OneDnnLinear`; weights and their names stay.

    Returns:
        Layers changed: 0 where the kernel is missing.
    """
    if not _works():
        return 0
    # Exactly this class: a subclass may mean something else by its forward.
    layers = [layer for layer in model.modules() if type(layer) is nn.Linear and layer.weight.device.type == "cpu"]
    for layer in layers:
        layer.__class__ = OneDnnLinear
    for parent in list(model.modules()):
        _fuse_gelu(parent)
    return len(layers)


def _fuse_gelu(parent: nn.Module) -> None:
    """Hand the activation behind a layer to the layer, in the two ways that models write it down."""
    if isinstance(parent, nn.Sequential):
        for place, (layer, activation) in enumerate(list(pairwise(parent))):
            if _takes_over(layer, activation):
                parent[place + 1] = nn.Identity()
    elif _takes_over(getattr(parent, "dense", None), getattr(parent, "intermediate_act_fn", None)):
        parent.intermediate_act_fn = nn.Identity()


def _takes_over(layer: object, activation: object) -> bool:
    """Whether the layer can do the activation, and does from now on."""
    if not isinstance(layer, OneDnnLinear) or not _is_gelu(activation):
        return False
    layer.gelu = True
    return True


def _is_gelu(activation: object) -> bool:
    """The exact one; its approximations are other functions."""
    if isinstance(activation, nn.GELU):
        return activation.approximate == "none"
    return type(activation).__name__ == "GELUActivation" and getattr(activation, "act", None) is F.gelu


def _multiply(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, *, gelu: bool) -> torch.Tensor:
    then, variant = ("gelu", "none") if gelu else ("none", "")
    result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, then, [], variant)
    return result


def _works() -> bool:
    """Whether the kernel is there and computes what it should."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    rows = torch.arange(2 * 3 * 8, dtype=torch.float32).view(2, 3, 8).sin()
    weight, bias = torch.arange(40, dtype=torch.float32).view(5, 8).cos(), torch.ones(5)
    try:
        with torch.inference_mode():
            expected = F.linear(rows, weight, bias)
            return torch.allclose(_multiply(rows, weight, bias, gelu=False), expected, atol=1e-5) and torch.allclose(
                _multiply(rows, weight, bias, gelu=True), F.gelu(expected), atol=1e-5
            )
    except (RuntimeError, AttributeError, TypeError):
        return False
