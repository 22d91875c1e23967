"""Titles ranked by how much likelier a history makes them."""

import pytest

from mmrec.errors import InvalidArgumentError
from mmrec.language.language_model import LanguageModel
from mmrec.language.prompting import PromptConfig, title_scores
from tests.language.tiny_models import ALL, tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return LanguageModel(tiny_model("llama").eval(), tiny_tokenizer())


def test_a_score_is_the_gain_of_a_titles_log_probability(model: LanguageModel) -> None:
    config = PromptConfig(begin="Took ", next=". Then", nothing="Then", candidates_at_once=2)
    found = title_scores(model, ["cup", "tea"], ["pot", "a lamp", "jug"], config)
    for title, score in zip(["pot", "a lamp", "jug"], found, strict=True):
        words = model.words(f" {title}")
        given, nothing = (
            model.log_probs([[model.words(prompt)]], [words])[0] for prompt in ("Took cup; tea. Then", "Then")
        )
        assert score == pytest.approx(given - nothing, abs=1e-3)
    assert len(set(found)) == 3


@pytest.mark.parametrize("kind", ALL)
def test_texts_after_one_sequence_are_as_probable_as_each_alone(kind: str) -> None:
    model = LanguageModel(tiny_model(kind).eval(), tiny_tokenizer())
    prompt, titles = [model.words("Took cup. Then")], [model.words(title) for title in (" pot", " a lamp", " j")]
    alone = [model.log_probs([prompt], [title])[0] for title in titles]
    assert model.log_probs([prompt], titles) == pytest.approx(alone, abs=1e-3)


def test_a_history_of_item_tokens_is_read(model: LanguageModel) -> None:
    config = PromptConfig(history="tokens", examples=((("hat", "coat"), "scarf"),))
    found = title_scores(model, ["cup", "tea"], ["pot", "jug"], config)
    other = title_scores(model, ["cup", "hat"], ["pot", "jug"], config)
    assert found != pytest.approx(other, abs=1e-3)
    with pytest.raises(InvalidArgumentError, match="history is 'pictures'"):
        PromptConfig(history="pictures")  # type: ignore[arg-type]


def test_nothing_is_gained_without_a_history(model: LanguageModel) -> None:
    assert title_scores(model, [], ["pot", "jug"]) == [0.0, 0.0]


def test_examples_come_first_and_old_titles_are_left_out() -> None:
    config = PromptConfig(begin="Took ", next=". Then", last=2, examples=((("hat", "coat"), "scarf"),))
    assert config.prompt(["mug", "cup", "tea"]) == "Took hat; coat. Then scarf\nTook cup; tea. Then"


def test_a_history_that_is_too_long_for_the_model(model: LanguageModel) -> None:
    with pytest.raises(InvalidArgumentError, match="shorten the text or the history"):
        title_scores(model, ["x" * 300], ["pot"])
