import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mmrec.generator.item_softmax import item_softmax
from mmrec.generator.negatives import Drawn, ItemSampler

CPU = torch.device("cpu")


def draw(places: int, items: int, hidden: int = 8, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    made = torch.Generator().manual_seed(places * 1000 + items)
    states = torch.randn(places, hidden, generator=made, dtype=dtype).requires_grad_()
    tokens = torch.randn(items, hidden, generator=made, dtype=dtype).requires_grad_()
    return states, tokens, torch.randint(items, (places,), generator=made)


def plain(states: Tensor, tokens: Tensor, target: Tensor, scale: float, smoothing: float) -> Tensor:
    return F.cross_entropy(scale * states @ tokens.T, target, label_smoothing=smoothing)


@given(
    places=st.integers(1, 20),
    items=st.integers(2, 30),
    chunk=st.integers(0, 8),
    smoothing=st.sampled_from([0.0, 0.1, 0.9]),
    scale=st.sampled_from([1.0, 0.35, 30.0]),
)
def test_value_and_gradients_are_those_of_cross_entropy_whatever_the_chunk(
    places: int, items: int, chunk: int, smoothing: float, scale: float
) -> None:
    states, tokens, target = draw(places, items)
    expected = plain(states, tokens, target, scale, smoothing)
    wanted = torch.autograd.grad(3 * expected, (states, tokens))
    found = item_softmax(states, tokens, target, scale=scale, label_smoothing=smoothing, chunk_places=chunk)
    gradients = torch.autograd.grad(3 * found, (states, tokens))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    for gradient, want in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(gradient, want, rtol=1e-9, atol=1e-9)


def test_scores_too_large_for_exp_are_no_trouble() -> None:
    states, tokens, target = draw(4, 9, dtype=torch.float32)
    loss = item_softmax(states, tokens, target, scale=1e4)
    assert torch.isfinite(loss)
    torch.testing.assert_close(loss, plain(states, tokens, target, 1e4, 0.0))


def test_under_autocast_the_products_are_narrow_and_the_loss_is_float32() -> None:
    states, tokens, target = draw(64, 50, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = item_softmax(states, tokens, target, scale=0.35)
    assert loss.dtype == torch.float32
    exact = plain(states, tokens, target, 0.35, 0.0)
    assert loss.item() != exact.item()
    torch.testing.assert_close(loss, exact, rtol=2e-3, atol=0)
    gradients = torch.autograd.grad(loss, (states, tokens))
    for gradient, want in zip(gradients, torch.autograd.grad(exact, (states, tokens)), strict=True):
        assert gradient.dtype == torch.float32
        assert (gradient - want).norm() < 0.02 * want.norm()


def test_the_scores_of_all_places_never_live_at_once() -> None:
    states, tokens, target = draw(512, 4096, hidden=4, dtype=torch.float32)
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            if isinstance(out, Tensor):
                largest = max(largest, out.numel())
            return out

    with Watch():
        item_softmax(states, tokens, target, chunk_places=32).backward()
    assert largest == 32 * 4096


def test_the_target_among_the_drawn_items_counts_once() -> None:
    states, tokens, target = draw(3, 5)
    everything = Drawn(torch.arange(5), torch.zeros(5, dtype=torch.float64))
    found = item_softmax(states, tokens, target, everything, scale=0.5)
    torch.testing.assert_close(found, plain(states, tokens, target, 0.5, 0.0))


def test_with_many_drawn_items_loss_and_gradients_tend_to_those_of_the_whole_catalogue() -> None:
    states, tokens, target = draw(16, 40)
    sampler = ItemSampler(np.arange(40) ** 2, CPU)
    expected = plain(states, tokens, target, 0.35, 0.1)
    wanted = torch.autograd.grad(expected, (states, tokens))
    errors = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for negatives in (100, 100_000):
            found = item_softmax(states, tokens, target, sampler.draw(negatives), scale=0.35, label_smoothing=0.1)
            gradients = torch.autograd.grad(found, (states, tokens))
            errors.append([float((a - b).norm() / b.norm()) for a, b in zip(gradients, wanted, strict=True)])
    assert found.item() == pytest.approx(expected.item(), abs=0.01)
    assert max(errors[1]) < 0.02
    assert errors[1] < errors[0]


def test_the_sum_over_drawn_items_is_right_on_average() -> None:
    # exp(loss + own score) is the sum of exponentials; its mean over many draws is the whole catalogue's.
    states, tokens, _ = draw(1, 30)
    target = torch.tensor([7])
    sampler = ItemSampler(np.arange(30), CPU)
    scores = (0.5 * states @ tokens.T).detach()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        sums = [
            float((item_softmax(states, tokens, target, sampler.draw(20), scale=0.5) + scores[0, 7]).exp())
            for _ in range(3000)
        ]
    assert np.mean(sums) == pytest.approx(float(scores.exp().sum()), rel=4 * np.std(sums) / np.mean(sums) / 3000**0.5)


def test_items_are_drawn_half_evenly_and_half_by_how_often_they_are_targets() -> None:
    histories = [np.array([0, 1, 1, 1], dtype=np.int32), np.array([3, 2], dtype=np.int32), np.array([], dtype=np.int32)]
    sampler = ItemSampler.of_histories(histories, 4, CPU)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = sampler.draw(40_000)
    shares = np.bincount(drawn.rows_M.numpy(), minlength=4) / 40_000
    # First items of a history are no targets: 0 and 3 are drawn by the even half alone.
    assert shares.tolist() == pytest.approx([0.125, 0.5, 0.25, 0.125], abs=0.01)
    first = drawn.rows_M.tolist().index(1)
    assert float(drawn.log_expected_M[first]) == pytest.approx(float(np.log(20_000)))
