"""The small CLIP in training: towers, and inputs from files of stored pictures and encoded texts."""

# Axes: M pairs, B batch, T dimensions of the frozen text vectors, U texts

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mmrec.runtime.files import new_array_file, replace_file
from mmrec.runtime.progress import Progress
from mmrec_encoders.augment import random_view
from mmrec_encoders.finetuning.config import FinetuningConfig
from mmrec_encoders.finetuning.pictures import KeptPictures
from mmrec_encoders.protocols import TextEncoder, Vectors
from mmrec_encoders.sentence_texts import SentenceTextEncoder
from mmrec_encoders.two_tower import (
    TwoTowerShape,
    build_two_tower,
    head_vectors,
    picture_vectors,
    pieces_of,
    words_vectors,
)

if TYPE_CHECKING:
    import torch

    from mmrec.runtime.processes import Processes
    from mmrec_encoders.finetuning.kept_maps import KeptMaps
    from mmrec_encoders.finetuning.pairs import Pairs

PRETRAINED = "tower.network."
"""Beginning of the names of parameters that are not trained from scratch."""
_TEXTS_AT_ONCE = 2048
_EVAL_BATCH = 256


class SmallClipModel:
    """The towers, and their inputs by pair and by text.

    Args:
        config: How to train.
        text: The frozen encoder.
        training: Pictures of the training pairs, at ``keep_size``.
        held: Pictures of the held-out pairs, as the encoder in use looks at them.
        frozen_UT: Frozen vectors of the training texts; an array or a ``numpy.memmap``. Shape: (U, T), float32.
        pieces_UL: Their word pieces, where those have vectors. Shape: (U, L), int32.
        device: Where it is trained.
    """

    def __init__(
        self,
        config: FinetuningConfig,
        text: SentenceTextEncoder,
        training: KeptPictures,
        held: KeptPictures,
        frozen_UT: npt.NDArray[np.float32],
        pieces_UL: npt.NDArray[np.int32] | None,
        device: torch.device,
    ) -> None:
        import torch

        towers = config.towers
        self.shape = TwoTowerShape(towers.shape, text.dim, towers.dimension, towers.text_hidden, towers.text_words)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            module = build_two_tower(self.shape, dropout=towers.text_dropout, sigmoid=config.loss == "siglip")
        if config.mode == "efficientnet":
            module["tower"].load_published()
        self.module: Any = module.to(device)
        self.text = text
        self._config, self._device = config, device
        self._training, self._held, self._frozen_UT, self._pieces_UL = training, held, frozen_UT, pieces_UL
        self._maps: KeptMaps | None = None
        self._frozen: dict[str, npt.NDArray[np.float32]] = {}

    @property
    def loss_parameters(self) -> tuple[Any, ...]:
        """Scale and, for the sigmoid loss, bias of the logits."""
        scale = (self.module.log_scale,)
        return (*scale, self.module.bias) if self._config.loss == "siglip" else scale

    # --- training -------------------------------------------------------------------------------------------------

    def keep_maps(self, pairs: Pairs, work: Path, processes: Processes) -> None:
        """From now on, compute the frozen stages of the image tower once for several passes, if there is space."""
        from mmrec_encoders.finetuning.kept_maps import KeptMaps, views_that_fit

        config, count = self._config, len(pairs.held_M)
        views = processes.broadcast(views_that_fit(config.towers, config.epochs, count, work))
        if views:
            sides = (self._training, self._held)
            self._maps = KeptMaps(self.module["tower"], *sides, pairs, config, views, work, processes)

    def read(self, rows_B: npt.NDArray[np.int64], epoch: int = 0) -> torch.Tensor:
        """Stored pictures of training pairs, or their kept maps. Shape: (B, 3, H, W), uint8, or (B, F), float16."""
        import torch

        if self._maps:
            return self._maps.training(rows_B, epoch)
        return torch.from_numpy(self._training.read(rows_B))

    def expect(self, rows_B: npt.NDArray[np.int64]) -> None:
        """These pairs' pictures will be read next."""
        self._training.expect(rows_B)

    def view(self, read: torch.Tensor, generator: torch.Generator, done: float = 1.0) -> torch.Tensor:
        """A random view of each picture, 0 to 255. Shape: (B, 3, S, S), float32; S grows as `SmallTowers` says.

        Kept maps, which are of random views, are unchanged.
        """
        if self._maps:
            return read.to(self._device)
        pixels = read.to(self._device).float() / 255.0
        return 255.0 * random_view(pixels, self._config.towers.size_at(done), generator, self._config.views)

    def word_inputs(self, texts_B: npt.NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Frozen vectors and word pieces of training texts. Shapes: (B, T), float32, and (B, L), int64."""
        import torch

        frozen = torch.from_numpy(np.ascontiguousarray(self._frozen_UT[texts_B])).to(self._device)
        if self._pieces_UL is None:
            return frozen, None
        return frozen, torch.from_numpy(self._pieces_UL[texts_B].astype(np.int64)).to(self._device)

    def pictures(self, inputs: torch.Tensor) -> torch.Tensor:
        """Unit vectors in the shared space. Shape: (B, D), float32."""
        if self._maps:
            return head_vectors(self.module, self._maps.vectors(inputs))
        return picture_vectors(self.module, inputs)

    def words(self, inputs: tuple[torch.Tensor, torch.Tensor | None]) -> torch.Tensor:
        """Unit vectors in the shared space. Shape: (B, D), float32."""
        return words_vectors(self.module, *inputs)

    # --- scoring --------------------------------------------------------------------------------------------------

    def encode_held(self, rows_H: npt.NDArray[np.int64]) -> Vectors:
        """Vectors of held-out pairs' pictures, with the module in eval mode. Shape: (H, D), float32."""
        import torch

        batches = []
        for at in range(0, len(rows_H), _EVAL_BATCH):
            rows = rows_H[at : at + _EVAL_BATCH]
            read = self._maps.held(rows) if self._maps else torch.from_numpy(self._held.read(rows))
            batches.append(self.pictures(read.to(self._device)).float().cpu().numpy())
        return np.concatenate(batches)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Vectors of any texts, with the module in eval mode; frozen vectors are cached. Shape: (N, D)."""
        import torch

        new = sorted({*texts} - {*self._frozen}, key=len)
        if new:
            self._frozen |= dict(zip(new, self.text.encode(new), strict=True))
        frozen = torch.from_numpy(np.stack([self._frozen[text] for text in texts])).to(self._device)
        pieces = None
        if self.shape.text_words:
            pieces = torch.from_numpy(pieces_of(self.text.tokens(texts), self.shape.text_words)).to(self._device)
        return self.words((frozen, pieces)).float().cpu().numpy()


def encode_once(path: Path, texts: Sequence[str], text: TextEncoder, progress: Progress) -> None:
    """Write the frozen vectors of the training texts to `path` as a ``.npy`` file."""
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    progress.start("encoding words", len(texts), "texts")

    def write(temporary: Path) -> None:
        file = new_array_file(temporary, np.float32, (len(texts), text.dim))
        for at in range(0, len(order), _TEXTS_AT_ONCE):
            rows = order[at : at + _TEXTS_AT_ONCE]
            file[rows] = text.encode([texts[row] for row in rows])
            progress.advance(len(rows))
        file.flush()

    replace_file(path, write)
    progress.finish(f"{len(texts):,} texts encoded")


def split_once(path: Path, texts: Sequence[str], text: SentenceTextEncoder, count: int) -> None:
    """Write the word pieces of the training texts to `path` as a ``.npy`` file; see `pieces_of`."""
    parts = [
        pieces_of(text.tokens(texts[at : at + _TEXTS_AT_ONCE]), count).astype(np.int32)
        for at in range(0, len(texts), _TEXTS_AT_ONCE)
    ]
    longest = max(part.shape[1] for part in parts)

    def write(temporary: Path) -> None:
        file = new_array_file(temporary, np.int32, (len(texts), longest))
        file[:] = count
        at = 0
        for part in parts:
            file[at : at + len(part), : part.shape[1]] = part
            at += len(part)
        file.flush()

    replace_file(path, write)
