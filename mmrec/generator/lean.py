"""A short way through small LLMs of the LLaMA family (LLaMA, Qwen3, Mistral): the same states, to float rounding.

Works on embeddings, over the weights of a Hugging Face model; knows nothing about items. A request's history is a few
dozen places and a small model a few layers: most of what `forward` takes there is the number of calls. Here the
projections that read the same input are one product, nothing is looked up per layer, and there is no mask: padding
stands on the right, where no place before it looks. Whatever is not known to be the same goes the model's own way.
A model of any size can be read this way in another number format (`Lean.of`): its weights are then copied all.
"""

# Axes: B customers, T history places, H hidden width, R rows (customers x places, and a few more), A attention heads of
# queries and keys together, D width of a head, F width of the feed-forward network, J joined outputs

from __future__ import annotations

import operator
import sys
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn

from mmrec.generator import triton_kernels as fused
from mmrec.generator.affine import affine, even_rows

KNOWN = (transformers.LlamaModel, transformers.MistralModel, transformers.Qwen3Model)

MOST_WEIGHTS = 32_000_000
"""Weights up to which a model is read this way: joined projections are copies, and calls are little of a larger one."""


_VERSION = operator.attrgetter("_version")


class _Layer(NamedTuple):
    """Weights of one layer; the scale of the norms of queries and keys is None where there are none."""

    norm_H: Tensor
    qkv_JH: Tensor
    turned_AD: Tensor | None
    out_HJ: Tensor
    mlp_norm_H: Tensor
    gate_up_JH: Tensor
    down_HF: Tensor


class LeanReader:
    """Reads embeddings with a model, the short way where that is right; copies of its weights follow the model's."""

    def __init__(self) -> None:
        # One tuple, for readers of one model may run beside each other.
        self._kept: tuple[Any, Lean | None] = (None, None)

    def read(self, model: Any, inputs_BTH: Tensor) -> Tensor | None:
        """Hidden states as ``model(inputs_embeds=...)`` would give; None where the model must be asked itself.

        What stands on padded places is of no meaning.

        Args:
            model: The LLM.
            inputs_BTH: Padded on the right. Shape: (B, T, H).
        """
        if (
            torch.is_grad_enabled()
            or model.training
            or inputs_BTH.dtype != torch.float32
            or torch.is_autocast_enabled(inputs_BTH.device.type)
        ):
            return None
        kept, lean = self._kept
        if kept is not model or (lean is not None and lean.is_stale()):
            lean = Lean(model, torch.float32) if _is_small(model) and _is_known(model) else None
            self._kept = (model, lean)
        return None if lean is None or inputs_BTH.shape[1] > lean.most_places else lean.states(inputs_BTH)

    def forget(self) -> None:
        """Let the copies go: the weights are about to change."""
        self._kept = (None, None)


class Lean:
    """The layers of one model, projections joined.

    Args:
        model: Of a known shape; see `of`.
        dtype: Number format of weights and states.
    """

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        config = model.config
        self._dtype = dtype
        # A window as long as the history leaves nothing out.
        self.most_places = getattr(config, "sliding_window", None) or sys.maxsize
        self._rotary = model.rotary_emb
        self._queries, self._keys, self._width = (
            config.num_attention_heads,
            config.num_key_value_heads,
            model.layers[0].self_attn.head_dim,
        )
        self._eps = config.rms_norm_eps
        self._norm_H = model.norm.weight.to(dtype)
        self._layers = [self._joined(layer) for layer in model.layers]
        self._own = [weight for weight in model.parameters() if not weight.is_inference()]
        self._as_read = self._state()
        self._turns: tuple[Tensor, Tensor] | None = None

    @classmethod
    @torch.no_grad()
    def of(cls, model: Any, dtype: torch.dtype) -> Lean | None:
        """The layers of a model as its weights are now, in a number format; None where its shape is not known."""
        return cls(model, dtype) if _is_known(model) else None

    def is_stale(self) -> bool:
        """Whether the model's weights are others by now."""
        return self._state() != self._as_read

    def _state(self) -> list[int]:
        return [*map(Tensor.data_ptr, self._own), *map(_VERSION, self._own)]

    def _joined(self, layer: Any) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        turned_AD = None
        if hasattr(attention, "q_norm"):
            query_D, key_D = attention.q_norm.weight, attention.k_norm.weight
            turned_AD = torch.cat([query_D.expand(self._queries, -1), key_D.expand(self._keys, -1)])
        dtype = self._dtype
        return _Layer(
            norm_H=layer.input_layernorm.weight.to(dtype),
            qkv_JH=torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]).to(dtype),
            turned_AD=None if turned_AD is None else turned_AD.to(dtype).contiguous(),
            out_HJ=attention.o_proj.weight.to(dtype),
            mlp_norm_H=layer.post_attention_layernorm.weight.to(dtype),
            gate_up_JH=torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]).to(dtype),
            down_HF=mlp.down_proj.weight.to(dtype),
        )

    def states(self, inputs_BTH: Tensor) -> Tensor:
        """Hidden states of the last layer. Shape of both: (B, T, H), in the number format of the weights."""
        batch, places, hidden = inputs_BTH.shape
        rows = batch * places
        more = 0 if inputs_BTH.is_cuda else even_rows(rows) - rows
        x_RH = inputs_BTH.reshape(rows, hidden)
        # What is added to in place must not be the caller's.
        x_RH = F.pad(x_RH, (0, 0, 0, more)) if more else x_RH.clone()
        turn = self._turn(places, inputs_BTH)
        is_fused = inputs_BTH.is_cuda and fused.available(inputs_BTH.device, self._dtype, self._width, hidden)
        norm, gated = (partial(fused.rms_norm, eps=self._eps), fused.gated) if is_fused else (self._norm, _gated)
        for layer in self._layers:
            qkv_RJ = affine(norm(x_RH, layer.norm_H), layer.qkv_JH)
            mixed_RJ = self._attend(qkv_RJ[:rows], layer, turn, batch, is_fused).flatten(0, 1)
            if more:
                mixed_RJ = F.pad(mixed_RJ, (0, 0, 0, more))
            x_RH = _added(x_RH, mixed_RJ, layer.out_HJ)
            x_RH = _added(x_RH, gated(affine(norm(x_RH, layer.mlp_norm_H), layer.gate_up_JH)), layer.down_HF)
        return norm(x_RH[:rows], self._norm_H).view(batch, places, hidden)

    def _norm(self, x_RH: Tensor, scale_H: Tensor) -> Tensor:
        return F.rms_norm(x_RH, x_RH.shape[1:], scale_H, self._eps)

    def _attend(self, qkv_RJ: Tensor, layer: _Layer, turn: tuple[Tensor, Tensor], batch: int, is_fused: bool) -> Tensor:
        """Shape: (B, T, query heads x D)."""
        both = self._queries + self._keys
        if is_fused:
            fused.turn_(qkv_RJ, layer.turned_AD, turn, both, self._eps)
        qkv_BTJD = qkv_RJ.view(batch, len(qkv_RJ) // batch, -1, self._width)
        both_BTAD, value_BTVD = qkv_BTJD[:, :, :both], qkv_BTJD[:, :, both:]
        if not is_fused:
            if layer.turned_AD is not None:
                both_BTAD = F.rms_norm(both_BTAD, (self._width,), None, self._eps) * layer.turned_AD
            # Rotary positions: the halves of a head change places, the first one negated (by the sines).
            both_BTAD = torch.addcmul(both_BTAD * turn[0], both_BTAD.roll(self._width // 2, -1), turn[1])
        query_BTQD, key_BTKD = both_BTAD[:, :, : self._queries], both_BTAD[:, :, self._queries :]
        mixed_BQTD = F.scaled_dot_product_attention(
            query_BTQD.transpose(1, 2),
            key_BTKD.transpose(1, 2),
            value_BTVD.transpose(1, 2),
            is_causal=True,
            enable_gqa=self._queries != self._keys,
        )
        return mixed_BQTD.transpose(1, 2).flatten(2)

    def prepare(self, places: int, device: torch.device) -> None:
        """Make what depends on positions alone for histories of up to so many places."""
        self._turn(places, torch.empty(0, dtype=self._dtype, device=device))

    def _turn(self, places: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and signed sines of rotary positions. Shape of each: (T, 1, D)."""
        turns = self._turns
        if turns is None or len(turns[0]) < places or turns[0].device != like.device:
            cos_1TD, sin_1TD = self._rotary(like, torch.arange(places, device=like.device).unsqueeze(0))
            sign_D = torch.ones(self._width, dtype=like.dtype, device=like.device)
            sign_D[: self._width // 2] = -1.0
            self._turns = turns = cos_1TD[0].unsqueeze(1).contiguous(), (sin_1TD[0] * sign_D).unsqueeze(1)
        return turns[0][:places], turns[1][:places]


def _gated(both_R2F: Tensor) -> Tensor:
    gate_RF, up_RF = both_R2F.chunk(2, dim=1)
    return F.silu(gate_RF).mul_(up_RF)


def _added(x_RO: Tensor, y_RI: Tensor, weight_OI: Tensor) -> Tensor:
    """``x + y @ weight.T``; on a GPU in the place of `x`."""
    return x_RO.addmm_(y_RI, weight_OI.T) if x_RO.is_cuda else affine(y_RI, weight_OI).add_(x_RO)


def _is_small(model: Any) -> bool:
    """Whether a model is worth reading this way in its own number format."""
    weights = list(model.parameters())
    return sum(weight.numel() for weight in weights) <= MOST_WEIGHTS and all(
        weight.dtype == torch.float32 for weight in weights
    )


def _is_known(model: Any) -> bool:
    """Whether a model is of a shape that `Lean` computes."""
    if type(model) not in KNOWN:
        return False
    projections = [
        getattr(part, f"{name}_proj")
        for layer in model.layers
        for part, names in ((layer.self_attn, "qkvo"), (layer.mlp, ("gate", "up", "down")))
        for name in names
    ]
    return (
        model.config.hidden_act == "silu"
        and getattr(model.rotary_emb, "rope_type", None) == "default"
        and "sliding_attention" not in (getattr(model.config, "layer_types", None) or ())
        and all(type(linear) is nn.Linear and linear.bias is None for linear in projections)
    )
