"""Where a training is, in one safetensors file: weights, their average, the best so far, optimiser, and position.

Order and all that is drawn follow from the seed and the number of the step, so no random state is kept; nor is the
learning rate, which follows from the step as well. Knows nothing about what is trained.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mmrec.errors import BundleError
from mmrec.runtime.files import replace_file

_FORMAT = 3


class Position(NamedTuple):
    """How far a training has come.

    Attributes:
        epochs: Figures of the passes that are over, by name; ``seconds`` is the wall time of the pass.
        best_epoch: The one whose weights are kept, from 1; 0 before there is any.
        total: Steps done in all.
        steps: Steps done of the pass that is under way.
        units: Units of progress done in all.
        sums: Of the pass under way: each loss's sum, and over how many it is one.
        seconds: Wall time of all runs up to the last step.
        skipped: Steps left out because float16 could not hold their gradients.
    """

    epochs: tuple[dict[str, float], ...] = ()
    best_epoch: int = 0
    total: int = 0
    steps: int = 0
    units: int = 0
    sums: tuple[tuple[float, float], ...] = ()
    seconds: float = 0.0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is in the file.

    Attributes:
        identity: Hash of what the trained weights depend on.
        position: How far the training has come.
        scaler: State of the loss scaler.
        parts: Named tensors of ``model``, ``best``, ``average`` and ``optimizer``.
    """

    identity: str
    position: Position
    scaler: dict[str, Any]
    parts: dict[str, dict[str, Tensor]]


def optimizer_tensors(optimizer: Any) -> dict[str, Tensor]:
    """What the optimiser remembers of each parameter, as ``NUMBER.NAME``."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{name}": value for number, slots in state.items() for name, value in slots.items()}


def put_optimizer_tensors(optimizer: Any, tensors: dict[str, Tensor]) -> None:
    """The opposite of `optimizer_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write it in place of the last one; a kill leaves one of the two whole."""
    tensors = {
        f"{part}.{name}": tensor.detach().cpu().contiguous()
        for part, named in checkpoint.parts.items()
        for name, tensor in named.items()
    }
    description = {
        "format": _FORMAT,
        "identity": checkpoint.identity,
        "position": checkpoint.position._asdict(),
        "scaler": checkpoint.scaler,
    }
    metadata = {"description": json.dumps(description)}
    replace_file(path, lambda temporary: save_file(tensors, temporary, metadata))


def load_checkpoint(path: Path, identity: str) -> Checkpoint | None:
    """Read it; None where there is no file, or one of another training.

    Raises:
        BundleError: the file is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            found = json.loads((file.metadata() or {})["description"])
            if (found["format"], found["identity"]) != (_FORMAT, identity):
                return None
            parts: dict[str, dict[str, Tensor]] = {}
            for key in file.keys():  # noqa: SIM118
                part, _, name = key.partition(".")
                parts.setdefault(part, {})[name] = file.get_tensor(key)
        position = Position(**found["position"])
        position = position._replace(
            epochs=tuple(position.epochs), sums=tuple((total, count) for total, count in position.sums)
        )
        return Checkpoint(identity, position, found["scaler"], parts)
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as err:
        raise BundleError(f"{path} is damaged and cannot be read as safetensors") from err
