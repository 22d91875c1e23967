"""Kernels for a GPU against PyTorch's own, and a decoder that uses them against the one that does not."""

import copy

import pytest
import torch
import torch.nn.functional as F

from mmrec.generator import triton_kernels as kernels
from tests.generator.test_small_decoder import pair, small_config

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.03}


def test_there_are_no_kernels_for_a_cpu() -> None:
    assert not kernels.available(torch.device("cpu"), torch.float32)


@pytest.mark.gpu
def test_kernels_run_where_their_compiler_does() -> None:
    if kernels.triton is not None:
        assert kernels.available(torch.device("cuda", 0), torch.bfloat16)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("wide", [1, 24, 1000, 6144])
@torch.inference_mode()
def test_norms_and_gates_are_those_of_pytorch(dtype: torch.dtype, wide: int) -> None:
    device = torch.device("cuda", 0)
    x, scale, gate, up = (
        torch.randn(*shape, device=device).to(dtype) for shape in ((5, wide), (wide,), (5, wide), (5, wide))
    )
    atol = TOLERANCE[dtype]
    normed = F.rms_norm(x.float(), (wide,), scale.float(), 1e-6)
    assert torch.allclose(kernels.rms_norm(x, scale, 1e-6).float(), normed, atol=atol, rtol=atol)
    expected = F.silu(gate.float()) * up.float()
    assert torch.allclose(kernels.gated(gate, up).float(), expected, atol=atol, rtol=atol)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("heads", [1, 3, 16])
@torch.inference_mode()
def test_rotary_positions_are_those_of_pytorch(dtype: torch.dtype, heads: int) -> None:
    x, cos, sin = (
        torch.randn(*shape, device="cuda").to(dtype) for shape in ((2, 5, heads, 32), (5, 1, 32), (5, 1, 32))
    )
    expected = x.float() * cos.float() + x.float().roll(16, -1) * sin.float()
    atol = TOLERANCE[dtype]
    assert torch.allclose(kernels.rotate(x, cos, sin).float(), expected, atol=atol, rtol=atol)


@pytest.mark.gpu
@pytest.mark.parametrize("qk_norm", [False, True])
@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_states_are_those_of_a_cpu(qk_norm: bool, kv_heads: int, dtype: torch.dtype) -> None:
    decoder, _ = pair(small_config(qk_norm=qk_norm, kv_heads=kv_heads))
    on_gpu = copy.deepcopy(decoder).to("cuda", dtype)
    for batch, places in ((1, 1), (1, 7), (3, 33)):
        inputs = torch.randn(batch, places, 32)
        given = inputs.to("cuda", dtype)
        with torch.inference_mode():
            found, kept, wanted = on_gpu(given), given.clone(), decoder(inputs)
        assert found.dtype == dtype
        assert torch.equal(given, kept)
        # Rounding of these large weights grows from layer to layer: compare as a whole.
        error = (found.float().cpu() - wanted).norm() / wanted.norm()
        assert error < (1e-4 if dtype == torch.float32 else 0.1)
