"""Where a training is, in one safetensors file: weights, optimiser, and how far it has come.

Order, views and drawn texts follow from the seed and the number of the step, so nothing of chance is kept. A file
that is damaged, or of another training, is no checkpoint. Knows nothing about what is trained.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mmrec.errors import BundleError
from mmrec_encoders.weights import read_weights, write_weights

if TYPE_CHECKING:
    import torch

_KIND, _FORMAT = "adapt_checkpoint", 1


class Position(NamedTuple):
    """How far a training has come.

    Attributes:
        steps: Steps done in all.
        seconds: Time spent.
        loss: Sum of the losses of the pass that is under way.
        epochs: Figures of the passes that are over, as JSON has them.
        skipped: Steps whose gradients a narrow number format could not hold.
    """

    steps: int = 0
    seconds: float = 0.0
    loss: float = 0.0
    epochs: tuple[dict[str, Any], ...] = ()
    skipped: int = 0


def save_checkpoint(
    path: Path, identity: str, position: Position, module: torch.nn.Module, optimiser: Any, scaler: Any
) -> None:
    """Write a checkpoint; the file is there whole or not at all."""
    tensors = {f"model.{name}": value for name, value in _trained(module).items()}
    for number, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": value for name, value in state.items()}
    description = {
        "kind": _KIND,
        "format": _FORMAT,
        "identity": identity,
        "position": position._asdict(),
        "scaler": scaler.state_dict(),
    }
    write_weights(path, tensors, description)


def load_checkpoint(path: Path, identity: str, module: torch.nn.Module, optimiser: Any, scaler: Any) -> Position | str:
    """Put a checkpoint's values in place.

    Returns:
        How far it had come; or why there is nothing to go on from, empty where there is no file.
    """

    if not path.is_file():
        return ""
    try:
        tensors, description = read_weights(path, _KIND, _FORMAT)
    except BundleError as err:
        return f"the checkpoint is not used: {err.message}"
    if description.get("identity") != identity:
        return "the checkpoint is of other data or settings and is not used"
    states: dict[int, dict[str, torch.Tensor]] = {}
    weights = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "model":
            weights[rest] = value
        else:
            number, _, key = rest.partition(".")
            states.setdefault(int(number), {})[key] = value
    if weights.keys() != _trained(module).keys():
        return "the checkpoint lacks weights and is not used"
    module.load_state_dict(weights, strict=False)
    optimiser.load_state_dict({"state": states, "param_groups": optimiser.state_dict()["param_groups"]})
    if description["scaler"]:
        scaler.load_state_dict(description["scaler"])
    position = Position(**description["position"])
    return position._replace(epochs=tuple(position.epochs))


def _trained(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Everything that training changes: what is frozen comes from where it came from."""
    frozen = {name for name, parameter in module.named_parameters() if not parameter.requires_grad}
    return {name: value for name, value in module.state_dict().items() if name not in frozen}
