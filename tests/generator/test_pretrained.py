"""Files of pretrained models: what is accepted, and the messages about what is not."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
import transformers

from mmrec.errors import InvalidArgumentError, ModelNotAvailableError
from mmrec.generator.pretrained import find_checkpoint, load_config, load_model, load_tokenizer
from tests.language.tiny_models import save_tiny, save_tiny_gguf, tiny_model


def test_the_hash_of_a_model_is_that_of_its_weights(tmp_path: Path) -> None:
    save_tiny("llama", tmp_path)
    digest = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    assert find_checkpoint(str(tmp_path), digest.upper()).sha256 == digest
    with pytest.raises(ModelNotAvailableError, match=f"have the SHA-256 {digest}, and 00 is asked for"):
        find_checkpoint(str(tmp_path), "00")


def test_the_licence_of_a_model_is_read_from_its_card(tmp_path: Path) -> None:
    save_tiny("llama", tmp_path)
    assert find_checkpoint(str(tmp_path)).licence == ""
    (tmp_path / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n")
    assert find_checkpoint(str(tmp_path)).licence == "apache-2.0"


def test_a_configuration_alone_gets_random_weights_of_the_seed(tmp_path: Path) -> None:
    save_tiny("t5", tmp_path)
    checkpoint = find_checkpoint(str(tmp_path / "config.json"))
    assert load_config(checkpoint).d_model == 32
    models = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        models.append(load_model(checkpoint).get_input_embeddings().weight)
    assert torch.equal(models[0], models[1])
    assert not torch.equal(models[0], models[2])


def test_a_gguf_file_is_read_with_its_tokenizer_and_saved_as_any_other_model(tmp_path: Path) -> None:
    file = save_tiny_gguf(tmp_path / "tiny.gguf")
    checkpoint = find_checkpoint(str(file))
    assert checkpoint.licence == "mit"
    model, reference = load_model(checkpoint, head=True), tiny_model("llama").eval()
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.inference_mode():
        expected = reference(input_ids=ids).logits
        assert torch.allclose(model(input_ids=ids).logits, expected, atol=1e-4)
        model.save_pretrained(tmp_path / "saved")
        saved = load_model(find_checkpoint(str(tmp_path / "saved")), head=True)
        assert torch.allclose(saved(input_ids=ids).logits, expected, atol=1e-4)
    tokenizer = load_tokenizer(checkpoint)
    assert tokenizer.decode(tokenizer("red shoes", add_special_tokens=False)["input_ids"]) == "red shoes"


def test_an_encoder_is_refused(tmp_path: Path) -> None:
    config = transformers.BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64, vocab_size=50
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(InvalidArgumentError, match="it is an encoder; pass a decoder-only"):
        load_model(find_checkpoint(str(tmp_path)))


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    save_tiny("llama", tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(InvalidArgumentError, match=r"has pytorch_model\.bin, a pickle, which can run code"):
        find_checkpoint(str(tmp_path))


def test_code_that_comes_with_a_model_is_not_run(tmp_path: Path) -> None:
    save_tiny("llama", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "code.py").write_text("raise SystemExit('run')")
    with pytest.raises(InvalidArgumentError, match="of an architecture that transformers has itself"):
        load_model(find_checkpoint(str(tmp_path)))


def test_damaged_weights(tmp_path: Path) -> None:
    save_tiny("llama", tmp_path)
    data = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(InvalidArgumentError, match=r"cannot be loaded .* pass an undamaged"):
        load_model(find_checkpoint(str(tmp_path)))


def test_files_and_folders_that_hold_no_model(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"has no config\.json"):
        find_checkpoint(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InvalidArgumentError, match="has no weights where"):
        find_checkpoint(str(tmp_path))
    (tmp_path / "model.gguf").write_bytes(b"GGML and more")
    with pytest.raises(InvalidArgumentError, match="does not begin as a GGUF file does"):
        find_checkpoint(str(tmp_path / "model.gguf"))
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(InvalidArgumentError, match=r"is a \.onnx file"):
        find_checkpoint(str(tmp_path / "model.onnx"))
    with pytest.raises(ModelNotAvailableError, match="neither a local folder nor a hub model"):
        find_checkpoint(str(tmp_path / "absent.gguf"))


def test_a_model_without_a_tokenizer(tmp_path: Path) -> None:
    save_tiny("llama", tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).unlink()
    with pytest.raises(InvalidArgumentError, match=r"put tokenizer\.json and tokenizer_config\.json into its folder"):
        load_tokenizer(find_checkpoint(str(tmp_path)))
