"""The two towers of a small CLIP as encoders: pictures and texts are mapped into one space.

`FOLDER` as an image model gives the aligned picture vectors, which are comparable with text vectors. Use it for fit and
embed too: its neighbours share kind, use and colour about as often as those by the vector below the picture head.
`FOLDER@tower` gives that vector, for training a head of one's own.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmrec.errors import BundleError, InvalidArgumentError
from mmrec.runtime.device import resolve_device
from mmrec.runtime.limits import check_choice
from mmrec_encoders.image_batches import BatchedImageEncoder
from mmrec_encoders.preparation import Squeeze
from mmrec_encoders.protocols import TextEncoder, Vectors
from mmrec_encoders.sentence_texts import SentenceTextConfig, SentenceTextEncoder
from mmrec_encoders.two_tower import picture_vectors, pieces_of, read_two_tower, words_vectors
from mmrec_encoders.weights import fingerprint_of, unit_rows

if TYPE_CHECKING:
    import torch

WEIGHTS = "small_clip_pair.safetensors"
"""Name of the file of weights in the folder that `mmrec adapt` writes."""
_VECTORS = ("aligned", "tower")
# Settings of a text encoder that its vectors depend on.
TEXT_SETTINGS = ("model", "max_tokens", "query_prompt", "document_prompt", "pooling", "end_token")


def small_clip_file(model: str) -> Path | None:
    """The weights file if `model` names a small CLIP (its folder, ``FOLDER@tower``, or the file); else None."""
    path = Path(model.removesuffix("@tower")).expanduser()
    if path.name == WEIGHTS and path.is_file():
        return path
    return path / WEIGHTS if (path / WEIGHTS).is_file() else None


class AlignedPictures(BatchedImageEncoder[Squeeze]):
    """An `ImageEncoder` over the image tower of a small CLIP.
    Args:
        file: The weights.
        vector: ``aligned`` or ``tower``; see the module.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        batch_size: Pictures per forward pass.

    Raises:
        BundleError: the file is missing, damaged, or not a small CLIP.
    """

    def __init__(self, file: Path, vector: str = "aligned", *, device: str = "auto", batch_size: int = 128) -> None:
        check_choice("vector", vector, _VECTORS)
        self._module, shape, _ = read_two_tower(file)
        super().__init__(Squeeze(shape.tower.image_size), batch_size)
        self.file = file
        self.vector = vector
        self.device = resolve_device(device)
        self.dim = shape.dimension if vector == "aligned" else shape.tower.dim
        parts = ("tower.", "picture_head.") if vector == "aligned" else ("tower.",)
        weights = self._module.state_dict()
        self.fingerprint = fingerprint_of(
            f"small-clip-{vector}", ((name, value) for name, value in weights.items() if name.startswith(parts))
        )
        self._module.to(self.device)

    def _forward(self, pixels_N3HW: torch.Tensor) -> Vectors:
        return unit_rows(picture_vectors(self._module, pixels_N3HW.to(self.device), below_head=self.vector == "tower"))

    def save(self, path: Path) -> None:
        """Copy the weights to `path`, so that they stay when the folder they came from goes."""
        shutil.copyfile(self.file, path)

    @classmethod
    def of(cls, model: str, *, device: str = "auto") -> AlignedPictures:
        """From the name of a model: a folder that `mmrec adapt` wrote, or that with ``@tower``.

        Raises:
            BundleError: there is no small CLIP.
        """
        file = small_clip_file(model)
        if file is None:
            raise BundleError(f"{model!r} holds no {WEIGHTS}; pass a folder that mmrec adapt wrote")
        return cls(file, "tower" if model.endswith("@tower") else "aligned", device=device)


class AlignedTexts:
    """A `TextEncoder` into the space of `AlignedPictures`: a frozen text encoder and a head over it.

    Args:
        file: The weights.
        base: The frozen encoder; None loads the one named in the file.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: Of the frozen encoder.

    Raises:
        BundleError: the file is missing or damaged, or the frozen encoder is not the one it was trained over.
        ModelNotAvailableError: the frozen encoder can be neither found nor fetched.
    """

    def __init__(
        self, file: Path, base: TextEncoder | None = None, *, device: str = "auto", dtype: str = "auto"
    ) -> None:
        import torch

        self.file = file
        self.device = resolve_device(device)
        self._module, shape, described = read_two_tower(file)
        self.base = base if base is not None else _load_text(described, device, dtype)
        found, wanted = self.base.fingerprint, str(described.get("fingerprint", ""))
        if found.rpartition("@")[2] != wanted.rpartition("@")[2]:
            raise BundleError(
                f"{file} was trained over the text encoder {wanted}, but {found} was found; pass the one it was "
                "trained over, or adapt again"
            )
        self.dim = shape.dimension
        self._pieces = shape.text_words
        if self._pieces and not isinstance(self.base, SentenceTextEncoder):
            raise BundleError(f"{file} needs a text encoder with a tokenizer; pass the one it was trained over")
        heads = [(name, value) for name, value in self._module.state_dict().items() if name.startswith("text_")]
        name = torch.tensor(list(wanted.rpartition("@")[2].encode()), dtype=torch.uint8)
        self.fingerprint = fingerprint_of("small-clip-words", [*heads, ("base", name)])
        self._module.to(self.device)

    def encode(self, texts: Sequence[str], *, query: bool = False) -> Vectors:
        """One unit vector per text, in the same order. Shape: (N, dim), float32."""
        import torch

        frozen_NT = self.base.encode(texts, query=query)
        if not len(frozen_NT):
            return np.zeros((0, self.dim), np.float32)
        pieces_NL = None
        if self._pieces and isinstance(self.base, SentenceTextEncoder):
            pieces_NL = torch.from_numpy(pieces_of(self.base.tokens(texts), self._pieces)).to(self.device)
        with torch.inference_mode():
            return unit_rows(words_vectors(self._module, torch.from_numpy(frozen_NT).to(self.device), pieces_NL))

    def save(self, path: Path) -> None:
        """Copy the weights to `path`, so that they stay when the folder they came from goes."""
        shutil.copyfile(self.file, path)


def describe_text(text: TextEncoder) -> dict[str, Any]:
    """Settings and fingerprint from which a frozen text encoder can be loaded again.

    Raises:
        InvalidArgumentError: it is not a `SentenceTextEncoder`.
    """
    if not isinstance(text, SentenceTextEncoder):
        raise InvalidArgumentError(
            f"a text encoder of class {type(text).__name__} cannot be adapted over; use one that "
            "sentence-transformers loads",
            field="text_model",
        )
    return {name: getattr(text.config, name) for name in TEXT_SETTINGS} | {"fingerprint": text.fingerprint}


def _load_text(described: dict[str, Any], device: str, dtype: str) -> SentenceTextEncoder:
    try:
        settings = {name: described[name] for name in TEXT_SETTINGS}
    except KeyError as err:
        raise BundleError(
            f"the small CLIP does not say which text encoder it was trained over ({json.dumps(described)}); "
            "make it again with mmrec adapt"
        ) from err
    return SentenceTextEncoder(SentenceTextConfig(**settings, device=device, dtype=dtype))
