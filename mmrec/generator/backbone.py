"""The decoder that reads histories: `SmallDecoder`, trained from scratch, or a pretrained Hugging Face model with LoRA.

Maps embeddings to hidden states. Attention is causal and padding is on the right, so no mask is needed.
"""

# Axes: B users, T history positions, H hidden width

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from mmrec.errors import InvalidArgumentError, ModelNotAvailableError
from mmrec.generator.config import GeneratorConfig
from mmrec.generator.small_decoder import MODEL_TYPE, DecoderConfig, SmallDecoder, load_decoder, save_decoder
from mmrec.runtime.quiet import quiet_loading


class PretrainedDecoder(nn.Module):
    """A Hugging Face decoder-only model as a function from embeddings to hidden states."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs_BTH: Tensor) -> Tensor:
        """Hidden states of the last layer, in the dtype of the inputs. Shape of both: (B, T, H)."""
        inputs_BTH, dtype = inputs_BTH.to(self.model.dtype), inputs_BTH.dtype
        states_BTH: Tensor = self.model(inputs_embeds=inputs_BTH, use_cache=False).last_hidden_state
        return states_BTH.to(dtype)


Backbone = SmallDecoder | PretrainedDecoder


def build_backbone(config: GeneratorConfig) -> tuple[Backbone, int]:
    """The model and its hidden width.

    Raises:
        ModelNotAvailableError: a pretrained model is neither on disk nor downloadable.
        InvalidArgumentError: a pretrained model has fewer positions than `config.max_history`.
    """
    if config.pretrained:
        return _with_lora(config)
    shape = DecoderConfig(
        hidden=config.hidden,
        layers=config.layers,
        heads=config.heads,
        kv_heads=config.heads,
        head_width=config.hidden // config.heads,
        inner=4 * config.hidden,
        qk_norm=config.qk_norm,
        dropout=config.dropout,
    )
    return SmallDecoder(shape), config.hidden


def save_backbone(backbone: Backbone, folder: Path) -> None:
    """Write ``config.json`` and ``model.safetensors``; LoRA matrices are merged."""
    if isinstance(backbone, SmallDecoder):
        save_decoder(backbone, folder)
        return
    model = backbone.model
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    with quiet_loading():
        model.save_pretrained(folder, safe_serialization=True)


def load_backbone(folder: Path) -> tuple[Backbone, int]:
    """Inverse of `save_backbone`."""
    if json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"] == MODEL_TYPE:
        decoder = load_decoder(folder)
        return decoder, decoder.config.hidden
    with quiet_loading():
        model = transformers.AutoModel.from_pretrained(folder, local_files_only=True)
    return PretrainedDecoder(model), int(model.config.hidden_size)


def _with_lora(config: GeneratorConfig) -> tuple[Backbone, int]:
    import peft

    try:
        with quiet_loading():
            model = transformers.AutoModel.from_pretrained(config.pretrained, dtype=torch.float32)
    except (OSError, ValueError) as err:
        raise ModelNotAvailableError(
            f"the language model {config.pretrained!r} is neither a local folder nor a hub model that can be reached; "
            "pass a folder that holds config.json and model.safetensors, or leave it empty to train a small model "
            "from scratch"
        ) from err
    positions = getattr(model.config, "max_position_embeddings", None) or config.max_history
    if config.max_history > positions:
        raise InvalidArgumentError(
            f"max_history is {config.max_history}, but {config.pretrained!r} has {positions} positions, and each item "
            f"takes one; pass {positions} or fewer, or a model with more",
            field="max_history",
        )
    lora = peft.LoraConfig(
        r=config.lora_rank, lora_alpha=2 * config.lora_rank, target_modules="all-linear", lora_dropout=config.dropout
    )
    with quiet_loading():
        return PretrainedDecoder(peft.get_peft_model(model, lora)), int(model.config.hidden_size)
