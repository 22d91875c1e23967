"""Words sentences by a language model, from a prompt with examples.

Each sentence is worded on its own, so that none influences another; several are written at once. Unit of work: a list
of sentences. Knows nothing about evidence.
"""

from __future__ import annotations

import itertools
import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmrec.contract.engine import Stop, never
from mmrec.errors import InvalidArgumentError
from mmrec.language.language_model import Beginning, LanguageModel, WritingLimits
from mmrec.language.segments import Words
from mmrec.runtime.limits import check_numbers

_TASK = "Say the sentence in other words. Keep the letters in quotes and the numbers. Add nothing."
_EXAMPLES = (
    (
        ("57 customers chose it.", "It was chosen by 57 customers."),
        ("It is popular: 12 customers chose it.", "12 people chose it, so it is popular."),
    ),
    (
        ('Suggested because of "X" in your history.', 'You chose "X" before, so this may suit you.'),
        ('12 customers who chose "X" chose this too.', '12 people who picked "X" also picked this.'),
        ('I suggest "X".', 'You might like "X".'),
    ),
    (
        ('Suggested because of "X" and "Y" in your history.', 'You chose "X" and "Y", so this may suit you.'),
        ('Like "X" from your history, it has "Y" as its brand.', 'As with "X" from your history, its brand is "Y".'),
        ('I suggest "X": its colour is "Y".', 'You might like "X", with "Y" as its colour.'),
    ),
    (
        (
            'Like "X" and "Y" from your history, it has "Z" as its brand.',
            'As with "X" and "Y" from your history, its brand is "Z".',
        ),
        (
            'I suggest "X": its colour is "Y" and its size is "Z".',
            'You might like "X", with "Y" as its colour and "Z" as its size.',
        ),
    ),
)
"""By the number of letters, the last ones for so many and more: a small model uses every letter of its examples."""
_NAMED = re.compile(r'"[A-Z]"')


@dataclass(frozen=True, slots=True)
class WriterConfig:
    """How sentences are written.

    Attributes:
        tokens: Most tokens of a sentence.
        at_once: Sentences that are written at once.
        kept: Sentences whose wording is kept, those that were asked for last: the same sentence is worded alike.
    """

    tokens: int = 48
    at_once: int = 8
    kept: int = 1_000

    def __post_init__(self) -> None:
        check_numbers(self, "tokens", "at_once", low=1)
        check_numbers(self, "kept", low=0)


class LanguageModelWriter:
    """A `mmrec.language.rewording.SentenceWriter`.

    Args:
        model: The language model; one that was tuned to instructions is asked in turns of a chat.
        config: How sentences are written.

    Raises:
        InvalidArgumentError: the model has too few positions.
    """

    def __init__(self, model: LanguageModel, config: WriterConfig | None = None) -> None:
        self._model = model
        self._config = config or WriterConfig()
        self._kept: OrderedDict[str, str] = OrderedDict()
        self._beginnings: dict[int, Beginning | None] = {}
        needed = max(len(self._prompt(shown[0][0]).ids) for shown in _EXAMPLES) + self._config.tokens
        if model.positions is not None and needed > model.positions:
            raise InvalidArgumentError(
                f"the language model {model.model.name_or_path!r} has {model.positions} positions, and wording a "
                f"sentence needs {needed}; pass a model with more"
            )

    def reword(self, sentences: Sequence[str], stop: Stop = never) -> list[str]:
        """Other sentences that say the same; empty where it was stopped before one of them was whole."""
        found = {one: self._kept[one] for one in sentences if one in self._kept}
        left = [one for one in dict.fromkeys(sentences) if one not in found and self._fits(one)]
        limits = WritingLimits(tokens=self._config.tokens)
        for asked in self._batches(left):
            if stop():
                break
            beginning = self._beginning(asked[0])
            known = 0 if beginning is None else len(beginning.words.ids)
            prompts = [[Words(self._prompt(one).ids[known:])] for one in asked]
            texts = self._model.write(prompts, limits, stop, beginning)
            written = {one: _whole_sentences(text) for one, text in zip(asked, texts, strict=True)}
            found |= written
            if stop():  # they may be cut
                break
            self._kept |= written
        for one in sentences:
            if one in self._kept:
                self._kept.move_to_end(one)
        while len(self._kept) > self._config.kept:
            self._kept.popitem(last=False)
        return [found.get(one, "") for one in sentences]

    def _batches(self, sentences: Sequence[str]) -> Iterator[list[str]]:
        """Sentences that are written at once: with the same examples, in the order of the first of each batch."""
        left = list(sentences)
        while left:
            alike = [one for one in left if _group(one) == _group(left[0])][: self._config.at_once]
            yield alike
            left = [one for one in left if one not in alike]

    def _beginning(self, sentence: str) -> Beginning | None:
        """The task and the examples, which are read once; None where the model reads everything anew."""
        group = _group(sentence)
        if group not in self._beginnings:
            letters = "".join(f'"{letter}"' for letter in "XYZ"[:group])
            one, other = (self._prompt(f"{begin}{letters}").ids for begin in "ab")
            same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
            self._beginnings[group] = self._model.beginning(Words(tuple(word for word, _ in same)))
        return self._beginnings[group]

    def _fits(self, sentence: str) -> bool:
        positions = self._model.positions
        return positions is None or len(self._prompt(sentence).ids) + self._config.tokens <= positions

    def _prompt(self, sentence: str) -> Words:
        examples = _EXAMPLES[_group(sentence)]
        if not self._model.tokenizer.chat_template:
            shown = [f"Sentence: {plain}\nThe same: {other}\n" for plain, other in examples]
            return self._model.words(f"{_TASK}\n{''.join(shown)}Sentence: {sentence}\nThe same:")
        turns = [{"role": "system", "content": _TASK}]
        for plain, other in examples:
            turns += [{"role": "user", "content": plain}, {"role": "assistant", "content": other}]
        return self._model.chat([*turns, {"role": "user", "content": sentence}])


def _group(sentence: str) -> int:
    """Which examples go with a sentence."""
    return min(len(_NAMED.findall(sentence)), len(_EXAMPLES) - 1)


def _whole_sentences(text: str) -> str:
    """The first line as far as its last sentence is whole; empty for none."""
    line = text.strip().partition("\n")[0]
    found = re.match(r".*[.!?][\"”]?", line)
    return found.group() if found else ""
