"""Trains a generator on an instruction set of `mmrec prepare`, and measures how it answers held-out questions.

What is measured follows from the answers: an item of the catalogue or of given candidates is ranked, a number is
predicted as the mean of those that answers hold, and another text is chosen among answers to other questions. Unit of
work: one generator and one set.
"""

# Axes: X examples, B examples of a batch, Q questions, N items, A texts of answers, H hidden width

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from mmrec.catalogue.catalogue import Catalogue
from mmrec.data.splits import LeaveOneOut, evenly
from mmrec.errors import InvalidArgumentError, NotFoundError
from mmrec.evaluation.metrics import Ranks
from mmrec.generator.backbone import positions_of
from mmrec.generator.config import TrainingConfig
from mmrec.generator.instruction_training import (
    InstructionData,
    InstructionTexts,
    InstructionTrainingConfig,
    train_instructions,
)
from mmrec.generator.model import Generator
from mmrec.generator.pretrained import find_checkpoint, load_word_tokenizer
from mmrec.language.instruction_codes import TITLES, InstructionCodes
from mmrec.language.instruction_files import read_examples
from mmrec.language.instructions import Example, leaks
from mmrec.language.wish_prompts import WishPrompts
from mmrec.runtime.limits import check_numbers
from mmrec.runtime.trainer import TrainingRun
from mmrec.semantic_ids.decode_index import DecodeIndex

CUTOFF = 10
_OTHERS = 19
_AT_ONCE = 128

Floats = npt.NDArray[np.float64]
Encode = Callable[[Sequence[str]], npt.NDArray[np.float32]]
"""From texts to their unit vectors."""


@dataclass(frozen=True, slots=True)
class InstructionSettings:
    """Whether and how a fit trains on instructions.

    Attributes:
        folder: An instruction set, as `mmrec prepare` writes it from the same dataset with the same split; empty: none.
        training: How it is learned.
        questions: Test examples that are asked at most, of each task by seen and by unseen templates.
    """

    folder: str = ""
    training: InstructionTrainingConfig = field(default_factory=InstructionTrainingConfig)
    questions: int = 5000

    def __post_init__(self) -> None:
        check_numbers(self, "questions", low=1)


class InstructionSet(NamedTuple):
    """A set that was read, and fits the dataset.

    Attributes:
        examples: Training examples.
        test: Test examples.
        digest: Of both files. 64 hex digits.
    """

    examples: list[Example]
    test: list[Example]
    digest: str


@dataclass(frozen=True, eq=False)
class TaskFigures:
    """How one task was answered by one kind of templates.

    Attributes:
        task: Name of the task.
        seen: Whether training used the templates.
        users: Who was asked, in the order of the figures.
        templates: By which template, likewise.
        figures: Figures by name, one number for each question: ``ndcg@10`` and ``recall@10`` among the catalogue or
            ``ndcg@10`` and ``first`` among candidates, ``squared_error`` and ``error`` of numbers, ``right`` of texts.
    """

    task: str
    seen: bool
    users: tuple[str, ...]
    templates: tuple[str, ...]
    figures: Mapping[str, Floats]

    def as_json(self) -> dict[str, Any]:
        """Means; of squared errors, the root (``rmse``)."""
        means = {name: float(values.mean()) for name, values in self.figures.items()}
        if "squared_error" in means:
            means = {"rmse": math.sqrt(means["squared_error"]), "mae": means["error"]}
        return {"task": self.task, "seen": self.seen, "questions": len(self.users), **means}


def read_instructions(folder: Path, catalogue: Catalogue, split: LeaveOneOut) -> InstructionSet:
    """Read the set of a folder, and check that it holds nothing that is asked.

    Raises:
        NotFoundError: there is no such folder, or it holds no set.
        InvalidArgumentError: training examples hold held-out events, or there are none.
    """
    files = [folder / f"{name}.jsonl" for name in ("train", "test")]
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise NotFoundError(
            f"the folder {str(folder)!r} has no {missing[0]}; name a folder that `mmrec prepare DATASET --out` wrote"
        )
    examples, test = (_read(path) for path in files)
    if not examples:
        raise InvalidArgumentError(f"{files[0]} has no example; prepare the set again with a larger --per-user")
    told = leaks(examples, split, catalogue)
    if told:
        raise InvalidArgumentError(
            f"{len(told):,} training examples of {str(folder)!r} hold events that this fit holds out, such as "
            f"{told[0].item_id!r} of {told[0].user_id!r}; prepare the set with the same --split and --min-rating"
        )
    digest = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)).hexdigest()
    return InstructionSet(examples, test, digest)


def _read(path: Path) -> list[Example]:
    try:
        return read_examples(path)
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise InvalidArgumentError(f"{path} is no file of instructions ({err!r}); prepare the set again") from err


class InstructionTuning:
    """One instruction set for one generator.

    Args:
        model: On its device; trained in place.
        found: The set.
        catalogue: Its items.
        encode: Text encoder for words and answers.
    """

    def __init__(self, model: Generator, found: InstructionSet, catalogue: Catalogue, encode: Encode) -> None:
        tokenize: Callable[[str], Sequence[int]] | None = None
        positions = positions_of(model.backbone)
        self.prompts: WishPrompts | None = None
        """How wishes are put to the trained model when it is served; None where it does not read words as tokens."""
        if model.config.pretrained:
            tokenizer = load_word_tokenizer(find_checkpoint(model.config.pretrained))
            self.prompts = WishPrompts(tokenizer, positions, model.config.max_history)

            def tokenize(text: str) -> Sequence[int]:
                return tokenizer.encode(text, add_special_tokens=False).ids

        self._model, self._found, self._catalogue = model, found, catalogue
        self._codes = InstructionCodes(catalogue, tokenize)
        self._train, self._test = self._codes.read(found.examples), self._codes.read(found.test)
        longest = max(len(codes) for codes in (*self._train.inputs, *self._test.inputs))
        if longest > positions:
            raise InvalidArgumentError(
                f"an instruction is {longest:,} tokens long, and the language model reads {positions:,}; prepare the "
                "set with a smaller --max-history or fewer --candidates"
            )
        self._rows = {item_id: row for row, item_id in enumerate(catalogue.item_ids)}
        self._answers = self._codes.texts
        words = None if tokenize else torch.from_numpy(encode(self._codes.words))
        self._texts = InstructionTexts(words, torch.from_numpy(encode(self._answers or [""])))

    def train(
        self,
        histories: Sequence[npt.NDArray[np.int32]],
        index: DecodeIndex,
        config: InstructionTrainingConfig,
        losses: TrainingConfig,
        run: TrainingRun,
        *,
        seed: int,
    ) -> None:
        """Train the generator; see `train_instructions`."""
        data = InstructionData(self._train, self._texts, histories, index)
        train_instructions(self._model, data, config, losses, run, seed=seed)

    def evaluate(self, split: LeaveOneOut, questions: int) -> list[TaskFigures]:
        """How test examples are answered, by task and kind of templates, in the order of the set.

        Args:
            split: The test's histories, whose items are not recommended again.
            questions: Examples of each at most, evenly spread.
        """
        groups: dict[tuple[str, bool], list[int]] = {}
        for place, example in enumerate(self._found.test):
            groups.setdefault((example.task, example.seen), []).append(place)
        model, reader = self._model.eval(), self._model.instructions
        assert reader is not None
        asked = zip(split.test.users_U.tolist(), split.test.histories, strict=True)
        with torch.inference_mode():
            tokens_NH = model.item_tokens()
            texts = self._texts.on(tokens_NH.device)
            answers_AH = reader.answers(texts.answers_AD)
            heads = _Heads(
                tokens_NH,
                answers_AH,
                answers_AH[self._codes.titles()] if TITLES in self._test.kinds else None,
                texts.words_SD,
                {split.train.user_ids[user]: history for user, history in asked},
            )
            return [
                self._figures(task, seen, np.array(places)[evenly(len(places), questions)], heads)
                for (task, seen), places in groups.items()
            ]

    def _figures(self, task: str, seen: bool, places_Q: npt.NDArray[np.int64], heads: _Heads) -> TaskFigures:
        rows: list[dict[str, float]] = []
        for begin in range(0, len(places_Q), _AT_ONCE):
            chosen_B = places_Q[begin : begin + _AT_ONCE]
            batch = self._test.batch(chosen_B, heads.tokens_NH.device)
            states_BH = self._model.read_instructions(batch, heads.tokens_NH, heads.words_SD)
            rows += [
                self._answered(state_H, int(place), heads) for state_H, place in zip(states_BH, chosen_B, strict=True)
            ]
        examples = [self._found.test[place] for place in places_Q]
        return TaskFigures(
            task,
            seen,
            tuple(example.user_id for example in examples),
            tuple(example.template for example in examples),
            {name: np.array([row[name] for row in rows]) for name in rows[0]},
        )

    def _answered(self, state_H: torch.Tensor, place: int, heads: _Heads) -> dict[str, float]:
        example = self._found.test[place]
        right = int(self._test.texts_X[place])
        kind = self._test.kinds[self._test.spaces_X[place]] if right >= 0 else ""
        if right < 0 or kind == TITLES:
            scored_NH = heads.tokens_NH if right < 0 else heads.titles_NH
            assert scored_NH is not None
            return _ranked((scored_NH @ state_H).cpu().numpy(), example, self._rows, heads.histories)
        known_A = self._train.spaces[self._train.kinds.index(kind)] if kind in self._train.kinds else None
        numbers_A = None if known_A is None else self._numbers(known_A)
        if known_A is not None and numbers_A is not None:
            error = float(_probabilities(heads.answers_AH[known_A], state_H) @ numbers_A) - float(self._answers[right])
            return {"squared_error": error**2, "error": abs(error)}
        others_A = self._test.spaces[self._test.spaces_X[place]]
        others_A = np.random.default_rng(place).permutation(others_A[others_A != right])[:_OTHERS]
        offered_A = np.concatenate([others_A, [right]])
        return {"right": float(_probabilities(heads.answers_AH[offered_A], state_H).argmax() == len(others_A))}

    def _numbers(self, offered_A: npt.NDArray[np.int64]) -> Floats | None:
        """Texts as numbers; None where one is none."""
        try:
            return np.array([float(self._answers[number]) for number in offered_A])
        except ValueError:
            return None


class _Heads(NamedTuple):
    """What states are scored against, and what is left out."""

    tokens_NH: torch.Tensor
    answers_AH: torch.Tensor
    titles_NH: torch.Tensor | None
    words_SD: torch.Tensor | None
    histories: Mapping[str, npt.NDArray[np.int32]]


def _probabilities(answers_AH: torch.Tensor, state_H: torch.Tensor) -> Floats:
    logits_A = (answers_AH @ state_H).double() / math.sqrt(len(state_H))
    return np.asarray(logits_A.softmax(-1).cpu().numpy())


def _ranked(
    scores_N: npt.NDArray[np.float32],
    example: Example,
    rows: Mapping[str, int],
    histories: Mapping[str, npt.NDArray[np.int32]],
) -> dict[str, float]:
    """Gains of the right item among candidates, or among all items that the customer does not have yet."""
    row = rows[example.item_id]
    open_N = np.zeros(len(scores_N), np.bool_)
    if example.candidates:
        open_N[[rows[item] for item in example.candidates]] = True
    else:
        open_N[:] = True
        open_N[histories.get(example.user_id, np.empty(0, np.int32))] = False
    gains = np.zeros(3)
    if open_N[row]:
        others_C = scores_N[open_N]
        above, tied = (others_C > scores_N[row]).sum(), (others_C == scores_N[row]).sum() - 1
        ranks = Ranks(np.array([above]), np.array([tied]))
        gains = np.array([ranks.ndcg_at(CUTOFF)[0], ranks.recall_at(CUTOFF)[0], ranks.recall_at(1)[0]])
    ndcg, recall, first = gains.tolist()
    return {f"ndcg@{CUTOFF}": ndcg} | ({"first": first} if example.candidates else {f"recall@{CUTOFF}": recall})
