"""Sentences written by language models with random weights: whole, in order, within limits."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from mmrec.errors import InvalidArgumentError
from mmrec.language.language_model import LanguageModel
from mmrec.language.sentence_writer import LanguageModelWriter, WriterConfig
from tests.language.tiny_models import ALL, roomy, tiny_model, tiny_tokenizer

SENTENCES = ('Suggested because of "X" in your history.', "It is new here.", "7 customers chose it.")


class Scripted(LanguageModel):
    """Writes given texts; `asked` has what it was given to read."""

    def __init__(self, *texts: str) -> None:
        super().__init__(roomy("llama").model, tiny_tokenizer())
        self.texts = iter(texts)
        self.asked: list[str] = []

    def write(self, sequences: Any, limits: Any = None, stop: Any = None, after: Any = None) -> list[str]:
        self.asked += [self.tokenizer.decode(words.ids) for ((words),) in sequences]
        return [next(self.texts) for _ in sequences]


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind != "gpt2"])
@pytest.mark.parametrize("chat", [False, True])
def test_every_architecture_writes_as_many_as_it_is_given_alone_or_together(kind: str, chat: bool) -> None:
    together = LanguageModelWriter(roomy(kind, chat=chat), WriterConfig(tokens=12, at_once=3)).reword(SENTENCES)
    alone = LanguageModelWriter(roomy(kind, chat=chat), WriterConfig(tokens=12, at_once=1)).reword(SENTENCES)
    assert together == alone
    assert len(together) == 3


def test_a_sentence_is_read_behind_examples_and_kept() -> None:
    model = Scripted(" One.", " Two.")
    writer = LanguageModelWriter(model)
    assert writer.reword(["It is new.", "It is red.", "It is new."]) == ["One.", "Two.", "One."]
    assert writer.reword(["It is red."]) == ["Two."]
    # What is before them, the examples, is read once.
    assert model.asked == ["It is new.\nThe same:", "It is red.\nThe same:"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("You may like it! It is", "You may like it!"),
        ('I suggest "X."\nSentence: more', 'I suggest "X."'),
        ("\n\nIt is new.", "It is new."),
        ("it was cut in the", ""),
        ("", ""),
    ],
)
def test_of_what_is_written_the_first_line_counts_as_far_as_its_sentences_are_whole(
    written: str, expected: str
) -> None:
    assert LanguageModelWriter(Scripted(written)).reword(["It is new."]) == [expected]


def test_of_what_is_cut_when_it_is_stopped_whole_sentences_are_taken_and_nothing_is_kept() -> None:
    asked = count()
    model = Scripted("One.", "Two. And", "Two. And three.", "Four")
    writer = LanguageModelWriter(model, WriterConfig(at_once=1))
    # Asked before and after each sentence: the second one is cut, the third is not begun.
    assert writer.reword(["a", "b", "c"], lambda: next(asked) >= 3) == ["One.", "Two.", ""]
    assert writer.reword(["a", "b", "c"]) == ["One.", "Two. And three.", ""]


def test_sentences_with_as_many_letters_are_written_at_once_behind_examples_of_their_kind() -> None:
    model = Scripted("One.", "Three.", "Two.")
    writer = LanguageModelWriter(model)
    assert writer.reword(['It is "X".', '"X" is "Y".', 'Is it "X"?']) == ["One.", "Two.", "Three."]
    assert [text.partition(chr(10))[0] for text in model.asked] == ['It is "X".', 'Is it "X"?', '"X" is "Y".']


def test_only_the_sentences_that_were_asked_for_last_are_kept() -> None:
    model = Scripted("One.", "Two.", "Three.", "Four.")
    writer = LanguageModelWriter(model, WriterConfig(kept=2))
    writer.reword(["a", "b"])
    writer.reword(["a"])
    writer.reword(["c"])
    assert len(model.asked) == 3
    assert writer.reword(["a", "b"]) == ["One.", "Four."]


def test_a_model_with_few_positions_is_refused_and_a_long_sentence_is_left_out() -> None:
    with pytest.raises(InvalidArgumentError, match="has 256 positions, and wording a sentence needs"):
        LanguageModelWriter(LanguageModel(tiny_model("gpt2").eval(), tiny_tokenizer()))
    assert LanguageModelWriter(Scripted("One.")).reword(["x" * 5_000, "short"]) == ["", "One."]
