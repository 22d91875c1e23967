"""Training checkpoint in one safetensors file: weights, their average, the best weights, optimiser state, position.

Batch order and all random draws are derived from the seed and the step number, so no random state is saved; the
learning rate is derived from the step too. Knows nothing about what is trained.
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
    """Position in a training run.

    Attributes:
        epochs: Losses and metrics of each finished epoch, by name; ``seconds`` is its wall time.
        best_epoch: Epoch whose weights are kept, from 1; 0 before the first epoch ends.
        total: Steps done in total.
        steps: Steps done in the current epoch.
        units: Units of progress done in total.
        sums: Sum and count of each loss in the current epoch.
        seconds: Wall time of all runs up to the last step.
        skipped: Steps skipped because their gradients overflowed float16.
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
    """Content of a checkpoint file.

    Attributes:
        identity: Hash of everything the trained weights depend on.
        position: Position in the training.
        scaler: State of the loss scaler.
        parts: Named tensors of ``model``, ``best``, ``average`` and ``optimizer``.
    """

    identity: str
    position: Position
    scaler: dict[str, Any]
    parts: dict[str, dict[str, Tensor]]


def optimizer_tensors(optimizer: Any) -> dict[str, Tensor]:
    """Optimiser state of each parameter, keyed ``NUMBER.NAME``."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{name}": value for number, slots in state.items() for name, value in slots.items()}


def load_optimizer_tensors(optimizer: Any, tensors: dict[str, Tensor]) -> None:
    """Inverse of `optimizer_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Atomically replace the previous checkpoint."""
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
    """Read a checkpoint; None if there is no file, or it has another identity.

    Raises:
        BundleError: the file is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            description = json.loads((file.metadata() or {})["description"])
            if (description["format"], description["identity"]) != (_FORMAT, identity):
                return None
            parts: dict[str, dict[str, Tensor]] = {}
            for key in file.keys():  # noqa: SIM118
                part, _, name = key.partition(".")
                parts.setdefault(part, {})[name] = file.get_tensor(key)
        position = Position(**description["position"])
        position = position._replace(
            epochs=tuple(position.epochs), sums=tuple((total, count) for total, count in position.sums)
        )
        return Checkpoint(identity, position, description["scaler"], parts)
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as err:
        raise BundleError(f"{path} is damaged and cannot be read as safetensors") from err
