"""Tiny models with random weights, in the folder layouts that real ones come in."""

from __future__ import annotations

import gc
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

WORDS = ["a red mug", "green cushion with dots", "ein blauer Stuhl", "Instruct: find the item\nQuery: "]


def byte_tokenizer(folder: Path, *, end: str, pad: str, ends: bool = True) -> None:
    """A byte-level BPE tokenizer that ends each text with `end`, as Qwen3's embedders do, or does not."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=[end, pad], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(WORDS, trainer)
    if ends:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {end}", special_tokens=[(end, tokenizer.token_to_id(end))]
        )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=end, pad_token=pad, padding_side="left", model_max_length=512
    )
    wrapped.save_pretrained(folder)


def qwen3_embedder(folder: Path) -> Path:
    """A Qwen3 decoder with last-token pooling, left padding and a query prompt, in the files of Qwen3-Embedding."""
    qwen3_plain(folder)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    described = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(modules)
    ]
    pooling = {"word_embedding_dimension": 32, "pooling_mode_lasttoken": True, "include_prompt": True}
    prompts = {"query": "Instruct: find the item\nQuery: ", "document": ""}
    for name, content in (
        ("modules.json", described),
        ("1_Pooling/config.json", pooling),
        ("sentence_bert_config.json", {"max_seq_length": 128, "do_lower_case": False}),
        ("config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": None}),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    return folder


DECODER = {
    "vocab_size": 400,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    # Wider than the usual 0.02, so that the attention of so small a model matters.
    "initializer_range": 0.3,
}


def qwen3_plain(folder: Path) -> Path:
    """A Qwen3 decoder as the Hugging Face hub has it: no sentence-transformers files."""
    from transformers import Qwen3Config, Qwen3Model

    byte_tokenizer(folder, end="<|endoftext|>", pad="<|pad|>")
    torch.manual_seed(0)
    Qwen3Model(Qwen3Config(**DECODER)).save_pretrained(folder)
    return folder


def mistral_plain(folder: Path, *, add_eos_token: bool = True) -> Path:
    """A Mistral decoder in E5-Mistral's layout: the configuration asks for an end token, the tokenizer adds none."""
    from transformers import MistralConfig, MistralModel

    byte_tokenizer(folder, end="</s>", pad="<unk>", ends=False)
    path = folder / "tokenizer_config.json"
    settings = {**json.loads(path.read_text()), "add_eos_token": add_eos_token, "padding_side": "right"}
    path.write_text(json.dumps(settings))
    torch.manual_seed(1)
    MistralModel(MistralConfig(**DECODER)).save_pretrained(folder)
    return folder


def bert_folder(folder: Path) -> Path:
    """A BERT as the Hugging Face hub has it: no sentence-transformers files at all."""
    from transformers import BertConfig, BertModel

    byte_tokenizer(folder, end="[SEP]", pad="[PAD]")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=400,
        hidden_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                **json.loads((folder / "tokenizer_config.json").read_text()),
                "padding_side": "right",
                "model_max_length": 128,
            }
        )
    )
    return folder


_TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
VIT = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": _TEXT,
}
RESNET = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
    "text_cfg": _TEXT,
}


def open_clip_folder(folder: Path) -> Path:
    """An open_clip ViT of a configuration of its own, with ``open_clip_config.json`` and safetensors."""
    return _open_clip_folder(folder, VIT)


def open_clip_resnet_folder(folder: Path) -> Path:
    """Likewise with convolutions, whose normalisation keeps statistics beside its weights."""
    return _open_clip_folder(folder, RESNET)


def _open_clip_folder(folder: Path, config: dict[str, Any]) -> Path:
    import open_clip
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = open_clip.CLIP(**config)
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):  # as after a training: otherwise pictures hardly differ
            for values, low, high in (
                (layer.weight, 0.5, 2.0),
                (layer.running_mean, -0.1, 0.1),
                (layer.running_var, 0.1, 0.2),
            ):
                torch.nn.init.uniform_(values, low, high)
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}})
    )
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def in_memory(kind: type) -> int:
    """Number of objects of a class that are reachable."""
    gc.collect()
    return sum(type(thing) is kind for thing in gc.get_objects())


def hub_cache(root: Path, repo: str, folder: Path) -> Path:
    """A Hugging Face cache that holds a folder's files as a repository, as after a download."""
    base = root / f"models--{repo.replace('/', '--')}"
    revision = "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(folder, base / "snapshots" / revision)
    (base / "refs").mkdir()
    (base / "refs" / "main").write_text(revision)
    return root
