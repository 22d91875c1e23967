"""Words the sentences of replies by a language model: explanations, and turns of conversations that suggest items.

Everything is decided before: which items, which statements, which constraints. A sentence goes out only after it was
checked against its evidence, as a whole, so nothing that was shown is taken back; one that is rejected, or not written
in time, stays as the template has it. Questions, confirmations and that something is sponsored or promoted always stay.

Unit of work: one reply. Knows nothing about how a language model writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch

from mmrec.catalogue.catalogue import Catalogue
from mmrec.contract.conversation import ConversationTurn
from mmrec.contract.engine import Stop, never
from mmrec.contract.items import Statement
from mmrec.contract.replies import Explanations, Recommendations
from mmrec.generator.pretrained import Checkpoint, find_checkpoint
from mmrec.language.attributes import entries_of
from mmrec.language.checker import EvidenceChecker, is_worded
from mmrec.language.language_model import LanguageModel
from mmrec.language.rewording import SentenceWriter, draft_of_suggestion, word, worded
from mmrec.language.sentence_writer import LanguageModelWriter, WriterConfig
from mmrec.language.statements import MOST_SENTENCES, explanation_of
from mmrec.language.wording import sentences_of
from mmrec.runtime.limits import check_numbers

_LONGEST_NAME = 80
R = TypeVar("R", Recommendations, Explanations)


@dataclass(frozen=True, slots=True)
class WordingConfig:
    """Limits of the language model for words.

    Attributes:
        seconds: Most seconds that the words of one reply may take, 0.1 to 600. What is not worded then stays plain.
        tokens: Most tokens of a sentence, 8 to 1,000; a longer one stays plain.
    """

    seconds: float = 6.0
    tokens: int = 48

    def __post_init__(self) -> None:
        check_numbers(self, "seconds", low=0.1, high=600)
        check_numbers(self, "tokens", low=8, high=1_000)


@dataclass(frozen=True, slots=True, eq=False)
class NamedWriter:
    """A language model for words.

    Attributes:
        writer: Words sentences.
        name: As it was asked for.
        version: SHA-256 of its weights, or another version; may be empty.
        limits: Of its words.
    """

    writer: SentenceWriter
    name: str
    version: str = ""
    limits: WordingConfig = WordingConfig()


def load_writer(
    model: str | Checkpoint, device: torch.device, dtype: torch.dtype, limits: WordingConfig | None = None
) -> NamedWriter:
    """Load a language model for words.

    Args:
        model: As `find_checkpoint` takes it, or what it found.
        device: Where it runs.
        dtype: Number format of its weights.
        limits: Of its words.

    Raises:
        MmrecError: as `Recommender.load` says.
    """
    limits = limits or WordingConfig()
    checkpoint = find_checkpoint(model) if isinstance(model, str) else model
    loaded = LanguageModel.load(checkpoint, str(device), dtype)
    writer = LanguageModelWriter(loaded, WriterConfig(tokens=limits.tokens))
    return NamedWriter(writer, checkpoint.name, checkpoint.sha256, limits)


class ReplyWording:
    """A `mmrec.contract.engine.Wording` of replies about one catalogue at a time.

    Args:
        writer: The language model.
        catalogue: Returns the current catalogue. Replies of an earlier one are worded too: a sentence that the current
            one does not bear out stays plain.
        seconds: Most seconds of a reply.
        clock: Seconds.
    """

    def __init__(
        self,
        writer: SentenceWriter,
        catalogue: Callable[[], Catalogue],
        seconds: float = WordingConfig().seconds,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds = seconds
        self._writer = writer
        self._catalogue = catalogue
        self._clock = clock
        self._checked: tuple[Catalogue, EvidenceChecker] | None = None

    def applies(self, reply: Any) -> bool:
        """Whether a reply has sentences that may be worded; those of batches never are."""
        if isinstance(reply, Recommendations):
            return any(_told(one.statements) for one in reply.items)
        if isinstance(reply, Explanations):
            return any(_told(one.statements) for one in reply.explanations)
        return isinstance(reply, ConversationTurn) and bool(reply.items)

    def parts(self, reply: Any, stop: Stop = never) -> Iterator[Any]:
        """See `mmrec.contract.engine.Wording`."""
        until = self._clock() + self.seconds

        def ended() -> bool:
            return stop() or self._clock() >= until

        if isinstance(reply, ConversationTurn):
            yield from self._turn(reply, ended)
        elif isinstance(reply, Recommendations):
            said = self._statements([one.statements for one in reply.items], ended)
            items = (
                replace(one, explanation=explanation_of(own), statements=own)
                for one, own in zip(reply.items, said, strict=True)
            )
            yield replace(reply, items=tuple(items))
        else:
            said = self._statements([one.statements for one in reply.explanations], ended)
            explanations = (
                replace(one, text=explanation_of(own), statements=own)
                for one, own in zip(reply.explanations, said, strict=True)
            )
            yield replace(reply, explanations=tuple(explanations))

    def _statements(self, by_item: Sequence[tuple[Statement, ...]], stop: Stop) -> list[tuple[Statement, ...]]:
        """The statements of each item, of which those are worded that its text is made of."""
        if stop():
            return list(by_item)
        told = [one for statements in by_item for one in statements[:MOST_SENTENCES]]
        rest = iter(word(told, self._writer, self._checker(), self._title_of, stop))
        return [
            (*(next(rest) for _ in statements[:MOST_SENTENCES]), *statements[MOST_SENTENCES:]) for statements in by_item
        ]

    def _turn(self, turn: ConversationTurn, stop: Stop) -> Iterator[ConversationTurn]:
        sentences = sentences_of(turn.text, [scored.item for scored in turn.items], turn.constraints)
        any_worded = False
        for place, sentence in enumerate(sentences):
            found = ""
            if sentence.about is not None and not stop():
                (found,) = worded([draft_of_suggestion(sentence.about)], self._writer, self._checker(), stop)
            any_worded = any_worded or bool(found)
            space = " " if place + 1 < len(sentences) else ""
            yield ConversationTurn(f"{found or sentence.text}{space}", done=False, worded=bool(found))
        yield replace(turn, text="", worded=any_worded)

    def _checker(self) -> EvidenceChecker:
        """The checker of the current catalogue."""
        catalogue = self._catalogue()
        if self._checked is None or self._checked[0] is not catalogue:
            self._checked = catalogue, EvidenceChecker(self._title_of, _names(catalogue), catalogue.attributes)
        return self._checked[1]

    def _title_of(self, item_id: str) -> str:
        return self._catalogue().title_of(item_id)


def _told(statements: Sequence[Statement]) -> bool:
    return any(is_worded(one.kind) for one in statements[:MOST_SENTENCES])


def _names(catalogue: Catalogue) -> Iterator[str]:
    """Titles, and values that are short enough to name something."""
    yield from catalogue.titles
    for name, values in catalogue.attributes.items():
        kind = catalogue.kinds.get(name, "list")  # a value of no list is its only entry
        entries = {entry for value in set(values) for entry in entries_of(value, kind)}
        yield from (entry for entry in entries if len(entry) <= _LONGEST_NAME)
