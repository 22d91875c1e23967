"""Trainable weights of a model: copying and restoring them, and their exponential moving average."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the trainable parameters and the buffers; frozen parameters are left out."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items() if name not in frozen}


def load_trained_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Inverse of `trained_weights`."""
    model.load_state_dict(weights, strict=False)


class AveragedWeights:
    """Exponential moving average of the trainable parameters.

    After t steps the decay is at most (1 + t) / (10 + t), so that the random initial weights do not dominate early
    averages.

    Args:
        model: The average starts at its current weights.
        decay: Share of the average kept at each step, in [0, 1).

    Attributes:
        weights: The average, by parameter name.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.weights = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}

    def update(self, steps: int) -> None:
        """Update the average with the weights after `steps` steps."""
        decay = min(self._decay, (1 + steps) / (10 + steps))
        own = [parameter.detach() for parameter in self._parameters.values()]
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        average(list(self.weights.values()), own, steps)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the block, the model uses the averaged weights."""
        own = {name: parameter.data for name, parameter in self._parameters.items()}
        for name, parameter in self._parameters.items():
            parameter.data = self.weights[name]
        try:
            yield
        finally:
            for name, parameter in self._parameters.items():
                parameter.data = own[name]
