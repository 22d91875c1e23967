"""Examples of an instruction set as the generator reads them: see `mmrec.generator.instructions`.

Words are split into clauses, each of which is one soft token; behind candidates in the last place stands one without
words. With the tokenizer of a pretrained model words are its own tokens. An answer is an item, where it names one by
token or title, or one of the texts with which examples of the same task answer. Knows nothing about vectors.
"""

# Axes: X examples, N items, A texts of answers

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.catalogue import Catalogue
from mmrec.errors import InvalidDatasetError
from mmrec.generator.instructions import CUSTOMER, WORDS, Instructions
from mmrec.language.instructions import Example, Part
from mmrec.language.sentences import shown_title

TITLES = "titles"
"""Kind of the answers that name an item by its title."""
_BOUNDARY = re.compile(r"[,;:.?!)]+(?:\s+|$)|\s*\(")


def clauses(text: str) -> list[str]:
    """The parts of a text between punctuation marks: ``Chosen: Red mug; Jug. Next?`` has four."""
    return [clause.strip() for clause in _BOUNDARY.split(text) if clause.strip()]


class InstructionCodes:
    """Turns examples into codes; what it has numbered keeps its number.

    Args:
        catalogue: Items that examples may name.
        tokenize: From words to tokens of a pretrained model; None: clauses are numbered as they come.
    """

    def __init__(self, catalogue: Catalogue, tokenize: Callable[[str], Sequence[int]] | None = None) -> None:
        self._tokenize = tokenize
        self._rows = {item_id: row for row, item_id in enumerate(catalogue.item_ids)}
        self._titles = [
            shown_title(item_id, title) for item_id, title in zip(catalogue.item_ids, catalogue.titles, strict=True)
        ]
        self._words: dict[str, int] = {}
        self._texts: dict[str, int] = {}

    @property
    def words(self) -> list[str]:
        """Clauses by number."""
        return list(self._words)

    @property
    def texts(self) -> list[str]:
        """Texts of answers by number."""
        return list(self._texts)

    def titles(self) -> npt.NDArray[np.int64]:
        """Number of each item's title among the texts. Shape: (N,), int64."""
        return np.array([self._number(self._texts, title) for title in self._titles], np.int64)

    def read(self, examples: Sequence[Example]) -> Instructions:
        """Codes of examples.

        Raises:
            InvalidDatasetError: an example names an item that the catalogue does not have.
        """
        inputs, customers = [], []
        items_X, texts_X, spaces_X = (np.full(len(examples), -1, np.int64) for _ in range(3))
        kinds: dict[str, int] = {}
        spaces: list[npt.NDArray[np.int64]] = []
        by_task: dict[str, set[int]] = {}
        for place, example in enumerate(examples):
            codes = [code for part in example.input for code in self._codes(part)]
            # A template of punctuation alone is read as one clause.
            codes = codes or [self._nothing()]
            # The state of an item in the last place says what follows a history that ends with it, as histories are
            # trained, and a candidate is not chosen yet.
            if self._tokenize is None and codes[-1] in map(self._row, example.candidates):
                codes.append(self._nothing())
            inputs.append(np.array(codes, np.int64))
            chosen = [item for part in example.input for item in part.customer]
            customers.append(np.array([self._row(item) for item in chosen], np.int32))
            row = self._row(example.item_id)
            kind, answer = answer_of(example, self._titles[row])
            if not kind:
                items_X[place] = row
                continue
            if kind not in kinds:
                kinds[kind] = len(spaces)
                spaces.append(np.unique(self.titles()) if kind == TITLES else np.empty(0, np.int64))
            texts_X[place], spaces_X[place] = self._number(self._texts, answer), kinds[kind]
            if kind != TITLES:
                by_task.setdefault(kind, set()).add(int(texts_X[place]))
        for kind, numbers in by_task.items():
            spaces[kinds[kind]] = np.array(sorted(numbers), np.int64)
        return Instructions(inputs, customers, items_X, texts_X, spaces_X, spaces, list(kinds))

    def _codes(self, part: Part) -> list[int]:
        if part.customer:
            return [CUSTOMER]
        if part.item_id:
            return [self._row(part.item_id)]
        if self._tokenize is not None:
            return [WORDS - token for token in self._tokenize(part.words)]
        return [WORDS - self._number(self._words, clause) for clause in clauses(part.words)]

    def _nothing(self) -> int:
        """A position without words."""
        return WORDS - self._number(self._words, "")

    def _row(self, item_id: str) -> int:
        if item_id not in self._rows:
            raise InvalidDatasetError(
                f"the instruction set names the item {item_id!r}, which the dataset does not have; prepare it from "
                "this dataset"
            )
        return self._rows[item_id]

    @staticmethod
    def _number(numbers: dict[str, int], text: str) -> int:
        return numbers.setdefault(text, len(numbers))


def answer_of(example: Example, title: str) -> tuple[str, str]:
    """Kind and text of an answer: an empty kind where it is an item's token, `TITLES`, or the task with its text.

    Args:
        example: With the answer.
        title: Of the item that it is about.
    """
    if any(part.item_id for part in example.output):
        return "", ""
    text = " ".join(part.words for part in example.output).strip()
    return (TITLES, text) if text == title.strip() else (f"task {example.task}", text)
