"""Kernels for a GPU against PyTorch's own, and the layers that use them against the model's."""

import pytest
import torch
import torch.nn.functional as F

from mmrec.generator import triton_kernels as fused
from mmrec.generator.lean import Lean
from tests.generator.test_lean import model_of, own

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.03}


def test_there_are_no_kernels_for_a_cpu() -> None:
    assert not fused.available(torch.device("cpu"), torch.float32, 8, 32)


@pytest.mark.gpu
def test_kernels_run_where_their_compiler_does() -> None:
    device = torch.device("cuda", 0)
    assert not fused.available(device, torch.float32, 24, 32)
    assert not fused.available(device, torch.float32, 32, 10_000)
    if fused.triton is not None:
        assert fused.available(device, torch.bfloat16, 128, 2048)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("wide", [1, 24, 1000, 6144])
def test_norms_and_gates_are_those_of_pytorch(dtype: torch.dtype, wide: int) -> None:
    device = torch.device("cuda", 0)
    if not fused.available(device, dtype, 8, wide):
        pytest.skip("Triton does not run here")
    x, scale, both = (torch.randn(*shape, device=device).to(dtype) for shape in ((5, wide), (wide,), (5, 2 * wide)))
    atol = TOLERANCE[dtype]
    normed = F.rms_norm(x.float(), (wide,), scale.float(), 1e-6)
    assert torch.allclose(fused.rms_norm(x, scale, 1e-6).float(), normed, atol=atol, rtol=atol)
    gate, up = both.float().chunk(2, 1)
    assert torch.allclose(fused.gated(both).float(), F.silu(gate) * up, atol=atol, rtol=atol)


@pytest.mark.gpu
@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen3"])
@pytest.mark.parametrize("key_heads", [4, 2, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_states_are_those_of_the_model_on_a_gpu(architecture: str, key_heads: int, dtype: torch.dtype) -> None:
    model = model_of(architecture, num_key_value_heads=key_heads).cuda()
    lean = Lean.of(model, dtype)
    assert lean is not None
    for batch, places in ((1, 1), (1, 7), (3, 33)):
        inputs = torch.randn(batch, places, 32, device="cuda")
        with torch.inference_mode():
            found, kept = lean.states(inputs.to(dtype)), inputs.clone()
        assert found.dtype == dtype
        assert torch.equal(inputs, kept)
        wanted = own(model, inputs)
        # Rounding of this model's large weights grows from layer to layer: compare as a whole.
        error = (found.float() - wanted).norm() / wanted.norm()
        assert error < (1e-4 if dtype == torch.float32 else 0.1)
