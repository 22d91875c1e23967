"""Pretrained LLMs: one with random weights that the test makes, and a real LLaMA whose published text is known."""

from pathlib import Path

import pytest
import torch
import transformers

from mmrec.errors import InvalidArgumentError, ModelNotAvailableError
from mmrec.generator.backbone import (
    PretrainedDecoder,
    PretrainedEncoderDecoder,
    build_backbone,
    load_backbone,
    save_backbone,
)
from mmrec.generator.config import GeneratorConfig
from tests.language.tiny_models import save_tiny, tiny_model
from tests.llama2c import llama2c_pieces, llama2c_to_hugging_face


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


@pytest.mark.parametrize("kind", ["llama", "gpt2", "t5"])
def test_what_is_trained_of_a_pretrained_model(kind: str, tmp_path: Path) -> None:
    folder = str(save_tiny(kind, tmp_path))

    def trained(**options: object) -> tuple[int, int]:
        backbone, _ = build_backbone(GeneratorConfig(pretrained=folder, lora_rank=2, **options))  # type: ignore[arg-type]
        sizes = [(weight.numel(), weight.requires_grad) for weight in backbone.parameters()]
        return sum(size for size, is_trained in sizes if is_trained), sum(size for size, _ in sizes)

    full, frozen, lora = (trained(tuning=tuning) for tuning in ("full", "frozen", "lora"))
    assert full[0] == full[1] > 10_000
    assert frozen == (0, full[1])
    assert 0 < lora[0] < full[1] // 4
    assert lora[1] == full[1] + lora[0]
    assert full[1] // 4 < trained(tuning="full", first_layers=1)[1] < full[1]


@pytest.mark.parametrize("kind", ["llama", "qwen3", "t5"])
def test_the_first_layers_of_a_model_are_saved_and_loaded_as_a_model(kind: str, tmp_path: Path) -> None:
    folder = save_tiny(kind, tmp_path / "base")
    backbone, _ = build_backbone(GeneratorConfig(pretrained=str(folder), first_layers=1, tuning="frozen"))
    whole, _ = build_backbone(GeneratorConfig(pretrained=str(folder), tuning="frozen"))
    save_backbone(backbone, tmp_path / "saved")
    loaded, _ = load_backbone(tmp_path / "saved")
    inputs = torch.randn(1, 5, 32)
    with torch.inference_mode():
        found, expected = loaded.eval()(inputs), backbone.eval()(inputs)
        assert torch.allclose(found, expected, atol=1e-5)
        assert not torch.allclose(whole.eval()(inputs), expected, atol=1e-2)
    with pytest.raises(InvalidArgumentError, match="first_layers is 3, and the language model has 2 layers"):
        build_backbone(GeneratorConfig(pretrained=str(folder), first_layers=3))


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_gradient_checkpointing_changes_no_gradient(kind: str, tmp_path: Path) -> None:
    folder = str(save_tiny(kind, tmp_path))
    inputs, gradients = torch.randn(1, 5, 32), []
    for checkpointing in (False, True):
        config = GeneratorConfig(pretrained=folder, tuning="full", gradient_checkpointing=checkpointing)
        backbone = build_backbone(config)[0].train()
        backbone(inputs).square().sum().backward()
        gradients.append([weight.grad for weight in backbone.parameters() if weight.grad is not None])
    assert all(torch.allclose(one, two, atol=1e-3, rtol=1e-3) for one, two in zip(*gradients, strict=True))


@pytest.mark.parametrize("kind", ["qwen3", "t5"])
def test_an_adapter_is_stored_beside_the_hash_of_its_base_and_refused_on_another(kind: str, tmp_path: Path) -> None:
    folder = save_tiny(kind, tmp_path / "base")
    config = GeneratorConfig(pretrained=str(folder), first_layers=1, lora_rank=2, bundle_base=False)
    backbone, _ = build_backbone(config)
    for name, weight in backbone.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.5)
    inputs = torch.randn(1, 5, 32)
    with torch.inference_mode():
        expected = backbone.eval()(inputs)
    save_backbone(backbone, tmp_path / "saved", config)
    assert {path.name for path in (tmp_path / "saved").iterdir()} >= {"base.json", "adapter_model.safetensors"}
    assert not (tmp_path / "saved" / "model.safetensors").exists()
    loaded, hidden = load_backbone(tmp_path / "saved")
    with torch.inference_mode():
        assert torch.allclose(loaded.eval()(inputs), expected, atol=1e-4)
    assert hidden == 32
    other = tiny_model(kind)
    other.get_input_embeddings().weight.data += 1
    other.save_pretrained(folder)
    with pytest.raises(ModelNotAvailableError, match=r"the adapter .* was trained on weights with the SHA-256"):
        load_backbone(tmp_path / "saved")


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


def test_an_encoder_decoder_reads_histories_causally_and_with_both_stacks(tmp_path: Path) -> None:
    backbone, hidden = build_backbone(GeneratorConfig(pretrained=str(save_tiny("t5", tmp_path))))
    assert isinstance(backbone, PretrainedEncoderDecoder)
    assert hidden == 32
    inputs = torch.randn(2, 6, 32)
    with torch.inference_mode():
        whole, cut = backbone.eval()(inputs), backbone(inputs[:, :4])
        assert torch.allclose(whole[:, :4], cut, atol=1e-4)
        last = inputs.clone()
        last[:, 5] += 1
        # The decoder has not written the last item yet: only the encoder has read it.
        changed = backbone(last)
        assert torch.equal(changed[:, :5], whole[:, :5])
        assert not torch.allclose(changed[:, 5], whole[:, 5], atol=1e-3)
        # Without a mask, the encoder of transformers reads the first position the same where it is the only one.
        alone = backbone(inputs[:, :1])
        start = backbone.model.get_input_embeddings().weight[257]
        expected = transformers.AutoModel.from_pretrained(tmp_path)(
            inputs_embeds=inputs[:, :1], decoder_inputs_embeds=start.expand(2, 1, -1)
        ).last_hidden_state
    assert torch.allclose(alone, expected, atol=1e-5)


# --- a real LLaMA -----------------------------------------------------------------------------------------------------


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
