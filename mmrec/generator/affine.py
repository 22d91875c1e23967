"""Affine layers where nothing is trained: what `F.linear` gives, to float rounding, by the faster library of a CPU.

Works on one product; knows nothing about models. PyTorch multiplies float32 matrices by MKL, which keeps to 256-bit
instructions on processors that are not Intel's; oneDNN, which the same builds of PyTorch hold, uses the 512-bit ones of
AMD's (Zen 4 and later) and is twice as fast there. On Intel's processors the two are equal, and MKL starts sooner.
"""

# Axes: R rows, I in, O out

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_PRODUCTS = 1 << 20
"""Multiplications below which oneDNN's longer way in costs more than it saves."""


def affine(x: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None, *, gelu: bool = False) -> Tensor:
    """``x @ weight.T + bias``, and GELU of it if that is wanted.

    Args:
        x: Shape: (..., I).
        weight_OI: Shape: (O, I).
        bias_O: Shape: (O,).
        gelu: Whether GELU follows.

    Returns:
        Shape: (..., O).
    """
    product = _onednn()
    if product is not None and x.numel() * len(weight_OI) >= LEAST_PRODUCTS and _is_plain(x):
        found: Tensor = product(x, weight_OI, bias_O, "gelu" if gelu else "none", [], "none" if gelu else "")
        return found
    y = F.linear(x, weight_OI, bias_O)
    return F.gelu(y) if gelu else y


def even_rows(rows: int) -> int:
    """So many rows or a few more, one of sixteen sizes per power of two.

    oneDNN makes its code anew for every shape, which takes longer than a small product, and keeps that of the last
    thousand or so: sizes that vary from request to request should be few.
    """
    step = 1 << max(0, rows.bit_length() - 5)
    return -(-rows // step) * step


def _is_plain(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
    )


@functools.cache
def _onednn() -> Any:
    """The product by oneDNN, as compiled models call it; None where MKL's is as good or either is missing.

    It has no public name, so it is tried on a small example first.
    """
    if not (torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()):  # type: ignore[no-untyped-call]
        return None
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or _vendor() != "AuthenticAMD":
        return None
    product = getattr(getattr(torch.ops.mkldnn, "_linear_pointwise", None), "default", None)
    return product if product is not None and _works(product) else None


def _works(product: Any) -> bool:
    x_RI = torch.arange(24, dtype=torch.float32).view(3, 8).sin()
    weight_OI, bias_O = torch.arange(40, dtype=torch.float32).view(5, 8).cos(), torch.ones(5)
    try:
        with torch.inference_mode():
            expected_RO = F.linear(x_RI, weight_OI, bias_O)
            return torch.allclose(product(x_RI, weight_OI, bias_O, "none", [], ""), expected_RO, atol=1e-5) and (
                torch.allclose(product(x_RI, weight_OI, bias_O, "gelu", [], "none"), F.gelu(expected_RO), atol=1e-5)
            )
    except (RuntimeError, TypeError):
        return False


def _vendor() -> str:
    """Of the processor, as it calls itself; empty where that is not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")), "")
