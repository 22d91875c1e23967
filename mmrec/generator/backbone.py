"""The LLM itself: a Hugging Face decoder-only model, small and from scratch or pretrained with LoRA.

Knows nothing about items: it is fed embeddings and gives hidden states.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from mmrec.errors import InvalidArgumentError, ModelNotAvailableError
from mmrec.generator.config import GeneratorConfig
from mmrec.runtime.quiet import quiet_loading

_SCRATCH = {
    "llama": (transformers.LlamaConfig, transformers.LlamaModel),
    "qwen3": (transformers.Qwen3Config, transformers.Qwen3Model),
    "mistral": (transformers.MistralConfig, transformers.MistralModel),
}


def build_backbone(config: GeneratorConfig) -> tuple[Any, int]:
    """The model and its hidden width.

    Raises:
        ModelNotAvailableError: a pretrained model is neither on disk nor on a hub that can be reached.
        InvalidArgumentError: a pretrained model has fewer positions than the longest history.
    """
    if config.pretrained:
        return _with_lora(config)
    config_class, model_class = _SCRATCH[config.architecture]
    shape = config_class(
        hidden_size=config.hidden,
        intermediate_size=4 * config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        head_dim=config.hidden // config.heads,
        max_position_embeddings=max(1024, config.max_history),
        attention_dropout=config.dropout,
        # Items are not words: no vocabulary is needed until instructions are read.
        vocab_size=1,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    return model_class(shape), config.hidden


def save_backbone(backbone: nn.Module, folder: Path) -> None:
    """Write the model in Hugging Face layout; LoRA matrices are merged into the weights they adapt."""
    model: Any = backbone
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    with quiet_loading():
        model.save_pretrained(folder, safe_serialization=True)


def load_backbone(folder: Path) -> tuple[Any, int]:
    """Read a model that `save_backbone` wrote."""
    with quiet_loading():
        model = transformers.AutoModel.from_pretrained(folder, local_files_only=True)
    return model, int(model.config.hidden_size)


def _with_lora(config: GeneratorConfig) -> tuple[Any, int]:
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
        return peft.get_peft_model(model, lora), int(model.config.hidden_size)
