"""Texts to vectors with any model that sentence-transformers or transformers loads, LLM-based embedders included.

The model is named by hub id, local folder, or `MINILM` for the packaged one. Texts are tokenised once, sorted by
their real length and run in batches of about equally many tokens; a text's vector does not depend on its
neighbours. Knows nothing about items or templates.
"""

# Axes: N texts, B texts of one batch, T tokens, D dimensions

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mmrec.errors import InvalidArgumentError
from mmrec.runtime.device import cpu_multiplies_bfloat16, resolve_device, resolve_dtype
from mmrec.runtime.limits import check_numbers
from mmrec_encoders.compiling import compiled
from mmrec_encoders.protocols import Vectors
from mmrec_encoders.sentence_models import POOLINGS, load_text_model, short_name
from mmrec_encoders.text_batches import clean_text, encode_batches, encode_windows
from mmrec_encoders.weights import cast_weights, fingerprint_of

if TYPE_CHECKING:
    import torch

_FALLBACK_BATCH = 64
_DEFAULT_TOKENS = 512


@dataclass(frozen=True, slots=True)
class SentenceTextConfig:
    """Which text model, and how it is run.

    Attributes:
        model: Hub id, local folder, or `MINILM`.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        batch_size: Most texts per forward pass, at least 1.
        token_budget: Most tokens per forward pass, padding included; 0 chooses by device.
        max_tokens: Longer texts are cut to this many tokens; never more than the model takes.
        query_prompt: Put before searches; None takes the model's own prompt named ``query``, if it has one.
        document_prompt: Put before item texts; None takes the model's own prompt named ``document`` or
            ``passage``, if it has one.
        pooling: How token vectors become one: ``mean``, ``cls``, ``last``, or empty for the pooling of the model
            (for a plain Hugging Face model: ``last`` for a decoder, ``mean`` for an encoder).
        end_token: Whether the end-of-text token closes each text; None leaves it to the tokenizer's
            configuration.
        compile: Compile the model with `torch.compile`; the first calls are then slow.
    """

    model: str
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = 512
    token_budget: int = 0
    max_tokens: int = _DEFAULT_TOKENS
    query_prompt: str | None = None
    document_prompt: str | None = None
    pooling: str = ""
    end_token: bool | None = None
    compile: bool = False

    def __post_init__(self) -> None:
        if not self.model:
            raise InvalidArgumentError("model is empty; pass a hub id or a local folder", field="model")
        check_numbers(self, "batch_size", "max_tokens", low=1)
        check_numbers(self, "token_budget", low=0)
        if self.pooling not in POOLINGS:
            raise InvalidArgumentError(
                f"pooling is {self.pooling!r}; it must be mean, cls, last, or empty for the model's own",
                field="pooling",
            )


class SentenceTextEncoder:
    """A `TextEncoder` over a sentence-transformers model, in eval mode.

    Raises:
        ModelNotAvailableError: the model is neither on disk nor to be had from the hub, or cannot be loaded.
        DeviceNotAvailableError: the device is not here.
        InvalidArgumentError: the model cannot do what the configuration asks for.
        FailedPreconditionError: it is to be compiled, and there is no compiler.
    """

    def __init__(self, config: SentenceTextConfig) -> None:
        import torch

        self.config = config
        self.device = resolve_device(config.device)
        dtype = resolve_dtype(config.dtype, self.device)
        loaded = load_text_model(config.model, config.pooling)
        self._model = loaded.model
        name = short_name(config.model) + _settings(config)
        self.fingerprint = fingerprint_of(name, self._model.named_parameters())
        cast_weights(self._model, dtype)
        self._model.to(self.device)
        limit = self._model.max_seq_length
        self._max_tokens = config.max_tokens if limit is None else int(min(limit, config.max_tokens))
        with suppress(AttributeError):  # word vectors have no limit to set
            self._model.max_seq_length = self._max_tokens
        prompts: dict[str, str] = self._model.prompts or {}
        own_query, own_document = prompts.get("query"), prompts.get("document") or prompts.get("passage")
        self._query_prompt = (own_query if config.query_prompt is None else config.query_prompt) or ""
        self._document_prompt = (own_document if config.document_prompt is None else config.document_prompt) or ""
        self._direct = _can_tokenise(self._model, plain=loaded.plain)
        self._end = _end_token(self._model.tokenizer, config.end_token, loaded.asks_end) if self._direct else None
        # Positions count from the first real token, not from the padding.
        self._places = self._direct and self._model.tokenizer.padding_side == "left" and _takes_positions(self._model)
        if config.compile and type(self._model[0]).__name__ != "Transformer":
            raise InvalidArgumentError(
                f"compile is set, but text model {config.model!r} holds no transformer; leave it off", field="compile"
            )
        if config.end_token and not self._direct:
            raise InvalidArgumentError(
                f"end_token is set, but text model {config.model!r} has no fast tokenizer to add it; leave it unset",
                field="end_token",
            )
        if config.compile:
            _compile(self._model)
        elif self.device.type == "cpu" and dtype == torch.bfloat16 and cpu_multiplies_bfloat16():
            _attend_by_plain_products(self._model)
        # Two texts: a compiled pass for a single one would be another pass.
        self.dim = 0
        self.dim = int(self.encode(["a", "b"]).shape[1])

    def encode(self, texts: Sequence[str], *, query: bool = False) -> Vectors:
        """One unit vector per text, in the same order. Shape: (N, dim), float32."""
        prompt = self._query_prompt if query else self._document_prompt
        # Excluding the prompt from the pooling is left to sentence-transformers.
        excluded = prompt and any(getattr(module, "include_prompt", True) is False for module in self._model)
        run = self._encode_direct if self._direct and not excluded else self._encode_plainly
        return encode_windows(texts, self._max_tokens, self.dim, lambda part: run(part, prompt))

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token numbers of each text without a prompt, cut to the model's limit; at least one each.

        Raises:
            InvalidArgumentError: the model takes more than tokens.
        """
        if not self._direct:
            raise InvalidArgumentError(
                f"text model {self.config.model!r} has no fast tokenizer whose tokens could be had", field="text_model"
            )
        return self._tokenise([clean_text(text, self._max_tokens) for text in texts]) if texts else []

    def _encode_plainly(self, texts: list[str], prompt: str) -> torch.Tensor:
        """By sentence-transformers' own loop, for models whose inputs are more than tokens. Shape: (N, D)."""
        rows: torch.Tensor = self._model.encode(
            texts,
            prompt=prompt or None,
            batch_size=min(self.config.batch_size, _FALLBACK_BATCH),
            show_progress_bar=False,
            convert_to_tensor=True,
        )
        return rows

    def _encode_direct(self, texts: list[str], prompt: str) -> torch.Tensor:
        """By real lengths. Shape: (N, D)."""

        tokens = self._tokenise([prompt + text for text in texts] if prompt else texts)
        return encode_batches(
            np.array([len(ids) for ids in tokens], np.int64),
            lambda rows_B: self._forward([tokens[row] for row in rows_B]),
            self.device,
            batch_size=self.config.batch_size,
            token_budget=self.config.token_budget,
        )

    def _tokenise(self, texts: list[str]) -> list[list[int]]:
        """Token ids of each text, cut to the limit, at least one each."""
        tokenizer = self._model.tokenizer
        room = self._max_tokens - (self._end is not None)
        ids: list[list[int]] = tokenizer(
            texts, truncation=True, max_length=max(1, room), padding=False, return_attention_mask=False
        )["input_ids"]
        if self._end is not None:
            return [[*row, self._end] for row in ids]
        # Without tokens of its own around a text, nothing would be left of an empty one.
        filler = next((t for t in (tokenizer.eos_token_id, tokenizer.pad_token_id) if t is not None), 0)
        return [row or [filler] for row in ids]

    def _forward(self, tokens_B: list[list[int]]) -> torch.Tensor:
        """Vectors of one batch. Shape: (B, D)."""
        import torch

        lone = self.config.compile and len(tokens_B) == 1
        if lone:  # see __init__
            tokens_B = tokens_B * 2
        tokenizer = self._model.tokenizer
        left = tokenizer.padding_side == "left"
        longest = max(map(len, tokens_B))
        ids_BT = np.full((len(tokens_B), longest), tokenizer.pad_token_id or 0, np.int64)
        mask_BT = np.zeros_like(ids_BT)
        for row, ids in enumerate(tokens_B):
            at = slice(longest - len(ids), longest) if left else slice(0, len(ids))
            ids_BT[row, at], mask_BT[row, at] = ids, 1
        features: dict[str, Any] = {
            "input_ids": torch.from_numpy(ids_BT).to(self.device),
            "attention_mask": torch.from_numpy(mask_BT).to(self.device),
            "modality": "text",
        }
        if "token_type_ids" in tokenizer.model_input_names:
            features["token_type_ids"] = torch.zeros_like(features["input_ids"])
        if self._places:
            features["position_ids"] = (features["attention_mask"].cumsum(1) - 1).clamp(min=0)
        vectors_BD: torch.Tensor = self._model(features)["sentence_embedding"]
        return vectors_BD[:1] if lone else vectors_BD


def _settings(config: SentenceTextConfig) -> str:
    """Short hash of the settings that change item vectors; empty for the defaults."""
    changed: dict[str, Any] = {
        "max_tokens": None if config.max_tokens == _DEFAULT_TOKENS else config.max_tokens,
        "document_prompt": config.document_prompt,
        "pooling": config.pooling or None,
        "end_token": config.end_token,
    }
    settings = {name: value for name, value in changed.items() if value is not None}
    return "+" + hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8] if settings else ""


def _can_tokenise(model: Any, *, plain: bool) -> bool:
    """Whether the model takes tokens and nothing else, so that it can be run on batches made here."""
    first = model[0]
    if type(first).__name__ != "Transformer" or not getattr(first.tokenizer, "is_fast", False):
        return False
    modalities = getattr(first, "modality_config", {"text": {}})
    # A chat template in front of the text is sentence-transformers' to apply. A plain model's template is for
    # talk, not for embedding.
    return "text" in modalities and (plain or "message" not in modalities)


def _compile(model: Any) -> None:
    # The method and not the module, because sentence-transformers calls it by its name.
    transformer = model[0].auto_model
    transformer.forward = compiled(transformer.forward)


def _attend_by_plain_products(model: Any) -> None:
    # torch's fused attention multiplies bfloat16 as float32 on a CPU; two plain products are twice as fast.
    attention = getattr(getattr(model[0], "auto_model", None), "set_attn_implementation", None)
    if attention is not None:
        attention("eager")


def _takes_positions(model: Any) -> bool:
    return "position_ids" in inspect.signature(model[0].auto_model.forward).parameters


def _end_token(tokenizer: Any, wanted: bool | None, asked: bool) -> int | None:
    """The token to put behind each text; None where the tokenizer does it, or none is wanted."""
    if wanted is False:
        return None
    end = tokenizer.eos_token_id
    if wanted and end is None:
        raise InvalidArgumentError(
            "end_token is set, but the tokenizer has no end token; leave it unset", field="end_token"
        )
    ends = tokenizer("a")["input_ids"][-1:] == [end]
    return int(end) if (wanted or asked) and end is not None and not ends else None
