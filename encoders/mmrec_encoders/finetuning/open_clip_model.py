"""An open_clip model in training: both towers, or the text tower with a frozen image tower."""

# Axes: M pairs, B batch, H held-out pairs, L tokens of a text, D dimensions

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec_encoders.augment import random_view
from mmrec_encoders.finetuning.config import FinetuningConfig
from mmrec_encoders.finetuning.pictures import PictureSource
from mmrec_encoders.preparation import ClipPreparation
from mmrec_encoders.protocols import Vectors

if TYPE_CHECKING:
    import torch

_EVAL_BATCH = 64
_SIGLIP_BIAS = -10.0


class OpenClip(NamedTuple):
    """An open_clip model as it is loaded.

    Attributes:
        model: On the device, in float32.
        preparation: Of pictures as the model looks at them.
        tokenize: Texts to token numbers. Shape: (N, L), int64.
    """

    model: Any
    preparation: ClipPreparation
    tokenize: Callable[[Sequence[str]], torch.Tensor]


class OpenClipInputs(NamedTuple):
    """Inputs for training and evaluation of the towers.

    Attributes:
        tokens_UL: Tokens of the training texts. Shape: (U, L), int32.
        training: Training pictures, larger than the model looks at; None where the image tower is frozen.
        held: Held-out pictures as the model looks at them; None where the image tower is frozen.
        frozen_MD: Vectors of all pairs' pictures where the image tower is frozen, unit rows; an array or a
            ``numpy.memmap``. Shape: (M, D), float32.
    """

    tokens_UL: npt.NDArray[np.int32]
    training: PictureSource | None = None
    held: PictureSource | None = None
    frozen_MD: npt.NDArray[np.float32] | None = None


class OpenClipModel:
    """The towers, and their inputs by pair and by text.

    Args:
        config: How to train.
        loaded: The model.
        inputs: Its inputs.
        device: Where it is trained.
    """

    def __init__(
        self, config: FinetuningConfig, loaded: OpenClip, inputs: OpenClipInputs, device: torch.device
    ) -> None:
        import torch

        model, preparation, frozen_MD = loaded.model, loaded.preparation, inputs.frozen_MD
        self.module = model
        self.share = config.share
        self._config, self._preparation, self._tokenize, self._device = config, preparation, loaded.tokenize, device
        self._training, self._held = inputs.training, inputs.held
        self._frozen_MD, self._tokens_UL = frozen_MD, inputs.tokens_UL
        self._mean, self._std = (
            torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (preparation.mean, preparation.std)
        )
        if frozen_MD is not None:
            for parameter in model.visual.parameters():
                parameter.requires_grad_(False)
        if config.loss == "siglip" and model.logit_bias is None:
            model.logit_bias = torch.nn.Parameter(torch.full_like(model.logit_scale, _SIGLIP_BIAS))

    @property
    def loss_parameters(self) -> tuple[Any, ...]:
        """Scale and, for the sigmoid loss, bias of the logits."""
        scale = (self.module.logit_scale,)
        return (*scale, self.module.logit_bias) if self._config.loss == "siglip" else scale

    # --- training -------------------------------------------------------------------------------------------------

    def read(self, rows_B: npt.NDArray[np.int64], epoch: int = 0) -> torch.Tensor:
        """Training pictures, or their vectors where the image tower is frozen, on the CPU."""
        import torch

        if self._frozen_MD is not None:
            return torch.from_numpy(np.ascontiguousarray(self._frozen_MD[rows_B]))
        assert self._training is not None, "there are pictures where nothing is frozen"
        return torch.from_numpy(self._training.read(rows_B))

    def expect(self, rows_B: npt.NDArray[np.int64]) -> None:
        """These pairs' pictures will be read next."""
        if self._training is not None:
            self._training.expect(rows_B)

    def view(self, read: torch.Tensor, generator: torch.Generator, done: float = 1.0) -> torch.Tensor:
        """A random view of each picture, normalised for the model; frozen vectors unchanged."""
        if self._frozen_MD is not None:
            return read.to(self._device)
        pixels = read.to(self._device).float() / 255.0
        pixels = random_view(pixels, self._preparation.size, generator, self._config.views)
        # Views are square; resize them if the model's input is not.
        height, width = self._preparation.height, self._preparation.width
        if height != width:
            import torch.nn.functional as F

            pixels = F.interpolate(pixels, (height, width), mode="bilinear", align_corners=False)
        return (pixels - self._mean) / self._std

    def word_inputs(self, texts_B: npt.NDArray[np.int64]) -> torch.Tensor:
        """Tokens of training texts. Shape: (B, L), int64."""
        import torch

        return torch.from_numpy(self._tokens_UL[texts_B].astype(np.int64)).to(self._device)

    def pictures(self, inputs: torch.Tensor) -> torch.Tensor:
        """Unit vectors. Shape: (B, D), float32."""
        import torch.nn.functional as F

        return inputs if self._frozen_MD is not None else F.normalize(self.module.encode_image(inputs).float(), dim=1)

    def words(self, inputs: torch.Tensor) -> torch.Tensor:
        """Unit vectors. Shape: (B, D), float32."""
        import torch.nn.functional as F

        return F.normalize(self.module.encode_text(inputs).float(), dim=1)

    # --- scoring --------------------------------------------------------------------------------------------------

    def encode_held(self, rows_H: npt.NDArray[np.int64]) -> Vectors:
        """Vectors of held-out pairs' pictures, with the module in eval mode. Shape: (H, D), float32."""
        import torch

        if self._frozen_MD is not None:
            return np.ascontiguousarray(self._frozen_MD[rows_H])
        assert self._held is not None, "there are pictures where nothing is frozen"
        found = []
        batches = [rows_H[at : at + _EVAL_BATCH] for at in range(0, len(rows_H), _EVAL_BATCH)]
        for rows, upcoming in zip(batches, [*batches[1:], None], strict=True):
            pixels = torch.from_numpy(self._held.read(rows)).to(self._device)
            if upcoming is not None:
                self._held.expect(upcoming)
            found.append(self.pictures((pixels.float() / 255.0 - self._mean) / self._std).float().cpu().numpy())
        return np.concatenate(found)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Vectors of any texts, with the module in eval mode. Shape: (N, D), float32."""
        found = [
            self.words(self._tokenize(texts[at : at + _EVAL_BATCH]).to(self._device)).float().cpu().numpy()
            for at in range(0, len(texts), _EVAL_BATCH)
        ]
        return np.concatenate(found)
