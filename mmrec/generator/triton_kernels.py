"""Fused Triton kernels for the decoder: RMSNorm, rotary positions, SwiGLU gate.

On a GPU these steps are memory-bound, so one pass over an array takes a fifth of the time of PyTorch's five. On a CPU,
in training, and without Triton or its compiler, equivalent PyTorch operations are used. The kernels compute in float32
and round once.
"""

# Axes: B users, T positions, h heads, D width of a head, F width of the feed-forward network, H hidden width

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

HEADS_AT_ONCE, COLUMNS_AT_ONCE, MOST_WIDE = 8, 1024, 8192


if triton is not None:

    @triton.jit  # type: ignore[untyped-decorator, unused-ignore]
    def _rotate_kernel(  # type: ignore[no-untyped-def]
        rows, cosines, sines, positions, heads, HALF: tl.constexpr, HEADS: tl.constexpr
    ):
        row = tl.program_id(0).to(tl.int64)
        head = tl.program_id(1) * HEADS + tl.arange(0, HEADS)[:, None]
        place = tl.arange(0, HALF)[None, :]
        inside = (head < heads) & (place < HALF)
        at = rows + (row * heads + head) * 2 * HALF + place
        low = tl.load(at, inside, 0.0).to(tl.float32)
        high = tl.load(at + HALF, inside, 0.0).to(tl.float32)
        angle = (row % positions) * 2 * HALF + place
        cos_low, cos_high = tl.load(cosines + angle).to(tl.float32), tl.load(cosines + angle + HALF).to(tl.float32)
        sin_low, sin_high = tl.load(sines + angle).to(tl.float32), tl.load(sines + angle + HALF).to(tl.float32)
        tl.store(at, low * cos_low + high * sin_low, inside)
        tl.store(at + HALF, high * cos_high + low * sin_high, inside)

    @triton.jit  # type: ignore[untyped-decorator, unused-ignore]
    def _gated_kernel(gates, ups, found, count, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
        place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        inside = place < count
        gate = tl.load(gates + place, inside, 0.0).to(tl.float32)
        up = tl.load(ups + place, inside, 0.0).to(tl.float32)
        tl.store(found + place, gate * tl.sigmoid(gate) * up, inside)

    @triton.jit  # type: ignore[untyped-decorator, unused-ignore]
    def _norm_kernel(rows, scale, found, width, eps, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
        row = tl.program_id(0).to(tl.int64)
        column = tl.arange(0, BLOCK)
        inside = column < width
        x = tl.load(rows + row * width + column, inside, 0.0).to(tl.float32)
        size = tl.rsqrt(tl.sum(x * x, 0) / width + eps)
        tl.store(found + row * width + column, x * size * tl.load(scale + column, inside, 0.0).to(tl.float32), inside)


def rotate(x_BThD: Tensor, cos_T1D: Tensor, sin_T1D: Tensor) -> Tensor:
    """Rotary positions of queries or keys; `x_BThD` may be overwritten. Shape: (B, T, h, D).

    Args:
        x_BThD: Shape: (B, T, h, D).
        cos_T1D: Cosine of each position and frequency. Shape: (T, 1, D).
        sin_T1D: Sines likewise, those of the first half negated.
    """
    _, positions, heads, width = x_BThD.shape
    if width & (width - 1) or not _runs(x_BThD):
        # roll swaps the halves of a head; the sign is in the sines.
        return x_BThD * cos_T1D + x_BThD.roll(width // 2, -1) * sin_T1D
    grid = (x_BThD.numel() // (heads * width), -(-heads // HEADS_AT_ONCE))
    _rotate_kernel[grid](x_BThD, cos_T1D, sin_T1D, positions, heads, HALF=width // 2, HEADS=HEADS_AT_ONCE)
    return x_BThD


def gated(gate: Tensor, up: Tensor) -> Tensor:
    """``silu(gate) * up``. Shape of all: (..., F)."""
    if not _runs(gate):
        return F.silu(gate) * up
    found, count = torch.empty_like(gate), gate.numel()
    _gated_kernel[(-(-count // COLUMNS_AT_ONCE),)](gate, up, found, count, BLOCK=COLUMNS_AT_ONCE)
    return found


def rms_norm(x: Tensor, scale_H: Tensor, eps: float) -> Tensor:
    """As `F.rms_norm` over the last axis. Shape: (..., H)."""
    width = x.shape[-1]
    if width > MOST_WIDE or not _runs(x):
        return F.rms_norm(x, (width,), scale_H, eps)
    found = torch.empty_like(x)
    block = 1 << (width - 1).bit_length()
    _norm_kernel[(x.numel() // width,)](x, scale_H, found, width, eps, BLOCK=block)
    return found


def _runs(x: Tensor) -> bool:
    """Whether the kernels can process an array."""
    if not x.is_cuda or torch.is_grad_enabled() or torch.is_autocast_enabled("cuda") or not x.is_contiguous():
        return False
    # Triton computes on the current GPU, wherever its arguments are.
    return triton is not None and x.device.index == torch.cuda.current_device() and available(x.device, x.dtype)


@functools.cache
def available(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the kernels agree with PyTorch on a small example; a driver or compiler may not fit."""
    if triton is None or device.type != "cuda":
        return False
    draw = torch.Generator(device).manual_seed(0)

    def some(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw, device=device).to(dtype)

    inputs = ((some(2, 3, 3, 8), some(3, 1, 8), some(3, 1, 8)), (some(6, 24), some(6, 24)), (some(6, 24), some(24)))
    wide = [[part.float() for part in parts] for parts in inputs]
    try:
        (x, cos, sin), (gate, up), (row, scale) = inputs
        found = [torch.empty_like(x).copy_(x), torch.empty_like(gate), torch.empty_like(row)]
        _rotate_kernel[(6, 1)](found[0], cos, sin, 3, 3, HALF=4, HEADS=HEADS_AT_ONCE)
        _gated_kernel[(1,)](gate, up, found[1], gate.numel(), BLOCK=COLUMNS_AT_ONCE)
        _norm_kernel[(6,)](row, scale, found[2], 24, 1e-6, BLOCK=32)
    except Exception:  # A missing compiler or driver can raise anything; PyTorch's kernels are the fallback.
        return False
    expected = [
        wide[0][0] * wide[0][1] + wide[0][0].roll(4, -1) * wide[0][2],
        F.silu(wide[1][0]) * wide[1][1],
        F.rms_norm(wide[2][0], (24,), wide[2][1], 1e-6),
    ]
    return all(
        torch.allclose(one.float(), right, rtol=0.02, atol=0.02) for one, right in zip(found, expected, strict=True)
    )
