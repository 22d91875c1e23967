"""Measures a recommender, its parts and the baselines ("floors") on one split, in one table.

Models learn from training events; weights are fitted on validation questions; the table is of test questions.
"""

# Axes: Q questions, B customers, N items, C channels, S candidates

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mmrec.channels.blend import Blend, BlendConfig, BlendSample, fit_blend
from mmrec.data.interactions import Interactions
from mmrec.data.splits import Split, evenly
from mmrec.evaluation.comparisons import Comparison, compare
from mmrec.evaluation.floors import Scorer, item_knn, last_item_transitions, pair_counts, popularity
from mmrec.evaluation.lists import unseen_items
from mmrec.evaluation.measuring import Key, Measurement, QuestionChunk, seen_word
from mmrec.evaluation.metrics import CUTOFFS, MetricRow, Ranks, main_cutoff
from mmrec.evaluation.ratings import RatingRow
from mmrec.evaluation.slices import QuestionSlice, slice_rows
from mmrec.generator.sentence_bank import SentenceBank
from mmrec.recommender.ranking_model import CHANNELS, RankingModel
from mmrec.runtime.progress import NO_PROGRESS, Progress

BLENDS: Mapping[str, tuple[str, ...]] = {
    "fused": CHANNELS,
    "generator": ("item-head", "semantic-id"),
    "graph-text": ("transitions", "transitions-wide", "lexical", "popularity"),
}
"""Rows that are blends, and the channels each may use: everything, the LLM alone, no LLM at all."""

PARTS = {"item-head": "item-head", "transition-graph": "transitions", "lexical": "lexical", "content": "content"}
"""Rows that are one channel."""


ORDER = (
    "fused",
    "generator",
    "item-head",
    "semantic-id-beam",
    "transition-graph",
    "lexical",
    "content",
    "graph-text",
    "pair-counts",
    "item-knn",
    "transitions",
    "popularity",
)
"""Rows of the table, in order."""

DEFAULT_SCORES = 2**30
"""Scores of one ranker, questions times items, up to which all questions are asked by default: some minutes."""
LEAST_QUESTIONS = 2_000
"""Questions that are asked by default however large the catalogue is, as far as there are as many."""

FLOORS = ("graph-text", "pair-counts", "item-knn", "transitions", "popularity")
"""Rows that need no training; the best of them is what the others are tested against."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A table of metrics.

    Attributes:
        rows: One per ranker and treatment of seen items.
        questions: Test users asked.
        of: Test users from whom they were chosen, evenly.
        items: Size of the catalogue that is ranked.
        cutoffs: Ascending list lengths.
        answers_in_history: Questions that ask for an item of the history.
        slices: The same rows for groups of questions, seen items removed; empty when only one row was wanted.
        ranks: Rank of every target, by name and treatment of seen items.
        ratings: Predicted ratings, one row per predictor; empty for a dataset without enough ratings.
    """

    rows: tuple[MetricRow, ...]
    questions: int
    items: int
    of: int = 0
    cutoffs: tuple[int, ...] = CUTOFFS
    answers_in_history: int = 0
    slices: tuple[QuestionSlice, ...] = ()
    ranks: Mapping[Key, Ranks] = field(default_factory=dict, repr=False, compare=False)
    ratings: tuple[RatingRow, ...] = ()

    @property
    def cutoff(self) -> int:
        """The list length of tables with room for one."""
        return main_cutoff(self.cutoffs)

    def row(self, name: str, seen: str = "removed") -> MetricRow:
        """The row of a ranker."""
        return next(row for row in self.rows if (row.name, row.seen) == (name, seen))

    @property
    def users(self) -> str:
        """Who was asked, in words: ``1,200 users``, or ``1,200 of 90,000 users``."""
        return f"{self.questions:,} of {self.of:,} users" if self.of > self.questions else f"{self.questions:,} users"

    @property
    def doubts(self) -> tuple[str, ...]:
        """Sentences about limits of the metrics."""
        if not self.answers_in_history:
            return ()
        share = self.answers_in_history / self.questions
        return (
            f"{self.answers_in_history:,} of {self.questions:,} questions ({share:.1%}) ask for an item that is in the "
            "history: with seen items removed nobody can answer them, and they count as missed; with seen items kept "
            "the history gives many of them away",
        )

    def best_floor(self) -> str:
        """Name of the floor with the highest NDCG, seen items removed."""
        floors = [row for row in self.rows if row.name in FLOORS and row.seen == "removed"]
        return max(floors, key=lambda row: row.ndcg[self.cutoff]).name

    def as_json(self) -> dict[str, Any]:
        """``{"rows": [...], "questions": ..., "of": ..., "answers_in_history": ..., "items": ..., "cutoffs": [...],
        "slices": [...], "ratings": [...]}``."""
        return {
            "rows": [row.as_json() for row in self.rows],
            "questions": self.questions,
            "of": self.of,
            "answers_in_history": self.answers_in_history,
            "items": self.items,
            "cutoffs": list(self.cutoffs),
            "slices": [group.as_json() for group in self.slices],
            "ratings": [row.as_json() for row in self.ratings],
        }


def fit_blends(
    ranker: RankingModel,
    validation: Split,
    config: BlendConfig,
    progress: Progress = NO_PROGRESS,
    *,
    blends: Mapping[str, tuple[str, ...]] = BLENDS,
    bank: SentenceBank | None = None,
    favoured: str = "",
    seed: int = 0,
) -> dict[str, Blend]:
    """Weights of blends, fitted on validation questions.

    Args:
        ranker: The recommender.
        validation: Questions.
        config: See `BlendConfig`.
        progress: Reports every question.
        blends: Channels that each blend may use, by its name.
        bank: The LLM reads a sentence about the answer behind each history; questions about whose answer there is none
            are left out. None: no sentences.
        favoured: See `fit_blend`.
        seed: Of the draw of sentences.
    """
    chosen = evenly(len(validation.targets_U), config.questions)
    sentences_U = None
    if bank is not None:
        drawn = bank.draw(validation.targets_U[chosen], np.random.default_rng(seed))
        chosen, sentences_U = chosen[drawn >= 0], drawn[drawn >= 0]
    samples: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in blends}
    used = frozenset(channel for channels in blends.values() for channel in channels)
    progress.start("weigh channels", len(chosen), "users")
    for chunk in ranker.chunks(len(chosen)):
        rows = list(chosen[chunk.begin : chunk.end])
        histories = [validation.histories[row] for row in rows]
        eligible_BN = unseen_items(histories, ranker.items)
        instructions_BD, instructions = None, None
        if bank is not None and sentences_U is not None:
            said = sentences_U[chunk.begin : chunk.end]
            instructions_BD, instructions = bank.vectors_SD[said], [bank.sentences[number] for number in said]
        features = ranker.features(
            histories, eligible_BN, channels=used, instructions_BD=instructions_BD, instructions=instructions
        ).by_channel
        for place, row in enumerate(rows):
            target = int(validation.targets_U[row])
            if not eligible_BN[place, target]:
                continue
            own = {name: feature[place] for name, feature in features.items()}
            candidates = _candidates(own, eligible_BN[place], target, config.candidates)
            for name, channels in blends.items():
                samples[name].append(np.stack([own[channel][candidates] for channel in channels]).astype(float))
        progress.advance(len(rows))
    progress.finish()
    # Hardly any target is a new item, so the share of new items in a list cannot be fitted.
    cold_share = min(float(ranker.new_N.mean()), config.cold_share)
    fitted = {name: fit_blend(BlendSample(samples[name], blends[name]), config, favoured) for name in blends}
    return {name: replace(blend, cold_share=cold_share) for name, blend in fitted.items()}


def chosen_questions(test: Split, items: int, most: int | None = None) -> Split:
    """The questions that are asked: all of a small dataset, evenly chosen ones of a large one.

    Ranking one target among the whole catalogue costs as much as there are items, so that all questions of a large
    dataset would take days.

    Args:
        test: All questions.
        items: Size of the catalogue.
        most: Most questions; None for as many as take minutes, 0 for all.
    """
    of = len(test.targets_U)
    if most is None:
        most = max(LEAST_QUESTIONS, DEFAULT_SCORES // max(items, 1))
    return test if not most or most >= of else test.take(evenly(of, most))


def evaluate(
    ranker: RankingModel,
    blends: Mapping[str, Blend],
    train: Interactions,
    test: Split,
    progress: Progress = NO_PROGRESS,
    *,
    of: int = 0,
    only_fused: bool = False,
    cutoffs: Sequence[int] = CUTOFFS,
) -> Evaluation:
    """Rank every test target among the whole catalogue with every ranker.

    The beam is as wide as in service, and never narrower than the longest list.

    Args:
        ranker: The recommender.
        blends: From `fit_blends`.
        train: Training events, for the floors and the popularity of items.
        test: Questions.
        progress: Reports every question.
        of: Questions from which `test` was chosen; 0: it is all of them.
        only_fused: Leave out the parts, the floors and the slices.
        cutoffs: Ascending list lengths.
    """
    floors: dict[str, Scorer] = {}
    if not only_fused:
        floors = {
            "popularity": popularity(train, ranker.items),
            "transitions": last_item_transitions(train, ranker.items),
            "item-knn": item_knn(train, ranker.items),
            "pair-counts": pair_counts(train, ranker.items),
        }
    alive_N = ranker.parts.catalogue.alive_N
    deleted_N = np.zeros(ranker.items, np.bool_) if alive_N is None else ~alive_N
    popularity_N = RankingModel.popularity_of(train, ranker.items)
    measurement = Measurement(popularity_N, ranker.parts.fused_ND.whole(), cutoffs)
    channels = blends["fused"].channels if only_fused else frozenset(CHANNELS)
    width = max(ranker.parts.beam_width, max(cutoffs))
    progress.start("evaluate", len(test.targets_U), "users")
    for chunk in ranker.chunks(len(test.targets_U)):
        asked = QuestionChunk(test.histories[chunk.begin : chunk.end], test.targets_U[chunk.begin : chunk.end])
        floor_scores = {name: score(asked.histories) for name, score in floors.items()}
        features: dict[str, npt.NDArray[np.float32]] = {}
        memory = ranker.read(asked.histories) if channels & {"item-head", "semantic-id"} else None
        for remove_seen in (True, False):
            eligible_BN = unseen_items(asked.histories, ranker.items) if remove_seen else None
            if deleted_N.any():
                everything_BN = np.ones((len(asked.histories), ranker.items), dtype=bool)
                eligible_BN = (everything_BN if eligible_BN is None else eligible_BN) & ~deleted_N
            # Only the beam depends on which items are eligible.
            wanted = channels if remove_seen else channels & {"semantic-id"}
            found, generated_BW = ranker.features(
                asked.histories, eligible_BN, beam_width=width, channels=wanted, memory=memory
            )
            features |= found
            names = ("fused",) if only_fused else tuple(BLENDS)
            scores = {name: ranker.blend(blends[name], features, eligible_BN) for name in names}
            if not only_fused:
                scores |= {row: features[channel] for row, channel in PARTS.items()}
            if generated_BW is not None and not only_fused:
                measurement.add_lists("semantic-id-beam", generated_BW, asked, remove_seen=remove_seen)
            for name, score in (scores | floor_scores).items():
                if deleted_N.any():
                    score = np.where(deleted_N, np.float32(-np.inf), score)
                measurement.add_scores(name, score, asked, remove_seen=remove_seen)
        progress.advance(len(asked.targets_B))
    progress.finish()
    rows, ranks = measurement.rows(), measurement.ranks()
    keys = [(name, seen_word(remove_seen)) for remove_seen in (True, False) for name in ORDER]
    slices: tuple[QuestionSlice, ...] = ()
    if not only_fused:
        in_order = {key: ranks[key] for key in keys if key in ranks}
        lengths_Q = np.array([len(history) for history in test.histories])
        slices = slice_rows(in_order, lengths_Q, popularity_N[test.targets_U].astype(np.int64), cutoffs)
    return Evaluation(
        rows=tuple(rows[key] for key in keys if key in rows),
        questions=len(test.targets_U),
        items=ranker.parts.catalogue.items,
        of=of or len(test.targets_U),
        cutoffs=tuple(cutoffs),
        answers_in_history=sum(
            bool((history == target).any()) for history, target in zip(test.histories, test.targets_U, strict=True)
        ),
        slices=slices,
        ranks=ranks,
    )


def compare_with_floor(evaluation: Evaluation) -> tuple[Comparison, ...]:
    """Test the rankers of mmrec against the best floor: seen items removed, at the main cut-off."""
    floor = evaluation.best_floor()
    ranks = {name: value for (name, seen), value in evaluation.ranks.items() if seen == "removed"}
    return compare(
        ranks, [(name, floor) for name in ORDER if name in ranks and name not in FLOORS], cutoff=evaluation.cutoff
    )


def _candidates(
    features: Mapping[str, npt.NDArray[np.float32]], eligible_N: npt.NDArray[np.bool_], target: int, keep: int
) -> npt.NDArray[np.int64]:
    """The target first, then the best eligible items of each channel."""
    rows = np.flatnonzero(eligible_N)
    if len(rows) > keep:
        per_channel = max(1, keep // len(features))
        leaders = [rows[np.argpartition(-feature[rows], per_channel)[:per_channel]] for feature in features.values()]
        rows = np.unique(np.concatenate(leaders))
    return np.concatenate([[target], rows[rows != target]])
