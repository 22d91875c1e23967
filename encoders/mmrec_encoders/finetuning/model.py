"""What fine-tuning needs of the towers that it trains. Knows nothing about any."""

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

    def read(self, rows_B: npt.NDArray[np.int64]) -> torch.Tensor:
        """What is kept of training pairs' pictures, on the CPU. Shape: (B, ...)."""
        ...

    def expect(self, rows_B: npt.NDArray[np.int64]) -> None:
        """These pairs will be read next."""
        ...

    def view(self, read: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Inputs of the picture tower; chance comes from the generator alone."""
        ...

    def word_inputs(self, texts_B: npt.NDArray[np.int64]) -> Any:
        """Inputs of the words tower for training texts."""
        ...
