"""Interface of the towers that fine-tuning trains."""

# Axes: B pairs of a chunk

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from mmrec_encoders.finetuning.scoring import Scored
from mmrec_encoders.finetuning.step import Model

if TYPE_CHECKING:
    import torch


class ContrastiveModel(Model, Scored, Protocol):
    """Two towers, and their inputs by pair and by text."""

    def read(self, rows_B: npt.NDArray[np.int64], epoch: int = 0) -> torch.Tensor:
        """Stored pictures (or what frozen layers give for them) of training pairs, on the CPU. Shape: (B, ...).

        Args:
            rows_B: The pairs.
            epoch: Number of the pass, from 0; passes may read different views of a picture.
        """
        ...

    def expect(self, rows_B: npt.NDArray[np.int64]) -> None:
        """Announce the pairs that will be read next, so that decoding can begin."""
        ...

    def view(self, read: torch.Tensor, generator: torch.Generator, done: float = 1.0) -> torch.Tensor:
        """Inputs of the image tower, augmented with the generator, when this share of the training is done."""
        ...

    def word_inputs(self, texts_B: npt.NDArray[np.int64]) -> Any:
        """Inputs of the text tower for training texts."""
        ...
