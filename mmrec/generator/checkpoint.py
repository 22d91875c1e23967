"""Where a training is, in one safetensors file: weights, their average, the best so far, optimiser, and position.

Order, cuts and all that is drawn follow from the seed and the number of the step, so no random state is kept; nor is
the learning rate, which follows from the step as well. A file that is damaged, or of another training, is no
checkpoint. Knows nothing about what is trained.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mmrec.generator.config import TrainingConfig
from mmrec.generator.training_log import EpochRecord
from mmrec.runtime.files import replace_file
from mmrec.runtime.weights import AveragedWeights, put_weights, trained_weights

_NAME = "training.safetensors"
_FORMAT = 2


class Position(NamedTuple):
    """How far a training has come.

    Attributes:
        epochs: Figures of the passes that are over.
        best_epoch: The one with the best metric; 0 before there is any.
        total: Steps done in all.
        steps: Steps done of the pass that is under way.
        sums: Of that pass: item loss, its places, semantic-ID loss, its places.
        seconds: Time spent on it.
    """

    epochs: tuple[EpochRecord, ...] = ()
    best_epoch: int = 0
    total: int = 0
    steps: int = 0
    sums: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    seconds: float = 0.0


class Trained(NamedTuple):
    """All that a step changes.

    Attributes:
        model: Its weights.
        optimizer: Of them.
        scaler: Of the loss, for float16.
        average: Moving average of the weights, if one is kept.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: AveragedWeights | None


def training_identity(
    model: nn.Module,
    histories: Sequence[npt.NDArray[np.int32]],
    config: TrainingConfig,
    seed: int,
    dtype: torch.dtype,
    inputs: str = "",
) -> str:
    """Hash of what the trained weights depend on. 64 hex digits.

    Args:
        model: Its shapes count.
        histories: What it is trained on.
        config: Without the limit of time and the time between checkpoints, which change no step. The number of passes
            counts: the learning rate falls over them.
        seed: Of everything that is drawn.
        dtype: Number format of the matrix products.
        inputs: Key of everything else: what the model is made of, and what it is validated on.
    """
    settings = asdict(config)
    del settings["max_minutes"], settings["checkpoint_minutes"]
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    digest = hashlib.sha256(json.dumps([settings, shapes, seed, str(dtype), inputs], sort_keys=True).encode())
    for history in histories:
        digest.update(len(history).to_bytes(8, "little"))
        digest.update(np.ascontiguousarray(history).tobytes())
    return digest.hexdigest()


class Checkpoint:
    """The checkpoint of one training.

    Args:
        folder: Where it is.
        identity: From `training_identity`.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.path = folder / _NAME
        self._identity = identity

    def prepare(self) -> None:
        """Make the folder, and remove what a run that was killed has left half-written."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for left in self.path.parent.glob(".*.tmp"):
            left.unlink(missing_ok=True)

    def save(self, position: Position, trained: Trained, best: dict[str, Tensor]) -> None:
        """Write it in place of the last one; a kill leaves one of the two whole."""
        tensors = {f"model.{name}": tensor for name, tensor in trained_weights(trained.model).items()}
        tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
        if trained.average:
            tensors |= {f"average.{name}": tensor for name, tensor in trained.average.weights.items()}
        for number, slots in trained.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{slot}": value for slot, value in slots.items()}
        description = {
            "format": _FORMAT,
            "identity": self._identity,
            "position": position._asdict() | {"epochs": [asdict(record) for record in position.epochs]},
            "scaler": trained.scaler.state_dict(),
        }
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        replace_file(self.path, lambda path: save_file(plain, path, metadata={"description": json.dumps(description)}))

    def load(
        self, trained: Trained, accept: Callable[[Position], bool] = lambda _: True
    ) -> tuple[Position, dict[str, Tensor]] | None:
        """Put its values in place.

        Args:
            trained: Where they go.
            accept: Whether to go on from a position; where not, nothing is changed.

        Returns:
            How far the training had come and the best weights so far; None where there is nothing to go on from.
        """
        try:
            with safe_open(self.path, "pt") as file:
                description: dict[str, Any] = json.loads((file.metadata() or {})["description"])
                if (description["format"], description["identity"]) != (_FORMAT, self._identity):
                    return None
                fields = description["position"]
                position = Position(**fields)._replace(
                    epochs=tuple(EpochRecord(**entry) for entry in fields["epochs"]), sums=tuple(fields["sums"])
                )
                if not accept(position):
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (FileNotFoundError, SafetensorError, OSError, ValueError, KeyError, TypeError):
            return None
        put_weights(trained.model, _part(tensors, "model"))
        if trained.average:
            for name, tensor in _part(tensors, "average").items():
                trained.average.weights[name].copy_(tensor)
        slots: dict[int, dict[str, Tensor]] = {}
        for key, tensor in _part(tensors, "optimizer").items():
            number, slot = key.split(".", 1)
            slots.setdefault(int(number), {})[slot] = tensor
        trained.optimizer.load_state_dict({**trained.optimizer.state_dict(), "state": slots})
        if description["scaler"]:
            trained.scaler.load_state_dict(description["scaler"])
        return position, _part(tensors, "best")


def _part(tensors: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{kind}."): t for name, t in tensors.items() if name.startswith(f"{kind}.")}
