"""Pretrained LLMs: one with random weights that the test makes, and a real LLaMA whose published text is known."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from mmrec.errors import InvalidArgumentError, ModelNotAvailableError
from mmrec.generator.backbone import PretrainedDecoder, build_backbone, load_backbone, save_backbone
from mmrec.generator.config import GeneratorConfig


def tiny_qwen3(folder: Path, positions: int = 2048) -> Path:
    config = transformers.Qwen3Config(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        vocab_size=100,
        max_position_embeddings=positions,
    )
    torch.manual_seed(0)
    transformers.Qwen3ForCausalLM(config).save_pretrained(folder)
    return folder


def test_a_pretrained_model_starts_as_it_was_and_trains_its_lora_matrices_only(tmp_path: Path) -> None:
    folder = tiny_qwen3(tmp_path)
    backbone, hidden = build_backbone(GeneratorConfig(pretrained=str(folder)))
    inputs = torch.randn(1, 5, 32)
    with torch.inference_mode():
        expected = transformers.AutoModel.from_pretrained(folder)(inputs_embeds=inputs).last_hidden_state
        found = backbone.eval()(inputs)
    assert hidden == 32
    assert torch.allclose(found, expected, atol=1e-6)
    trained = [name for name, weight in backbone.named_parameters() if weight.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)


def test_histories_longer_than_the_positions_of_the_pretrained_model_are_refused(tmp_path: Path) -> None:
    folder = tiny_qwen3(tmp_path, positions=64)
    build_backbone(GeneratorConfig(pretrained=str(folder), max_history=64))
    with pytest.raises(InvalidArgumentError, match="has 64 positions"):
        build_backbone(GeneratorConfig(pretrained=str(folder), max_history=65))


def test_lora_matrices_are_merged_when_saved(tmp_path: Path) -> None:
    backbone, _ = build_backbone(GeneratorConfig(pretrained=str(tiny_qwen3(tmp_path / "base"))))
    for name, weight in backbone.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    inputs = torch.randn(1, 5, 32)
    with torch.inference_mode():
        expected = backbone.eval()(inputs)
    save_backbone(backbone, tmp_path / "saved")
    loaded, hidden = load_backbone(tmp_path / "saved")
    with torch.inference_mode():
        assert torch.allclose(loaded(inputs), expected, atol=1e-5)
    assert hidden == 32
    assert {path.name for path in (tmp_path / "saved").iterdir()} == {"config.json", "model.safetensors"}


@pytest.mark.parametrize("qk_norm", [False, True])
def test_a_model_from_scratch_comes_back_from_disk_the_same(qk_norm: bool, tmp_path: Path) -> None:
    backbone, _ = build_backbone(GeneratorConfig(qk_norm=qk_norm, hidden=16, heads=2, layers=1))
    save_backbone(backbone, tmp_path)
    loaded, hidden = load_backbone(tmp_path)
    inputs = torch.randn(2, 3, 16)
    with torch.inference_mode():
        assert torch.equal(loaded.eval()(inputs), backbone.eval()(inputs))
    assert hidden == 16
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}


def test_padding_on_the_right_changes_nothing_before_it(tmp_path: Path) -> None:
    backbone, _ = build_backbone(GeneratorConfig(pretrained=str(tiny_qwen3(tmp_path))))
    inputs = torch.randn(2, 7, 32)
    with torch.inference_mode():
        whole, cut = backbone.eval()(inputs), backbone(inputs[:, :4])
        model = transformers.AutoModel.from_pretrained(tmp_path)
        mask = torch.tensor([[1, 1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1]])
        masked = model(inputs_embeds=inputs, attention_mask=mask).last_hidden_state
    assert torch.allclose(whole[:, :4], cut, atol=1e-5)
    assert torch.allclose(whole[0, :4], masked[0, :4], atol=1e-5)
    assert torch.allclose(whole[1], masked[1], atol=1e-5)


def test_when_a_model_is_neither_on_disk_nor_on_a_hub_that_answers() -> None:
    with pytest.raises(ModelNotAvailableError, match=r"pass a folder that holds config\.json"):
        build_backbone(GeneratorConfig(pretrained="nobody/no-such-model"))


# --- a real LLaMA -----------------------------------------------------------------------------------------------------


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


@pytest.mark.realdata
def test_a_real_llama_tells_its_published_story(data_folder: Path, tmp_path: Path) -> None:
    source = data_folder / "stories260K"
    llama2c_to_hugging_face(source / "stories260K.bin", tmp_path)
    backbone, _ = build_backbone(GeneratorConfig(pretrained=str(tmp_path)))
    assert isinstance(backbone, PretrainedDecoder)
    embedding = backbone.eval().model.get_input_embeddings().weight
    tokens = [1]
    with torch.inference_mode():
        for _ in range(150):
            states = backbone(embedding[torch.tensor([tokens])])
            tokens.append(int((states[0, -1] @ embedding.T).argmax()))
    pieces = llama2c_pieces(source / "tok512.bin", len(embedding))
    story = b"".join(pieces[token] for token in tokens[1:]).decode().lstrip()
    assert story.startswith(
        "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw "
        "a big, red ball. She wanted to play with it, but it was too high.\n"
        "Lily's mom said, \"Lily, let's go to the park.\" Lily was sad and didn't know what to do."
    )
