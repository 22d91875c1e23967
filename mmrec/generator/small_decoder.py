"""A small decoder trained from scratch: RMSNorm, rotary positions, causal attention, SwiGLU.

Maps embeddings to hidden states, computing the same as Hugging Face's LLaMA, or its Qwen3 with `qk_norm`. There is no
mask: attention is causal and padding is on the right. One forward for training and serving, as in nanochat's `gpt.py`.
"""

# Axes: B users, T positions, H hidden width, h heads, D width of a head, F width of the feed-forward network

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mmrec.contract.rules import MAX_HISTORY
from mmrec.generator import triton_kernels as kernels

MODEL_TYPE = "mmrec-small-decoder"
_INIT_STD = 0.02


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """Shape of a small decoder.

    Attributes:
        hidden: Width of the states.
        layers: Transformer layers.
        heads: Query heads.
        kv_heads: Key and value heads, each shared by `heads` / `kv_heads` query heads.
        head_width: Width of a head, even.
        inner: Width of the feed-forward network.
        qk_norm: Whether queries and keys are normalised before they are rotated.
        dropout: Of attention weights, in training.
        norm_eps: Added to the mean square in every norm.
        rope_theta: Base of the rotary frequencies.
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    inner: int
    qk_norm: bool = False
    dropout: float = 0.0
    norm_eps: float = 1e-6
    rope_theta: float = 10_000.0


class Order(NamedTuple):
    """Inputs that do not simply follow one another.

    Attributes:
        positions_T: Position of each input. Shape: (T,), int64.
        seen_TT: Whether the input of the row attends to that of the column. Shape: (T, T), bool.
    """

    positions_T: Tensor
    seen_TT: Tensor


class SmallDecoder(nn.Module):
    """See the module's first paragraph."""

    cos_T1D: Tensor
    sin_T1D: Tensor

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        # Unused draws, here and below: they keep the initial weights of a seed equal to those of the published figures.
        torch.randn(config.hidden)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))
        self.norm = _RMSNorm(config.hidden, config.norm_eps)
        torch.randn(config.hidden)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=_INIT_STD)
        for name, table_T1D in zip(("cos_T1D", "sin_T1D"), _rotary_tables(config), strict=True):
            self.register_buffer(name, table_T1D, persistent=False)

    def forward(self, inputs_BTH: Tensor, order: Order | None = None) -> Tensor:
        """Hidden states of the last layer; those of padded positions are meaningless.

        Args:
            inputs_BTH: Padded on the right, up to `MAX_HISTORY` positions. Shape: (B, T, H).
            order: Where each input stands and what it attends to; None: one after the other.
        """
        places: slice | Tensor = slice(inputs_BTH.shape[1]) if order is None else order.positions_T
        cos_T1D, sin_T1D = self.cos_T1D[places], self.sin_T1D[places]
        seen_TT = None if order is None else order.seen_TT
        x_BTH = inputs_BTH
        for layer in self.layers:
            x_BTH = layer(x_BTH, cos_T1D, sin_T1D, seen_TT)
        return self.norm(x_BTH)  # type: ignore[no-any-return]


class _Layer(nn.Module):
    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.attention = _Attention(config)
        self.mlp = _SwiGLU(config)
        self.attention_norm = _RMSNorm(config.hidden, config.norm_eps)
        self.mlp_norm = _RMSNorm(config.hidden, config.norm_eps)

    def forward(self, x_BTH: Tensor, cos_T1D: Tensor, sin_T1D: Tensor, seen_TT: Tensor | None) -> Tensor:
        x_BTH = x_BTH + self.attention(self.attention_norm(x_BTH), cos_T1D, sin_T1D, seen_TT)
        return x_BTH + self.mlp(self.mlp_norm(x_BTH))  # type: ignore[no-any-return]


class _Attention(nn.Module):
    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        width = config.head_width
        self.query = nn.Linear(config.hidden, config.heads * width, bias=False)
        self.key = nn.Linear(config.hidden, config.kv_heads * width, bias=False)
        self.value = nn.Linear(config.hidden, config.kv_heads * width, bias=False)
        self.out = nn.Linear(config.heads * width, config.hidden, bias=False)
        if config.qk_norm:
            self.query_norm, self.key_norm = (_RMSNorm(width, config.norm_eps) for _ in range(2))

    def forward(self, x_BTH: Tensor, cos_T1D: Tensor, sin_T1D: Tensor, seen_TT: Tensor | None) -> Tensor:
        query_BThD, key_BThD, value_BThD = (
            project(x_BTH).unflatten(2, (-1, self.config.head_width)) for project in (self.query, self.key, self.value)
        )
        if self.config.qk_norm:
            query_BThD, key_BThD = self.query_norm(query_BThD), self.key_norm(key_BThD)
        mixed_BhTD = F.scaled_dot_product_attention(
            kernels.rotate(query_BThD, cos_T1D, sin_T1D).transpose(1, 2),
            kernels.rotate(key_BThD, cos_T1D, sin_T1D).transpose(1, 2),
            value_BThD.transpose(1, 2),
            dropout_p=self.config.dropout if self.training else 0.0,
            attn_mask=seen_TT,
            is_causal=seen_TT is None,
            enable_gqa=self.config.kv_heads != self.config.heads,
        )
        return self.out(mixed_BhTD.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class _SwiGLU(nn.Module):
    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(config.hidden, config.inner, bias=False)
        self.up = nn.Linear(config.hidden, config.inner, bias=False)
        self.down = nn.Linear(config.inner, config.hidden, bias=False)

    def forward(self, x_BTH: Tensor) -> Tensor:
        return self.down(kernels.gated(self.gate(x_BTH), self.up(x_BTH)))  # type: ignore[no-any-return]


class _RMSNorm(nn.Module):
    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return kernels.rms_norm(x, self.weight, self.eps)


def _rotary_tables(config: DecoderConfig) -> tuple[Tensor, Tensor]:
    """Cosines, and sines with the first half of a head negated. Shape of each: (T, 1, D)."""
    width = config.head_width
    frequency_D = 1.0 / config.rope_theta ** (torch.arange(0, width, 2).float() / width)
    # Positions of the longest history, and a few more: a sentence comes after it, and batches may be padded.
    angle_TD = (torch.arange(MAX_HISTORY + 24).float().unsqueeze(1) * frequency_D).repeat(1, 2)
    sin_TD = angle_TD.sin()
    sin_TD[:, : width // 2] *= -1
    return angle_TD.cos().unsqueeze(1), sin_TD.unsqueeze(1)


def save_decoder(decoder: SmallDecoder, folder: Path) -> None:
    """Write ``config.json`` and ``model.safetensors``."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_type": MODEL_TYPE, **asdict(decoder.config)}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    save_file(
        {name: weight.contiguous() for name, weight in decoder.state_dict().items()}, folder / "model.safetensors"
    )


def load_decoder(folder: Path) -> SmallDecoder:
    """Inverse of `save_decoder`, on the CPU."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["model_type"]
    decoder = SmallDecoder(DecoderConfig(**config))
    decoder.load_state_dict(load_file(folder / "model.safetensors"))
    return decoder
