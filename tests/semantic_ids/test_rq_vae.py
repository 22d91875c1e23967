import numpy as np
import pytest
import torch

from mmrec.errors import InvalidArgumentError
from mmrec.semantic_ids.quantizer import QuantizerConfig
from mmrec.semantic_ids.rq_vae import RqVae, RqVaeConfig, fit_rq_vae

SMALL = RqVaeConfig(hidden=(16,), latent=8, steps=80, batch_size=64)


def points(items: int = 300) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(items, 12)).astype(np.float32)


def test_training_brings_the_decoded_paths_closer() -> None:
    data = points()
    errors = []
    for steps in (1, 200):
        model = fit_rq_vae(data, QuantizerConfig(levels=3), RqVaeConfig(hidden=(32,), latent=8, steps=steps), seed=0)
        errors.append(float(((model.decode(model.encode(data)) - data) ** 2).mean()))
    assert errors[1] < 0.7 * errors[0]


def test_gradients_pass_the_quantiser_straight_through() -> None:
    model = RqVae(2, (), torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]))
    latents = torch.tensor([[0.9, 0.2]], requires_grad=True)
    quantised = model.quantise(latents, commitment=0.5)
    assert quantised.codes_BL.tolist() == [[0]]
    assert quantised.sum_BZ.tolist() == [[1.0, 0.0]]
    # 0.1 and 0.2 away from its code: (0.01 + 0.04) / 2, once for the code and half for the latent.
    assert quantised.loss.item() == pytest.approx(0.025 + 0.0125)
    (latents + (quantised.sum_BZ - latents).detach()).sum().backward()
    assert latents.grad is not None
    assert latents.grad.tolist() == [[1.0, 1.0]]


def test_each_level_quantises_what_the_level_before_left_over() -> None:
    model = RqVae(1, (), torch.tensor([[[0.0], [10.0]], [[-1.0], [1.0]]]))
    quantised = model.quantise(torch.tensor([[11.0], [-0.6]]), commitment=1.0)
    assert quantised.codes_BL.tolist() == [[1, 1], [0, 0]]
    assert quantised.sum_BZ.ravel().tolist() == [11.0, -1.0]
    assert quantised.residuals_LBZ.ravel().tolist() == pytest.approx([11.0, -0.6, 1.0, -0.6])


def test_a_code_that_nothing_chose_starts_again_at_a_residual() -> None:
    model = RqVae(1, (), torch.tensor([[[1.0], [50.0], [2.0]]]))
    model.restart_unused(torch.tensor([[3, 0, 5]]), torch.tensor([[[7.0], [7.0]]]))
    assert model.codebooks_LKZ.ravel().tolist() == [1.0, 7.0, 2.0]


def test_the_same_seed_gives_the_same_model_and_leaves_the_random_state_alone() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, second = (fit_rq_vae(points(), QuantizerConfig(levels=2), SMALL, seed=3).tensors() for _ in range(2))
    assert torch.equal(state, torch.get_rng_state())
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_single_item_can_be_quantised() -> None:
    point = np.array([[0.6, 0.8]], dtype=np.float32)
    model = fit_rq_vae(point, QuantizerConfig(levels=2), SMALL, seed=0)
    assert model.encode(point).shape == (1, 2)
    assert np.isfinite(model.decode(model.encode(point))).all()


@pytest.mark.parametrize(
    "bad",
    [{"hidden": (0,)}, {"latent": 0}, {"commitment": 0.0}, {"steps": 0}, {"batch_size": 0}, {"learning_rate": -1}],
)
def test_a_configuration_that_cannot_be_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(InvalidArgumentError, match=next(iter(bad))):
        RqVaeConfig(**bad)  # type: ignore[arg-type]
