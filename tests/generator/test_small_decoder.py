"""The small decoder against the Hugging Face classes whose mathematics it has."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from mmrec.generator.small_decoder import DecoderConfig, SmallDecoder, load_decoder, save_decoder


def small_config(*, qk_norm: bool = False, kv_heads: int = 4, dropout: float = 0.0) -> DecoderConfig:
    return DecoderConfig(
        hidden=32,
        layers=2,
        heads=4,
        kv_heads=kv_heads,
        head_width=8,
        inner=48,
        qk_norm=qk_norm,
        dropout=dropout,
        rope_theta=500.0,
    )


def hugging_face(config: DecoderConfig) -> Any:
    config_class, model_class = (
        (transformers.Qwen3Config, transformers.Qwen3Model)
        if config.qk_norm
        else (transformers.LlamaConfig, transformers.LlamaModel)
    )
    return model_class(
        config_class(
            hidden_size=config.hidden,
            intermediate_size=config.inner,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.kv_heads,
            head_dim=config.head_width,
            attention_dropout=config.dropout,
            rms_norm_eps=config.norm_eps,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
            vocab_size=1,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=None,
        )
    )


def own_name(name: str) -> str:
    for theirs, ours in (
        ("self_attn.", "attention."),
        ("_proj", ""),
        (".q", ".query"),
        (".k", ".key"),
        (".v.", ".value."),
        (".o.", ".out."),
        ("input_layernorm", "attention_norm"),
        ("post_attention_layernorm", "mlp_norm"),
    ):
        name = name.replace(theirs, ours)
    return name


def parameters_of(model: Any) -> dict[str, nn.Parameter]:
    """By our names, in the order of the model."""
    return {own_name(name): weight for name, weight in model.named_parameters() if "embed_tokens" not in name}


def pair(config: DecoderConfig) -> tuple[SmallDecoder, Any]:
    """Our decoder and theirs with the same random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        own, theirs = SmallDecoder(config), hugging_face(config)
        with torch.no_grad():
            for weight, other in zip(own.parameters(), parameters_of(theirs).values(), strict=True):
                other.copy_(nn.init.normal_(weight, std=0.3))
    return own, theirs


@pytest.mark.parametrize("qk_norm", [False, True])
@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_states_and_gradients_are_those_of_hugging_face_whatever_the_padding(qk_norm: bool, kv_heads: int) -> None:
    own, theirs = pair(small_config(qk_norm=qk_norm, kv_heads=kv_heads))
    for batch, places in ((1, 1), (1, 7), (3, 33), (2, 9)):
        valid = torch.arange(places) < torch.arange(places, places - batch, -1).unsqueeze(1)
        inputs, slopes = torch.randn(2, batch, places, 32, generator=torch.Generator().manual_seed(places))
        found, wanted = inputs.clone().requires_grad_(), inputs.clone().requires_grad_()
        states = own(found)
        expected = theirs(inputs_embeds=wanted, attention_mask=valid.long(), use_cache=False).last_hidden_state
        assert states.shape == inputs.shape
        assert torch.allclose(states[valid], expected[valid], atol=1e-4)
        for decoder, output in ((own, states), (theirs, expected)):
            decoder.zero_grad()
            (output[valid] * slopes[valid]).sum().backward()
        gradients = {name: weight.grad for name, weight in parameters_of(theirs).items()}
        assert gradients.keys() == dict(own.named_parameters()).keys()
        for name, weight in (*own.named_parameters(), ("inputs", found)):
            right = wanted.grad if name == "inputs" else gradients[name]
            assert right is not None
            assert weight.grad is not None
            assert torch.allclose(weight.grad, right, atol=1e-3, rtol=1e-3), name
        with torch.inference_mode():
            assert torch.allclose(own(inputs), states, atol=1e-5)


def test_attention_is_dropped_in_training_as_hugging_face_does() -> None:
    own, theirs = pair(small_config(dropout=0.3))
    inputs = torch.randn(2, 9, 32, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        found = own.train()(inputs)
        torch.manual_seed(1)
        expected = theirs.train()(inputs_embeds=inputs, use_cache=False).last_hidden_state
    assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(own.eval()(inputs), found, atol=1e-1)


@pytest.mark.parametrize("qk_norm", [False, True])
def test_a_seed_gives_the_weights_that_hugging_face_would_draw(qk_norm: bool) -> None:
    config, drawn = small_config(qk_norm=qk_norm), []
    with torch.random.fork_rng(devices=[]):
        for make in (SmallDecoder, hugging_face):
            torch.manual_seed(7)
            drawn.append([*parameters_of(make(config)).values(), torch.rand(1)])
    assert all(torch.equal(one, other) for one, other in zip(*drawn, strict=True))


def test_a_decoder_comes_back_from_disk_the_same(tmp_path: Path) -> None:
    own, _ = pair(small_config(qk_norm=True, kv_heads=2, dropout=0.1))
    save_decoder(own, tmp_path / "decoder")
    loaded = load_decoder(tmp_path / "decoder")
    assert loaded.config == own.config
    inputs = torch.randn(2, 5, 32)
    with torch.inference_mode():
        assert torch.equal(loaded.eval()(inputs), own.eval()(inputs))
    assert json.loads((tmp_path / "decoder" / "config.json").read_text(encoding="utf-8")) == {
        "model_type": "mmrec-small-decoder",
        "hidden": 32,
        "layers": 2,
        "heads": 4,
        "kv_heads": 2,
        "head_width": 8,
        "inner": 48,
        "qk_norm": True,
        "dropout": 0.1,
        "norm_eps": 1e-06,
        "rope_theta": 500.0,
    }
