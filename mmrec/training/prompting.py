"""Ranks candidates by prompting a language model that nobody trained for it, on the questions that a fit is tested on.

Zero-shot, or with other customers' histories as examples (few-shot). Unit of work: one dataset.
"""

# Axes: Q questions, C candidates

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mmrec.data.dataset import read_dataset
from mmrec.data.splits import evenly
from mmrec.evaluation.metrics import Ranks
from mmrec.language.instruction_templates import read_tasks
from mmrec.language.instructions import Example, InstructionBuilder, InstructionConfig
from mmrec.language.language_model import LanguageModel
from mmrec.language.prompting import HISTORY_FORMS, HistoryForm, PromptConfig, title_scores
from mmrec.language.sentences import shown_title
from mmrec.runtime.limits import check_choice, check_numbers
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec.training.splitting import LEAVE_ONE_OUT, SplitName, split_events


@dataclass(frozen=True, slots=True)
class PromptingConfig:
    """What is asked.

    Attributes:
        shots: Other customers' histories, with the items that came next, in front of the question; 0: none.
        history: ``words``: titles; ``tokens``: one token for each item, the mean of its title's words.
        last: Most items of a history that are read, the last ones.
        questions: Customers that are asked at most, evenly spread.
        candidates: Items to rank, the right one included.
        split: Which events are held out, as in `mmrec fit`.
        min_rating: As in `mmrec fit`.
        seed: Of candidates and examples.
    """

    shots: int = 0
    history: HistoryForm = "words"
    last: int = 10
    questions: int = 60
    candidates: int = 20
    split: SplitName = LEAVE_ONE_OUT
    min_rating: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(self, "shots", "seed", low=0)
        check_numbers(self, "last", "questions", low=1)
        check_numbers(self, "candidates", low=2)
        check_choice("history", self.history, HISTORY_FORMS)


@dataclass(frozen=True, eq=False)
class PromptedRanking:
    """How the right items were ranked.

    Attributes:
        questions: The questions, with their candidates.
        ranks: Of the right item among them.
    """

    questions: tuple[Example, ...]
    ranks: Ranks


def ranking_questions(dataset: Path, config: PromptingConfig) -> tuple[list[Example], list[Example]]:
    """Test questions with candidates, and training examples to be shown in front of them.

    Raises:
        InvalidDatasetError: the dataset cannot be used, or has too few events to hold any out.
    """
    data = read_dataset(dataset, min_rating=config.min_rating)
    split = split_events(data.interactions, config.split, data.root)
    instructions = InstructionConfig(1.0, max(config.last, 1), config.candidates, config.seed)
    builder = InstructionBuilder(data.catalogue, data.interactions, split, instructions)
    (task,) = [task for task in read_tasks() if task.kind == "ranking"]
    asked = [example for example in builder.evaluation([task], "test") if example.seen]
    shown = list(builder.train([task])) if config.shots else []
    return [asked[place] for place in evenly(len(asked), config.questions)], shown


def rank_by_prompting(
    dataset: Path, model: LanguageModel, config: PromptingConfig | None = None, progress: Progress = NO_PROGRESS
) -> PromptedRanking:
    """Rank the candidates of test questions by `mmrec.language.prompting.title_scores`.

    Args:
        dataset: A dataset folder.
        model: The language model.
        config: See `PromptingConfig`.
        progress: Reports every question.

    Raises:
        InvalidDatasetError: the dataset cannot be used, or has too few events to hold any out.
        InvalidArgumentError: a prompt is longer than the model's positions.
    """
    config = config or PromptingConfig()
    questions, shown = ranking_questions(dataset, config)
    catalogue = read_dataset(dataset, min_rating=config.min_rating).catalogue
    titles = {
        item_id: shown_title(item_id, title)
        for item_id, title in zip(catalogue.item_ids, catalogue.titles, strict=True)
    }
    rng = np.random.default_rng(config.seed)
    above, tied = [], []
    progress.start("prompt", len(questions), "customers")
    for question in questions:
        others = [one for one in shown if one.user_id != question.user_id]
        drawn = [others[place] for place in rng.permutation(len(others))[: config.shots]]
        prompt = PromptConfig(
            last=config.last,
            history=config.history,
            examples=tuple((tuple(map(titles.__getitem__, one.history)), titles[one.item_id]) for one in drawn),
        )
        history = [titles[item_id] for item_id in question.history]
        scores_C = np.array(title_scores(model, history, [titles[one] for one in question.candidates], prompt))
        right = scores_C[question.candidates.index(question.item_id)]
        above.append(int((scores_C > right).sum()))
        tied.append(int((scores_C == right).sum()) - 1)
        progress.advance()
    progress.finish()
    return PromptedRanking(tuple(questions), Ranks(_integers(above), _integers(tied)))


def _integers(values: list[int]) -> npt.NDArray[np.int64]:
    return np.array(values, np.int64)
