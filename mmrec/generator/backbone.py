"""The LLM that reads histories: `SmallDecoder`, trained from scratch, or a pretrained Hugging Face model, tuned.

Maps embeddings to hidden states, one for each position, which knows nothing about later positions. Attention is causal
and padding is on the right, so no mask of padding is needed. There is one class for each way in which a pretrained
model is fed: decoder-only, and encoder-decoder.
"""

# Axes: B users, T history positions, H hidden width

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from mmrec.contract.rules import MAX_HISTORY
from mmrec.errors import InvalidArgumentError, ModelNotAvailableError
from mmrec.generator.config import GeneratorConfig
from mmrec.generator.pretrained import find_checkpoint, load_model
from mmrec.generator.small_decoder import MODEL_TYPE, DecoderConfig, SmallDecoder, load_decoder, save_decoder
from mmrec.runtime.quiet import quiet_loading

_BASE = "base.json"


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


class PretrainedEncoderDecoder(nn.Module):
    """A Hugging Face encoder-decoder model, such as T5, as a function from embeddings to hidden states.

    The encoder reads the history; the state of a position is the decoder's, which has written the history up to the
    item before it and attends to what the encoder read up to the position itself. Both stacks are masked causally, so
    that one pass trains all positions, and serving computes what training did.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs_BTH: Tensor) -> Tensor:
        """Hidden states of the decoder's last layer, in the dtype of the inputs. Shape of both: (B, T, H)."""
        model, dtype = self.model, inputs_BTH.dtype
        inputs_BTH = inputs_BTH.to(model.dtype)
        batch, places, _ = inputs_BTH.shape
        later_TT = torch.ones(places, places, dtype=torch.bool, device=inputs_BTH.device).triu(1)
        mask_11TT = torch.zeros_like(later_TT, dtype=inputs_BTH.dtype).masked_fill(
            later_TT, torch.finfo(inputs_BTH.dtype).min
        )[None, None]
        read_BTH = model.get_encoder()(inputs_embeds=inputs_BTH, attention_mask=mask_11TT).last_hidden_state
        start_H = model.get_input_embeddings().weight[model.config.decoder_start_token_id or 0]
        written_BTH = torch.cat([start_H.expand(batch, 1, -1), inputs_BTH[:, :-1]], dim=1)
        states_BTH: Tensor = model.get_decoder()(
            inputs_embeds=written_BTH,
            encoder_hidden_states=read_BTH,
            encoder_attention_mask=mask_11TT,
            use_cache=False,
        ).last_hidden_state
        return states_BTH.to(dtype)


Backbone = SmallDecoder | PretrainedDecoder | PretrainedEncoderDecoder


def positions_of(backbone: Backbone) -> int:
    """Most positions that a model reads; where it has no such limit, as many as a history of a request has items."""
    if isinstance(backbone, SmallDecoder):
        return MAX_HISTORY
    return int(getattr(backbone.model.config, "max_position_embeddings", None) or MAX_HISTORY)


def build_backbone(config: GeneratorConfig) -> tuple[Backbone, int]:
    """The model and its hidden width.

    Raises:
        ModelNotAvailableError: a pretrained model is neither on disk nor downloadable.
        InvalidArgumentError: a pretrained model cannot be read, or has fewer positions than `config.max_history`.
    """
    if config.pretrained:
        return _pretrained(config)
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


def save_backbone(backbone: Backbone, folder: Path, config: GeneratorConfig | None = None) -> None:
    """Write ``config.json`` and ``model.safetensors`` with merged LoRA matrices.

    Args:
        backbone: What is saved.
        folder: Made if it is not there.
        config: That it was built from. Without its `bundle_base`, the LoRA matrices are written alone, and
            ``base.json`` with name and hash of the model that they belong to.
    """
    if isinstance(backbone, SmallDecoder):
        save_decoder(backbone, folder)
        return
    model = backbone.model
    if config is not None and not config.bundle_base:
        base = find_checkpoint(config.pretrained)
        with quiet_loading():
            model.save_pretrained(folder)
        described = {"model": base.name, "sha256": base.sha256, "first_layers": config.first_layers}
        (folder / _BASE).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
        return
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    with quiet_loading():
        model.save_pretrained(folder, safe_serialization=True)


def load_backbone(folder: Path) -> tuple[Backbone, int]:
    """Inverse of `save_backbone`.

    Raises:
        ModelNotAvailableError: the model of stored LoRA matrices is nowhere to be found, or is another one by now.
    """
    if (folder / _BASE).is_file():
        return _with_adapter(folder)
    if json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"] == MODEL_TYPE:
        decoder = load_decoder(folder)
        return decoder, decoder.config.hidden
    with quiet_loading():
        model = transformers.AutoModel.from_pretrained(folder, local_files_only=True)  # nosec B615
    return _adapter(model)


def _with_adapter(folder: Path) -> tuple[Backbone, int]:
    import peft

    described = json.loads((folder / _BASE).read_text(encoding="utf-8"))
    base = find_checkpoint(described["model"])
    if base.sha256 != described["sha256"]:
        raise ModelNotAvailableError(
            f"the adapter in {folder} was trained on weights with the SHA-256 {described['sha256']}, and the language "
            f"model {base.name!r} has {base.sha256}; bring back the model that it belongs to, or fit again"
        )
    model = load_model(base)
    if described["first_layers"]:
        _keep_first_layers(model, described["first_layers"])
    with quiet_loading():
        return _adapter(peft.PeftModel.from_pretrained(model, str(folder)).merge_and_unload())


def _pretrained(config: GeneratorConfig) -> tuple[Backbone, int]:
    """A pretrained model, ready to be tuned as `config` says."""
    model = load_model(find_checkpoint(config.pretrained))
    positions = getattr(model.config, "max_position_embeddings", None) or config.max_history
    if config.max_history > positions:
        raise InvalidArgumentError(
            f"max_history is {config.max_history}, but {config.pretrained!r} has {positions} positions, and each item "
            f"takes one; pass {positions} or fewer, or a model with more",
            field="max_history",
        )
    if config.first_layers:
        _keep_first_layers(model, config.first_layers)
    if config.gradient_checkpointing:
        # The second is the name in older versions of transformers.
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable()
    if config.tuning == "lora":
        import peft

        lora = peft.LoraConfig(
            r=config.lora_rank,
            lora_alpha=2 * config.lora_rank,
            target_modules="all-linear",
            lora_dropout=config.dropout,
            fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
        )
        with quiet_loading():
            model = peft.get_peft_model(model, lora)
    elif config.tuning == "frozen":
        model.requires_grad_(False)
    return _adapter(model)


def _keep_first_layers(model: Any, keep: int) -> None:
    """Drop the later layers of every stack of a model."""
    layers = model.config.num_hidden_layers
    if keep > layers:
        raise InvalidArgumentError(
            f"first_layers is {keep}, and the language model has {layers} layers; pass {layers} or fewer, or 0 for all",
            field="first_layers",
        )
    open_modules = [model]
    while open_modules:
        for module in open_modules.pop().children():
            if isinstance(module, nn.ModuleList) and len(module) == layers:
                # What is inside a layer stays.
                del module[keep:]
            else:
                open_modules.append(module)
    model.config.num_hidden_layers = keep
    if getattr(model.config, "num_decoder_layers", None):
        model.config.num_decoder_layers = keep
    if getattr(model.config, "layer_types", None):
        model.config.layer_types = model.config.layer_types[:keep]


def _adapter(model: Any) -> tuple[Backbone, int]:
    """The class that feeds a model, and the width of its hidden states."""
    feeds = PretrainedEncoderDecoder if model.config.is_encoder_decoder else PretrainedDecoder
    return feeds(model), int(model.config.hidden_size)
