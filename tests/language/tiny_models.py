"""Checkpoints of real architectures with random weights, and a byte-level tokenizer: two layers, 32 wide."""

from pathlib import Path
from typing import Any

import gguf
import tokenizers
import torch
import transformers

from mmrec.language.language_model import LanguageModel

VOCABULARY = 259
END = 256
START = 257
CHAT = "{% for turn in messages %}{{ turn.role }}: {{ turn.content }}<end>{% endfor %}assistant:"
_WIDTHS: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "vocab_size": VOCABULARY,
    "eos_token_id": END,
    "bos_token_id": START,
    "pad_token_id": END,
    # Large weights, so that words follow each other that differ.
    "initializer_range": 0.5,
}
DECODER_ONLY = ("llama", "qwen3", "mistral", "gemma", "gpt2")
ALL = (*DECODER_ONLY, "t5")


def tiny_model(kind: str) -> Any:
    """A model with its head and random weights."""
    torch.manual_seed(0)
    if kind == "llama":
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(**_WIDTHS))
    if kind == "qwen3":
        return transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**_WIDTHS))
    if kind == "mistral":
        return transformers.MistralForCausalLM(transformers.MistralConfig(**_WIDTHS))
    if kind == "gemma":
        return transformers.GemmaForCausalLM(transformers.GemmaConfig(**_WIDTHS))
    if kind == "gpt2":
        return transformers.GPT2LMHeadModel(
            transformers.GPT2Config(
                n_embd=32,
                n_layer=2,
                n_head=4,
                n_positions=256,
                vocab_size=VOCABULARY,
                eos_token_id=END,
                bos_token_id=START,
                initializer_range=0.5,
            )
        )
    config: Any = transformers.T5Config
    model = transformers.T5ForConditionalGeneration(
        config(
            d_model=32,
            d_kv=8,
            d_ff=64,
            num_layers=2,
            num_heads=4,
            vocab_size=VOCABULARY,
            eos_token_id=END,
            pad_token_id=START,
            decoder_start_token_id=START,
            initializer_factor=5.0,
            dropout_rate=0.0,
            tie_word_embeddings=False,
        )
    )
    return model


def tiny_tokenizer() -> Any:
    """One token for each byte, and one for "ab"."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokens = {token: number for number, token in enumerate([*alphabet, "<end>", "<start>", "ab"])}
    made = tokenizers.Tokenizer(tokenizers.models.BPE(tokens, [("a", "b")]))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    fast: Any = transformers.PreTrainedTokenizerFast
    return fast(tokenizer_object=made, eos_token="<end>", bos_token="<start>")


def roomy(kind: str, *, chat: bool = False) -> LanguageModel:
    """A tiny model that is told to have room for prompts; GPT-2's positions are learned, so it keeps its own."""
    model, tokenizer = tiny_model(kind).eval(), tiny_tokenizer()
    if kind != "gpt2":
        model.config.max_position_embeddings = 4096
    if chat:
        tokenizer.chat_template = CHAT
    return LanguageModel(model, tokenizer)


def save_tiny(kind: str, folder: Path) -> Path:
    """A folder as the hub has them, with model and tokenizer."""
    tiny_model(kind).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def save_roomy(folder: Path, kind: str = "llama") -> Path:
    """A folder with a tiny model, its tokenizer and room for prompts."""
    made = roomy(kind)
    made.model.save_pretrained(folder)
    made.tokenizer.save_pretrained(folder)
    return folder


def save_tiny_gguf(file: Path) -> Path:
    """The tiny LLaMA as one GGUF file with its tokenizer, in float32."""
    model = tiny_model("llama")
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_license("mit")
    writer.add_block_count(2)
    writer.add_context_length(256)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(model.config.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(8)
    writer.add_vocab_size(VOCABULARY)
    tokens = sorted(tiny_tokenizer().get_vocab().items(), key=lambda entry: entry[1])
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([token for token, _ in tokens])
    writer.add_token_types([1] * 256 + [3, 3, 1])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(END)
    writer.add_bos_token_id(START)
    names = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    top = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}
    for name, weight in model.state_dict().items():
        parts = name.removeprefix("model.").removesuffix(".weight").split(".")
        own = f"blk.{parts[1]}.{names['.'.join(parts[2:])]}" if parts[0] == "layers" else top[parts[0]]
        if own.endswith(("attn_q", "attn_k")):
            # llama.cpp rotates neighbouring pairs, transformers rotates halves.
            weight = weight.reshape(-1, 2, 4, 32).swapaxes(1, 2).reshape(weight.shape)
        writer.add_tensor(f"{own}.weight", weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file
