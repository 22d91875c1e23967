"""Text encoder over the text tower of any open_clip model, in the space of its picture vectors."""

# Axes: N texts, B texts of one batch, T tokens, D dimensions

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mmrec.errors import InvalidArgumentError
from mmrec.runtime.device import resolve_device, resolve_dtype
from mmrec_encoders.compiling import compiled
from mmrec_encoders.open_clip_models import OpenClipConfig, load_open_clip, load_tokenizer, short_name
from mmrec_encoders.protocols import Vectors
from mmrec_encoders.text_batches import encode_batches, encode_windows
from mmrec_encoders.weights import cast_weights, fingerprint_of

if TYPE_CHECKING:
    import torch

_MOST_TEXTS = 512


class ClipTextEncoder:
    """A `TextEncoder` over the text tower of an open_clip model. Queries and items are encoded in the same way.

    Raises:
        ModelNotAvailableError: the model is unknown, or its weights or its tokenizer can be neither read nor
            fetched.
        InvalidArgumentError: the model has no text tower.
        DeviceNotAvailableError: the device is not here.
        FailedPreconditionError: it is to be compiled, and there is no compiler.
    """

    def __init__(self, config: OpenClipConfig) -> None:
        self.config = config
        self.device = resolve_device(config.device)
        dtype = resolve_dtype(config.dtype, self.device)
        self._tokenizer = load_tokenizer(config)
        model = load_open_clip(config)
        if not hasattr(model, "encode_text"):
            raise InvalidArgumentError(
                f"open_clip model {config.model!r} has no text side; name a CLIP model", field="model"
            )
        for unused in ("visual", "text_decoder"):
            if hasattr(model, unused):
                delattr(model, unused)
        self.fingerprint = fingerprint_of(short_name(config), model.named_parameters())
        cast_weights(model, dtype)
        self._model = model.to(self.device)
        self._short = _shortened(self._model)
        run: Callable[..., Any] = self._run_short if self._short is not None else self._model.encode_text
        self._run = compiled(run) if config.compile else run
        self._context = int(self._tokenizer.context_length or self._model.context_length)
        # Two texts, because a batch of one would be compiled separately.
        self.dim = 0
        self.dim = int(self.encode(["a", "b"]).shape[1])

    def encode(self, texts: Sequence[str], *, query: bool = False) -> Vectors:
        """One unit vector per text, in the same order. Shape: (N, dim), float32."""
        return encode_windows(texts, self._context, self.dim, self._encode)

    def _encode(self, texts: list[str]) -> torch.Tensor:
        """By real lengths. Shape: (N, D)."""
        import torch

        tokens_NT = self._tokenizer(texts)
        # A causal model does not see the padding after the end token, so it can be cut; others need it.
        whole = torch.full((len(texts),), tokens_NT.shape[1])
        lengths_N = (tokens_NT.argmax(1) + 1 if self._short is not None else whole).numpy()
        return encode_batches(
            lengths_N,
            lambda rows_B: self._forward(
                tokens_NT[torch.from_numpy(rows_B), : int(lengths_N[rows_B].max())].to(self.device)
            ),
            self.device,
            batch_size=self.config.batch_size or _MOST_TEXTS,
        )

    def _forward(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        lone = self.config.compile and len(tokens_BT) == 1
        rows_BD: torch.Tensor = self._run(tokens_BT.repeat(2, 1) if lone else tokens_BT)
        return rows_BD[:1] if lone else rows_BD

    def _run_short(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        """Same as ``encode_text``, for tokens cut after the last end token. Shape: (B, D)."""
        import torch

        tower, length = self._short, tokens_BT.shape[1]
        assert tower is not None
        dtype = tower.transformer.get_cast_dtype()
        x = tower.token_embedding(tokens_BT).to(dtype) + tower.positional_embedding[:length].to(dtype)
        x = tower.ln_final(tower.transformer(x, attn_mask=tower.attn_mask[:length, :length]))
        x = x[torch.arange(len(x), device=x.device), tokens_BT.argmax(dim=-1)]
        projection = tower.text_projection
        if projection is not None:
            x = projection(x) if isinstance(projection, torch.nn.Linear) else x @ projection
        rows_BD: torch.Tensor = x
        return rows_BD


def _shortened(model: Any) -> Any:
    """The text tower if texts can be cut after their end token (causal, pooled at the end token); else None."""
    tower = getattr(model, "text", model)
    pooling = getattr(tower, "pool_type", None) or getattr(tower, "text_pool_type", None)
    parts = ("token_embedding", "positional_embedding", "transformer", "ln_final", "text_projection")
    if (
        pooling != "argmax"
        or getattr(tower, "attn_mask", None) is None
        or getattr(tower, "cls_emb", None) is not None
        or getattr(tower, "use_pad_mask", False)
        or getattr(tower, "output_tokens", False)
        or not all(hasattr(tower, part) for part in parts)
    ):
        return None
    return tower
