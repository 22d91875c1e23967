"""Texts to vectors with any model that sentence-transformers loads, LLM-based embedders included.

The model is named by hub id, local folder, or `MINILM` for the packaged one. Code that comes with a model is
never run. Knows nothing about items or templates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmrec.device import resolve_device, resolve_dtype
from mmrec.errors import InvalidArgumentError, MissingExtraError, MmrecError, ModelNotAvailableError
from mmrec_encoders.minilm import MINILM, minilm_folder
from mmrec_encoders.protocols import Vectors
from mmrec_encoders.quiet import quiet_loading
from mmrec_encoders.weights import cast_weights, fingerprint_of, unit_rows

__all__ = ["SentenceTextConfig", "SentenceTextEncoder"]

_CHARS_PER_TOKEN = 64
"""No tokenizer makes longer tokens on average; characters beyond are cut before tokenizing."""


@dataclass(frozen=True, slots=True)
class SentenceTextConfig:
    """Which text model, and how it is run.

    Attributes:
        model: Hub id, local folder, or `MINILM`.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        batch_size: Texts per forward pass, at least 1.
        max_tokens: Longer texts are cut to this many tokens; never more than the model takes.
        query_prompt: Put before searches; None takes the model's own prompt named ``query``, if it has one.
    """

    model: str
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = 64
    max_tokens: int = 512
    query_prompt: str | None = None

    def __post_init__(self) -> None:
        if not self.model:
            raise InvalidArgumentError("model is empty; pass a hub id or a local folder", field="model")
        for name in ("batch_size", "max_tokens"):
            if getattr(self, name) < 1:
                raise InvalidArgumentError(f"{name} is {getattr(self, name)}; it must be at least 1", field=name)


class SentenceTextEncoder:
    """A `TextEncoder` over a sentence-transformers model, in eval mode.

    Raises:
        ModelNotAvailableError: the model is neither on disk nor to be had from the hub, or cannot be loaded.
        DeviceNotAvailableError: the device is not here.
    """

    def __init__(self, config: SentenceTextConfig) -> None:
        self.config = config
        self.device = resolve_device(config.device)
        dtype = resolve_dtype(config.dtype, self.device)
        self._model = _load(config.model)
        self.fingerprint = fingerprint_of(_short(config.model), self._model.named_parameters())
        cast_weights(self._model, dtype)
        self._model.to(self.device)
        limit = self._model.max_seq_length
        self._max_tokens = config.max_tokens if limit is None else min(int(limit), config.max_tokens)
        self._model.max_seq_length = self._max_tokens
        prompts: dict[str, str] = self._model.prompts or {}
        own = prompts.get("query") or None
        self._query_prompt = own if config.query_prompt is None else (config.query_prompt or None)
        self._document_prompt = prompts.get("document") or prompts.get("passage") or None
        self.dim = int(self._model.encode(["a"], show_progress_bar=False).shape[1])

    def encode(self, texts: Sequence[str], *, query: bool = False) -> Vectors:
        """One unit vector per text, in the same order. Shape: (N, dim), float32."""
        import torch

        if isinstance(texts, str):
            raise InvalidArgumentError("texts is a single string; pass a list of strings", field="texts")
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        # sentence-transformers sorts by length, so a batch is hardly padded, and restores the order.
        with torch.inference_mode():
            rows = self._model.encode(
                [self._clean(text) for text in texts],
                prompt=self._query_prompt if query else self._document_prompt,
                batch_size=self.config.batch_size,
                show_progress_bar=False,
                convert_to_tensor=True,
            )
        return unit_rows(rows)

    def _clean(self, text: str) -> str:
        cut = text[: self._max_tokens * _CHARS_PER_TOKEN]
        # Tokenizers refuse halves of surrogate pairs, which JSON and file names can carry.
        return cut.encode("utf-8", "replace").decode("utf-8")


def _short(model: str) -> str:
    """The model's name without the folders of this machine."""
    return Path(model).name if Path(model).is_dir() else model


def _load(model: str) -> Any:
    try:
        with quiet_loading():
            from sentence_transformers import SentenceTransformer
    except ImportError as err:
        raise MissingExtraError("sentence-transformers is not installed; run: pip install 'mmrec[encoders]'") from err
    name = str(minilm_folder()) if model == MINILM else model
    folder = Path(name).expanduser()
    local = folder.exists()
    if not local and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise ModelNotAvailableError(
            f"text model {model!r} is not a folder here; pass a folder that holds the model, a hub id "
            f"such as "
            "Qwen/Qwen3-Embedding-0.6B, or the preset 'embedded', which needs no download"
        )
    try:
        with quiet_loading():
            loaded = SentenceTransformer(
                str(folder) if local else name,
                device="cpu",
                trust_remote_code=False,
                local_files_only=local,
                # As stored: cast later, so that the fingerprint does not depend on the computing format.
                model_kwargs={"dtype": "auto"},
            )
    except MmrecError:
        raise
    except Exception as err:
        if local:
            raise ModelNotAvailableError(
                f"the folder {name!r} cannot be loaded as a text model ({type(err).__name__}); check that "
                f"the download "
                "is whole (config.json, tokenizer and *.safetensors), or pass the preset 'embedded'"
            ) from err
        raise ModelNotAvailableError(
            f"text model {model!r} is not on this machine and cannot be fetched from the Hugging Face hub; "
            "pass a local folder that holds it, or the preset 'embedded', which needs no download"
        ) from err
    return loaded.eval()
