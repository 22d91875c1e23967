"""The short way against the models' own forward."""

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

from mmrec.generator import lean
from mmrec.generator.batches import pad_histories
from mmrec.generator.lean import LeanReader
from mmrec.runtime.weights import AveragedWeights
from tests.generator.conftest import make_small

SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "head_dim": 8,
    "vocab_size": 1,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
FAMILY = {
    "llama": (transformers.LlamaModel, transformers.LlamaConfig),
    "mistral": (transformers.MistralModel, transformers.MistralConfig),
    "qwen3": (transformers.Qwen3Model, transformers.Qwen3Config),
}


def model_of(architecture: str, **changed: Any) -> Any:
    model_class, config_class = FAMILY[architecture]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = model_class(config_class(**{**SHAPE, "num_key_value_heads": 4, **changed}))
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.3)
    return model.eval()


@torch.inference_mode()
def own(model: Any, inputs: Tensor, valid: Tensor | None = None) -> Tensor:
    mask = None if valid is None else valid.long()
    states: Tensor = model(inputs_embeds=inputs, attention_mask=mask, use_cache=False).last_hidden_state
    return states


@torch.inference_mode()
def short(reader: LeanReader, model: Any, inputs: Tensor) -> Tensor | None:
    return reader.read(model, inputs)


@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen3"])
@pytest.mark.parametrize("key_heads", [4, 2, 1])
def test_states_are_those_of_the_model_whatever_the_padding(architecture: str, key_heads: int) -> None:
    model, reader = model_of(architecture, num_key_value_heads=key_heads), LeanReader()
    for batch, places in ((1, 1), (1, 7), (3, 33), (2, 9)):
        inputs = torch.randn(batch, places, 32, generator=torch.manual_seed(places))
        valid = torch.arange(places) < torch.arange(places, places - batch, -1).unsqueeze(1)
        found = short(reader, model, inputs)
        assert found is not None
        assert found.shape == inputs.shape
        assert torch.allclose(found[valid], own(model, inputs, valid)[valid], atol=1e-4)


def test_the_copies_follow_the_weights() -> None:
    model, reader, inputs = model_of("qwen3"), LeanReader(), torch.randn(1, 5, 32)

    def agree() -> bool:
        found = short(reader, model, inputs)
        return found is not None and torch.allclose(found, own(model, inputs), atol=1e-4)

    assert agree()
    averaged = AveragedWeights(model, 0.5)
    with torch.no_grad():
        model.layers[0].self_attn.q_proj.weight.mul_(2)
    assert agree()
    with averaged.in_place():
        assert agree()
    assert agree()
    model.load_state_dict({name: weight * 0.5 for name, weight in model.state_dict().items()})
    assert agree()
    other = model_of("llama")
    model = other
    assert agree()


@pytest.mark.parametrize(
    ("architecture", "changed"),
    [
        ("llama", {"attention_bias": True}),
        ("llama", {"mlp_bias": True}),
        ("llama", {"hidden_act": "gelu"}),
        ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0}}),
        ("mistral", {"sliding_window": 4}),
        ("qwen3", {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}),
    ],
)
def test_what_is_not_known_to_be_the_same_goes_the_models_own_way(architecture: str, changed: dict[str, Any]) -> None:
    assert short(LeanReader(), model_of(architecture, **changed), torch.randn(1, 5, 32)) is None


def test_other_families_adapters_large_models_and_half_precision_go_their_own_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import peft

    gpt2 = transformers.GPT2Model(transformers.GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=1)).eval()
    inputs = torch.randn(1, 5, 32)
    assert short(LeanReader(), gpt2, inputs) is None
    adapted = peft.get_peft_model(model_of("llama"), peft.LoraConfig(r=2, target_modules="all-linear")).eval()
    assert short(LeanReader(), adapted, inputs) is None
    assert short(LeanReader(), adapted.base_model.model, inputs) is None
    model = model_of("llama")
    assert short(LeanReader(), model.bfloat16(), inputs) is None
    model = model.float()
    assert short(LeanReader(), model, inputs.bfloat16()) is None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert short(LeanReader(), model, inputs) is None
    assert short(LeanReader(), model, inputs) is not None
    monkeypatch.setattr(lean, "MOST_WEIGHTS", 1000)
    assert short(LeanReader(), model, inputs) is None


def test_training_and_gradients_go_through_the_model_and_serving_does_not() -> None:
    model, _ = make_small(20)
    history, valid = pad_histories([np.array(rows, dtype=np.int32) for rows in ([1, 2, 3], [4])], 8)
    calls: list[bool] = []
    model.backbone.register_forward_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    tokens = model.item_tokens().detach()
    trained = model.train().read(history, valid, tokens).states_BTH
    assert calls == [True]
    assert trained.requires_grad
    with torch.inference_mode():
        served = model.eval().read(history, valid, tokens).states_BTH
    assert calls == [True]
    assert torch.allclose(served[valid], trained[valid], atol=1e-5)
