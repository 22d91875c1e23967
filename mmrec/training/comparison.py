"""Compares bundles on the same questions, with paired tests.

Each bundle is evaluated now, or its saved questions are read. Knows nothing of printing.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmrec.errors import InvalidArgumentError
from mmrec.evaluation.comparisons import Comparison, compare
from mmrec.evaluation.measuring import Key, rows_of
from mmrec.evaluation.metrics import CUTOFFS, MetricRow, Ranks, checked_cutoffs, main_cutoff
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec.training.bundle_evaluation import BundleEvaluation, EvaluationSettings, evaluate_bundle
from mmrec.training.evaluation import FLOORS
from mmrec.training.saved_ranks import AnsweredQuestions, load_questions
from mmrec.training.splitting import checked_split


@dataclass(frozen=True, slots=True)
class BundleComparison:
    """Bundles on the same questions.

    Attributes:
        names: What the bundles are called here: the paths they were given as.
        ranker: The row that was compared.
        floor: Name of the best floor.
        rows: The bundles' rows and then the floors', by name and treatment of seen items.
        comparisons: Every bundle against the best floor, then every later bundle against every earlier one; seen items
            removed, corrected together.
        questions: Questions asked of each.
        items: Size of the catalogue.
        split: How the events were divided.
        cutoffs: Ascending list lengths.
        evaluations: Of the bundles that were evaluated now, by name.
    """

    names: tuple[str, ...]
    ranker: str
    floor: str
    rows: Mapping[Key, MetricRow]
    comparisons: tuple[Comparison, ...]
    questions: int
    items: int
    split: str
    cutoffs: tuple[int, ...]
    evaluations: Mapping[str, BundleEvaluation] = field(default_factory=dict, repr=False)

    @property
    def cutoff(self) -> int:
        """The list length of tables with room for one."""
        return main_cutoff(self.cutoffs)

    def as_json(self) -> dict[str, Any]:
        """Rows keep the keys of an evaluation; ``name`` is the bundle or the floor."""
        return {
            "bundles": list(self.names),
            "ranker": self.ranker,
            "floor": self.floor,
            "split": self.split,
            "questions": self.questions,
            "items": self.items,
            "cutoffs": list(self.cutoffs),
            "rows": [row.as_json() for row in self.rows.values()],
            "comparisons": [comparison.as_json() for comparison in self.comparisons],
        }


def compare_bundles(
    sources: Sequence[str | os.PathLike[str]],
    dataset: str | os.PathLike[str] | None = None,
    settings: EvaluationSettings | None = None,
    *,
    ranker: str = "fused",
    progress: Progress = NO_PROGRESS,
    note: Callable[[str], None] = lambda _: None,
) -> BundleComparison:
    """Evaluate several bundles on the same questions and test their differences.

    Args:
        sources: Bundle folders, or files of questions that `save_questions` wrote; two or more. The floors are those
            of the first, and later ones are tested against earlier ones.
        dataset: Takes the events from here instead of from each bundle.
        settings: What is measured, and with what; the beam is not compared with exact ranking. None for the defaults.
        ranker: The row to compare, e.g. ``fused`` or ``item-head``.
        progress: Reports every question.
        note: Called with sentences, before the work begins, which rows of the dataset are not used.

    Raises:
        InvalidArgumentError: fewer than two sources, one given twice, no such row, or bundles with different
            catalogues, splits or questions; and what `evaluate_bundle` raises.
    """
    settings = replace(settings or EvaluationSettings(), beam_sample=0)
    names = tuple(_name(source) for source in sources)
    if len(names) < 2 or len(set(names)) < len(names):
        raise InvalidArgumentError(
            f"{len(names)} bundles are given ({', '.join(names) or 'none'}); name two or more different ones, or files "
            "that `mmrec evaluate --save-questions` wrote",
            field="bundles",
        )
    evaluations: dict[str, BundleEvaluation] = {}
    answered: dict[str, AnsweredQuestions] = {}
    for name in names:
        if Path(name).suffix == ".parquet":
            answered[name] = load_questions(Path(name))
            if settings.split and answered[name].split != checked_split(settings.split):
                raise InvalidArgumentError(
                    f"the questions of {name} are of the split {answered[name].split}, and {settings.split} is wanted; "
                    "evaluate the bundle again with that split, or leave the split out",
                    field="split",
                )
        else:
            evaluations[name] = evaluate_bundle(
                name,
                dataset,
                settings,
                progress=progress,
                # The dataset is the same for all of them.
                note=(lambda _: None) if evaluations else note,
            )
            answered[name] = evaluations[name].questions
        # Fails at the first mismatch, before more is computed.
        _check_same(names[0], answered[names[0]], name, answered[name], ranker)
    first = answered[names[0]]
    lengths = CUTOFFS if settings.cutoffs is None else checked_cutoffs(settings.cutoffs, first.items)
    ranks = _ranks(answered, ranker)
    rows: dict[Key, MetricRow] = dict(rows_of(ranks, lengths))
    for name, made in evaluations.items():
        for row in made.evaluation.rows:
            if row.name == ranker:
                rows[name, row.seen] = replace(row, name=name)
    cutoff = main_cutoff(lengths)
    floors = [name for name in FLOORS if (name, "removed") in rows]
    floor = max(floors, key=lambda name: rows[name, "removed"].ndcg[cutoff])
    pairs = [(name, floor) for name in names] + [(b, a) for a, b in itertools.combinations(names, 2)]
    removed = {name: value for (name, seen), value in ranks.items() if seen == "removed"}
    return BundleComparison(
        names=names,
        ranker=ranker,
        floor=floor,
        rows=rows,
        comparisons=compare(removed, pairs, cutoff=cutoff),
        questions=len(first.user_ids),
        items=first.items,
        split=first.split,
        cutoffs=tuple(lengths),
        evaluations=evaluations,
    )


def _name(source: str | os.PathLike[str]) -> str:
    name = str(Path(source))
    # A folder named like a floor must not replace it.
    return f".{os.sep}{name}" if name in FLOORS else name


def _check_same(first: str, ours: AnsweredQuestions, other: str, theirs: AnsweredQuestions, ranker: str) -> None:
    if (ranker, "removed") not in theirs.ranks:
        known = ", ".join(sorted({name for name, _ in theirs.ranks}))
        raise InvalidArgumentError(f"{other} has no row {ranker!r}; it has {known}", field="ranker")
    if ours.catalogue != theirs.catalogue:
        raise InvalidArgumentError(
            f"{first} and {other} have different catalogues ({ours.items:,} and {theirs.items:,} items), so their "
            "figures cannot be compared; fit both on the same items",
            field="bundles",
        )
    if ours.split != theirs.split:
        raise InvalidArgumentError(
            f"{first} holds out by {ours.split} and {other} by {theirs.split}, so they were not asked the same "
            "questions; fit both with the same --split",
            field="bundles",
        )
    one, two = set(ours.asked()), set(theirs.asked())
    if one != two or len(one) != len(ours.user_ids) or len(two) != len(theirs.user_ids):
        raise InvalidArgumentError(
            f"{first} was asked {len(one):,} questions and {other} {len(two):,}, of which they share "
            f"{len(one & two):,}; compare them on the same events, which a dataset folder after the bundles gives",
            field="bundles",
        )


def _ranks(answered: Mapping[str, AnsweredQuestions], ranker: str) -> dict[Key, Ranks]:
    """Ranks of every bundle's row and of the first one's floors, in the order of the first one's questions."""
    first = next(iter(answered.values()))
    place = {question: row for row, question in enumerate(first.asked())}
    ranks: dict[Key, Ranks] = {}
    for name, questions in answered.items():
        order = np.empty(len(place), dtype=np.int64)
        for row, question in enumerate(questions.asked()):
            order[place[question]] = row
        for seen in ("removed", "kept"):
            if (ranker, seen) in questions.ranks:
                ranks[name, seen] = questions.ranks[ranker, seen].take(order)
    for seen in ("removed", "kept"):
        for floor in FLOORS:
            if (floor, seen) in first.ranks:
                ranks[floor, seen] = first.ranks[floor, seen]
    return ranks
