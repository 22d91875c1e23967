from __future__ import annotations

import pytest
import torch
from torch import nn

from mmrec_encoders.cpu_speed import OneDnnLinear, speed_up_linears


class Doubling(nn.Linear):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(input)


def model(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 24), nn.GELU(), nn.Linear(24, 8, bias=False), Doubling(8, 4)).to(dtype)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("shape", [(16,), (3, 16), (2, 5, 16), (0, 16)])
def test_the_same_numbers_come_out(dtype: torch.dtype, atol: float, shape: tuple[int, ...]) -> None:
    plain, fast = model(dtype), model(dtype)
    assert speed_up_linears(fast) == 2
    assert [type(layer) for layer in fast] == [OneDnnLinear, nn.Identity, OneDnnLinear, Doubling]
    assert list(fast.state_dict()) == list(plain.state_dict())
    rows = torch.randn(*shape).to(dtype)
    with torch.inference_mode():
        torch.testing.assert_close(fast(rows), plain(rows), atol=atol, rtol=atol)


def test_gradients_still_flow() -> None:
    plain, fast = model(), model()
    speed_up_linears(fast)
    rows = torch.randn(3, 16)
    for one in (plain, fast):
        one(rows).sum().backward()
    torch.testing.assert_close(fast[0].weight.grad, plain[0].weight.grad)


@pytest.mark.parametrize("activation", [nn.GELU(approximate="tanh"), nn.ReLU()])
def test_other_activations_stay_where_they_are(activation: nn.Module) -> None:
    plain, fast = (nn.Sequential(model()[0], activation) for _ in range(2))
    assert speed_up_linears(fast) == 1
    assert fast[1] is activation
    with torch.inference_mode():
        torch.testing.assert_close(fast(torch.ones(2, 16)), plain(torch.ones(2, 16)), atol=1e-5, rtol=1e-5)


def test_nothing_is_changed_where_the_kernel_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmrec_encoders.cpu_speed._works", lambda: False)
    untouched = model()
    assert speed_up_linears(untouched) == 0
    assert type(untouched[0]) is nn.Linear
