"""Weights of a model while it is trained: what training changes, and their exponential moving average.

Knows nothing about what the weights mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of everything that training changes; what is frozen comes from where it came from."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items() if name not in frozen}


def put_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """The opposite of `trained_weights`."""
    model.load_state_dict(weights, strict=False)


class AveragedWeights:
    """Exponential moving average of the trained weights.

    Early averages would be mostly of the first, random weights; so after t steps the share that stays is at most
    (1 + t) / (10 + t).

    Args:
        model: Whose weights; they are where the average starts.
        decay: Share of the average that stays at each step, 0 to below 1.

    Attributes:
        weights: The average, by name of parameter.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.weights = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}

    def update(self, steps: int) -> None:
        """Take in the weights after this many steps."""
        stays = min(self._decay, (1 + steps) / (10 + steps))
        own = [parameter.detach() for parameter in self._parameters.values()]
        average = get_ema_multi_avg_fn(stays)  # type: ignore[no-untyped-call]
        average(list(self.weights.values()), own, steps)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the model has the averaged weights."""
        own = {name: parameter.data for name, parameter in self._parameters.items()}
        for name, parameter in self._parameters.items():
            parameter.data = self.weights[name]
        try:
            yield
        finally:
            for name, parameter in self._parameters.items():
                parameter.data = own[name]
