"""Reads a real LLaMA in the format of llama2.c: weights, and a tokenizer for its texts."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
import transformers


def llama2c_to_hugging_face(source: Path, folder: Path) -> None:
    """Turn a llama2.c checkpoint into a Hugging Face LLaMA folder.

    Source: the layout written by llama2.c's `export.py`, version 0. It rotates neighbouring pairs where Hugging Face
    rotates halves, so the rows of the query and key matrices are reordered.
    """
    data = source.read_bytes()
    dim, inner, layers, heads, kv_heads, vocabulary, length = struct.unpack("7i", data[:28])
    floats = np.frombuffer(data, dtype="<f4", offset=28)
    at = 0

    def take(*shape: int) -> torch.Tensor:
        nonlocal at
        size = int(np.prod(shape))
        part = torch.from_numpy(floats[at : at + size].reshape(shape).copy())
        at += size
        return part

    def halves(weight: torch.Tensor, groups: int) -> torch.Tensor:
        return weight.view(groups, -1, 2, dim).transpose(1, 2).reshape(weight.shape)

    head = dim // heads
    weights = {"model.embed_tokens.weight": take(vocabulary, dim)}
    names = [
        ("input_layernorm", (dim,)),
        ("self_attn.q_proj", (dim, dim)),
        ("self_attn.k_proj", (kv_heads * head, dim)),
        ("self_attn.v_proj", (kv_heads * head, dim)),
        ("self_attn.o_proj", (dim, dim)),
        ("post_attention_layernorm", (dim,)),
        ("mlp.gate_proj", (inner, dim)),
        ("mlp.down_proj", (dim, inner)),
        ("mlp.up_proj", (inner, dim)),
    ]
    for name, shape in names:
        stacked = take(layers, *shape)
        for layer in range(layers):
            weight = stacked[layer]
            if "q_proj" in name or "k_proj" in name:
                weight = halves(weight, weight.shape[0] // head)
            weights[f"model.layers.{layer}.{name}.weight"] = weight
    weights["model.norm.weight"] = take(dim)
    config = transformers.LlamaConfig(
        hidden_size=dim,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        vocab_size=vocabulary,
        max_position_embeddings=length,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
    )
    model = transformers.LlamaForCausalLM(config)
    wrong = model.load_state_dict(weights, strict=False)
    assert wrong.unexpected_keys == []
    assert wrong.missing_keys == ["lm_head.weight"]
    model.save_pretrained(folder)


def llama2c_pieces(source: Path, count: int) -> list[bytes]:
    data = source.read_bytes()
    at, pieces = 4, []
    for _ in range(count):
        _, size = struct.unpack_from("<fi", data, at)
        piece = data[at + 8 : at + 8 + size]
        pieces.append(bytes([int(piece[3:5], 16)]) if piece.startswith(b"<0x") else piece)
        at += 8 + size
    return pieces


def llama2c_tokenizer(source: Path, count: int, folder: Path) -> None:
    """Write a Hugging Face tokenizer that turns token ids into text; words are not read by it."""
    special = ("<unk>", "<s>", "</s>")
    pieces = llama2c_pieces(source, count)
    names = [f"<0x{piece[0]:02X}>" if 3 <= number < 259 else piece.decode() for number, piece in enumerate(pieces)]
    names[:3] = special
    made = tokenizers.Tokenizer(
        tokenizers.models.BPE({name: number for number, name in enumerate(names)}, [], byte_fallback=True)
    )
    made.decoder = tokenizers.decoders.Sequence(
        [tokenizers.decoders.ByteFallback(), tokenizers.decoders.Fuse(), tokenizers.decoders.Strip(" ", 1, 0)]
    )
    made_for: Any = transformers.PreTrainedTokenizerFast
    made_for(tokenizer_object=made, unk_token="<unk>", bos_token="<s>", eos_token="</s>").save_pretrained(folder)
