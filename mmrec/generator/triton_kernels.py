"""Steps between the products of an LLM's layer, each as one kernel of a GPU: norms, rotary positions, gates.

Works on rows; knows nothing about models. On a GPU these steps are bound by memory: what PyTorch does in five passes
over an array takes five times as long as in one. The kernels are in Triton, which builds of PyTorch for GPUs bring
along; where it or a compiler is missing, `available` says so. Numbers are float32 inside and rounded once.
"""

# Axes: R rows (customers x places), T places, A attention heads of queries and keys together, D width of a head, F
# width of the feed-forward network, H hidden width, J joined outputs

from __future__ import annotations

import functools
from typing import Any

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
    def _turn_kernel(  # type: ignore[no-untyped-def]
        rows,
        scales,
        cosines,
        sines,
        row_size,
        places,
        heads,
        eps,
        HALF: tl.constexpr,
        NORM: tl.constexpr,
        H: tl.constexpr,
    ):
        row = tl.program_id(0).to(tl.int64)
        head = tl.program_id(1) * H + tl.arange(0, H)[:, None]
        place = tl.arange(0, HALF)[None, :]
        inside = (head < heads) & (place < HALF)
        at = rows + row * row_size + head * 2 * HALF + place
        low = tl.load(at, inside, 0.0).to(tl.float32)
        high = tl.load(at + HALF, inside, 0.0).to(tl.float32)
        if NORM:
            squares = tl.sum(low * low, 1) + tl.sum(high * high, 1)
            size = tl.rsqrt(squares / (2 * HALF) + eps)[:, None]
            scale = scales + head * 2 * HALF + place
            low = low * size * tl.load(scale, inside, 0.0).to(tl.float32)
            high = high * size * tl.load(scale + HALF, inside, 0.0).to(tl.float32)
        turn = (row % places) * 2 * HALF + place
        cos_low, cos_high = tl.load(cosines + turn).to(tl.float32), tl.load(cosines + turn + HALF).to(tl.float32)
        sin_low, sin_high = tl.load(sines + turn).to(tl.float32), tl.load(sines + turn + HALF).to(tl.float32)
        tl.store(at, low * cos_low + high * sin_low, inside)
        tl.store(at + HALF, high * cos_high + low * sin_high, inside)

    @triton.jit  # type: ignore[untyped-decorator, unused-ignore]
    def _gated_kernel(both, found, width, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
        row = tl.program_id(0).to(tl.int64)
        column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
        inside = column < width
        gate = tl.load(both + row * 2 * width + column, inside, 0.0).to(tl.float32)
        up = tl.load(both + row * 2 * width + width + column, inside, 0.0).to(tl.float32)
        tl.store(found + row * width + column, gate * tl.sigmoid(gate) * up, inside)

    @triton.jit  # type: ignore[untyped-decorator, unused-ignore]
    def _norm_kernel(rows, scale, found, width, eps, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
        row = tl.program_id(0).to(tl.int64)
        column = tl.arange(0, BLOCK)
        inside = column < width
        x = tl.load(rows + row * width + column, inside, 0.0).to(tl.float32)
        size = tl.rsqrt(tl.sum(x * x, 0) / width + eps)
        tl.store(found + row * width + column, x * size * tl.load(scale + column, inside, 0.0).to(tl.float32), inside)


def turn_(qkv_RJ: Tensor, scale_AD: Tensor | None, turn: tuple[Tensor, Tensor], heads: int, eps: float) -> None:
    """Norm and turn the queries and keys that stand first in each row, in place.

    Args:
        qkv_RJ: Contiguous; rows of one customer follow each other. Shape: (customers x T, J).
        scale_AD: Of the norms; None for no norm. Shape: (A, D), contiguous.
        turn: Cosines and signed sines of rotary positions. Shape of each: (T, 1, D), contiguous.
        heads: A.
        eps: Of the norms.
    """
    places, _, width = turn[0].shape
    grid = (len(qkv_RJ), -(-heads // HEADS_AT_ONCE))
    _turn_kernel[grid](
        qkv_RJ,
        turn[0] if scale_AD is None else scale_AD,
        *turn,
        qkv_RJ.shape[1],
        places,
        heads,
        eps,
        HALF=width // 2,
        NORM=scale_AD is not None,
        H=HEADS_AT_ONCE,
    )


def gated(both_R2F: Tensor) -> Tensor:
    """``silu(gate) * up`` of the two halves of each row, contiguous. Shape: (R, F)."""
    rows, width = both_R2F.shape[0], both_R2F.shape[1] // 2
    found_RF = both_R2F.new_empty(rows, width)
    _gated_kernel[(rows, -(-width // COLUMNS_AT_ONCE))](both_R2F, found_RF, width, BLOCK=COLUMNS_AT_ONCE)
    return found_RF


def rms_norm(x_RH: Tensor, scale_H: Tensor, eps: float) -> Tensor:
    """As `F.rms_norm` over the last dimension; `x_RH` is contiguous. Shape: (R, H)."""
    found_RH = torch.empty_like(x_RH)
    width = x_RH.shape[1]
    _norm_kernel[(len(x_RH),)](x_RH, scale_H, found_RH, width, eps, BLOCK=1 << (width - 1).bit_length())
    return found_RH


def available(device: torch.device, dtype: torch.dtype, head: int, hidden: int) -> bool:
    """Whether these kernels run on a device for heads and states so wide."""
    if triton is None or device.type != "cuda" or head < 2 or head & (head - 1) or hidden > MOST_WIDE:
        return False
    # Triton computes on the current GPU, wherever its arguments are.
    return device.index in (None, torch.cuda.current_device()) and _work(device, dtype, head)


@functools.cache
def _work(device: torch.device, dtype: torch.dtype, head: int) -> bool:
    """Whether they give what PyTorch gives, on a small example: a driver, a compiler or a version may not fit."""
    draw = torch.Generator(device).manual_seed(0)

    def some(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw, device=device).to(dtype)

    x_RH, scale_H, both_RJ, scale_AD = some(6, 24), some(24), some(6, 5 * head), some(3, head)
    turn = some(3, 1, head), some(3, 1, head)
    try:
        qkv_RJ = both_RJ.clone()
        turn_(qkv_RJ, scale_AD, turn, 3, 1e-6)
        pairs: list[tuple[Any, Any]] = [
            (rms_norm(x_RH, scale_H, 1e-6), F.rms_norm(x_RH.float(), (24,), scale_H.float(), 1e-6)),
            (gated(x_RH), F.silu(x_RH[:, :12].float()) * x_RH[:, 12:].float()),
            (qkv_RJ[:, 3 * head :], both_RJ[:, 3 * head :].float()),
        ]
        heads_RAD = both_RJ[:, : 3 * head].float().view(2, 3, 3, head)
        heads_RAD = F.rms_norm(heads_RAD, (head,), None, 1e-6) * scale_AD.float()
        turned = heads_RAD * turn[0].float() + heads_RAD.roll(head // 2, -1) * turn[1].float()
        pairs.append((qkv_RJ[:, : 3 * head], turned.view(6, -1)))
        return all(torch.allclose(found.float(), right, rtol=0.02, atol=0.02) for found, right in pairs)
    except Exception:  # Whatever a missing compiler or driver raises: PyTorch's own kernels do the same.
        return False
