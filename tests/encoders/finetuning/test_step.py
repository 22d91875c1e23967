from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from mmrec.runtime.processes import Processes
from mmrec_encoders.finetuning.step import Chunk, contrastive_step
from mmrec_encoders.losses import clip_loss, siglip_loss

ALONE = Processes("cpu")


class Towers:
    """Two small towers; `norm` is what stands between a picture and its vector."""

    def __init__(self, norm: nn.Module) -> None:
        torch.manual_seed(0)
        self.module = nn.ModuleDict(
            {"picture": nn.Sequential(nn.Linear(6, 8), norm, nn.ReLU(), nn.Linear(8, 4)), "words": nn.Linear(5, 4)}
        )
        self.module.register_parameter("log_scale", nn.Parameter(torch.tensor(1.5)))
        self.module.register_parameter("bias", nn.Parameter(torch.tensor(-2.0)))
        self.loss_parameters: tuple[Any, ...] = (self.module.log_scale, self.module.bias)

    def pictures(self, inputs: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(self.module["picture"](inputs), dim=1)

    def words(self, inputs: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(self.module["words"](inputs), dim=1)

    def gradients(self) -> dict[str, torch.Tensor]:
        return {name: p.grad.clone() for name, p in self.module.named_parameters() if p.grad is not None}


def _data(count: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 6, generator=generator), torch.randn(count, 5, generator=generator)


def _chunks(parts: int) -> list[Chunk]:
    pictures, words = _data()
    size = len(words) // parts
    return [
        Chunk(partial(torch.clone, picture), word, size, seed)
        for seed, (picture, word) in enumerate(zip(pictures.split(size), words.split(size), strict=True))
    ]


def _step(model: Towers, chunks: Sequence[Chunk], loss: str) -> torch.Tensor:
    def loss_of(pictures: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        scale = model.module.log_scale.exp()
        if loss == "clip":
            # A bias that does nothing, so that both losses have the same parameters.
            return clip_loss(pictures, words, scale) + 0.0 * model.module.bias
        return siglip_loss(pictures, words, scale, model.module.bias)

    return contrastive_step(model, chunks, loss_of, ALONE)


@pytest.mark.parametrize("loss", ["clip", "siglip"])
@pytest.mark.parametrize("parts", [1, 2, 3, 6])
def test_the_gradients_are_those_of_one_big_batch(parts: int, loss: str) -> None:
    model = Towers(nn.LayerNorm(8))
    pictures, words = _data()
    scale, bias = model.module.log_scale.exp(), model.module.bias
    if loss == "clip":
        whole = clip_loss(model.pictures(pictures), model.words(words), scale) + 0.0 * bias
    else:
        whole = siglip_loss(model.pictures(pictures), model.words(words), scale, bias)
    whole.backward()
    expected = model.gradients()
    model.module.zero_grad()
    found = _step(model, _chunks(parts), loss)
    assert float(found) == pytest.approx(float(whole.detach()), abs=1e-6)
    assert model.gradients().keys() == expected.keys()
    for name, gradient in model.gradients().items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-5, atol=1e-6)


def test_adding_up_the_losses_of_parts_would_not_do() -> None:
    """What the two passes are for: each part alone has fewer wrong answers."""
    model = Towers(nn.LayerNorm(8))
    pictures, words = _data()
    scale = model.module.log_scale.exp()
    parts = [
        clip_loss(model.pictures(p), model.words(w), scale)
        for p, w in zip(pictures.split(6), words.split(6), strict=True)
    ]
    whole = clip_loss(model.pictures(pictures), model.words(words), scale)
    assert abs(float(((parts[0] + parts[1]) / 2 - whole).detach())) > 0.1


def test_running_statistics_are_the_mean_over_the_parts_and_count_one_step() -> None:
    model = Towers(nn.BatchNorm1d(8))
    norm = model.module["picture"][1]
    hidden = model.module["picture"][0](_data()[0]).detach()
    means = torch.stack([part.mean(dim=0) for part in hidden.split(4)])
    _step(model, _chunks(3), "clip")
    torch.testing.assert_close(norm.running_mean, 0.1 * means.mean(dim=0))
    assert int(norm.num_batches_tracked) == 1


def test_what_is_dropped_by_chance_is_dropped_in_both_passes_alike() -> None:
    """Were it not, the gradient would be of other vectors than those that the loss saw."""
    model = Towers(nn.Dropout(0.5))
    chunks = _chunks(3)
    _step(model, chunks, "clip")
    first = model.gradients()
    model.module.zero_grad()
    torch.manual_seed(999)
    _step(model, chunks, "clip")
    assert all(torch.equal(first[name], gradient) for name, gradient in model.gradients().items())
    # By hand: the same masks, all in one graph.
    model.module.zero_grad()
    vectors = []
    for chunk in chunks:
        torch.manual_seed(chunk.seed)
        vectors.append((model.pictures(chunk.pictures()), model.words(chunk.words)))
    pictures, words = (torch.cat([pair[side] for pair in vectors]) for side in range(2))
    clip_loss(pictures, words, model.module.log_scale.exp()).backward()
    torch.testing.assert_close(first["picture.0.weight"], model.gradients()["picture.0.weight"])


def test_a_frozen_tower_gets_no_gradient() -> None:
    model = Towers(nn.LayerNorm(8))
    for parameter in model.module["picture"].parameters():
        parameter.requires_grad_(False)
    _step(model, _chunks(2), "clip")
    assert {name.partition(".")[0] for name in model.gradients()} == {"words", "log_scale", "bias"}


def test_the_callers_generator_is_left_alone() -> None:
    model = Towers(nn.Dropout(0.5))
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    _step(model, _chunks(2), "clip")
    assert torch.equal(torch.rand(1), expected)
