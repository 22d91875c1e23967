"""Tables that several commands print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmrec.cli.output import Output
from mmrec.evaluation.ratings import RATING_COLUMNS, rating_cells

if TYPE_CHECKING:
    from mmrec.evaluation.comparisons import Comparison
    from mmrec.evaluation.metrics import MetricRow
    from mmrec.training import BundleComparison, Evaluation
    from mmrec.training.beam_check import BeamCheck


def print_evaluation(output: Output, evaluation: Evaluation) -> None:
    """Accuracy of every ranker, with seen items removed and kept."""
    _print_accuracy(
        output,
        f"{evaluation.users}, ranked among {evaluation.items:,} items",
        evaluation.rows,
        evaluation.cutoffs,
        evaluation.cutoff,
    )
    for doubt in evaluation.doubts:
        output.note(doubt)
    if evaluation.ratings:
        output.table(
            f"Ratings: {evaluation.ratings[0].ratings:,} held-out ones predicted",
            RATING_COLUMNS,
            rating_cells(evaluation.ratings),
        )


def print_comparison(output: Output, comparison: BundleComparison) -> None:
    """Accuracy of every bundle and of the floors."""
    title = (
        f"{comparison.ranker} of {len(comparison.names)} bundles, {comparison.questions:,} users "
        f"({comparison.split}), ranked among {comparison.items:,} items"
    )
    _print_accuracy(output, title, list(comparison.rows.values()), comparison.cutoffs, comparison.cutoff)


def _print_accuracy(output: Output, title: str, rows: Sequence[MetricRow], cutoffs: Sequence[int], cutoff: int) -> None:
    columns = ["ranked by", "seen"]
    for k in cutoffs:
        columns += [f"Recall@{k}", f"NDCG@{k}"]
    columns += [f"95% of NDCG@{cutoff}", f"MRR@{cutoff}"]
    cells = []
    for row in rows:
        interval = row.intervals.get(f"ndcg@{cutoff}")
        figures = [f"{value:.4f}" for k in cutoffs for value in (row.recall[k], row.ndcg[k])]
        cells.append(
            [
                row.name,
                row.seen,
                *figures,
                f"{interval.low:.4f} to {interval.high:.4f}" if interval else "",
                f"{row.mrr[cutoff]:.4f}",
            ]
        )
    output.table(title, columns, cells)


def print_tasks(output: Output, tasks: Sequence[Mapping[str, Any]]) -> None:
    """How instructions were answered, task by task."""
    names = ("ndcg@10", "recall@10", "first", "rmse", "mae", "right")
    output.table(
        "Tasks of the instruction set: test questions by templates that training used (seen) and did not",
        ["task", "templates", "questions", *names],
        [
            [
                task["task"],
                "seen" if task["seen"] else "unseen",
                f"{task['questions']:,}",
                *(f"{task[name]:.4f}" if name in task else "" for name in names),
            ]
            for task in tasks
        ],
    )


def print_lists(output: Output, evaluation: Evaluation) -> None:
    """Beyond-accuracy metrics: coverage, novelty, popularity, Gini and diversity."""
    from mmrec.training.reports import lists_table

    output.table(f"Lists of {evaluation.cutoff}", *lists_table(evaluation.rows, evaluation.cutoff))


def print_comparisons(output: Output, title: str, comparisons: Sequence[Comparison]) -> None:
    """Paired significance tests."""
    from mmrec.training.reports import comparison_table

    output.table(title, *comparison_table(comparisons))


def print_slices(output: Output, evaluation: Evaluation) -> None:
    """NDCG of the served ranking, the LLM and the best baseline, by group of users."""
    k, shown = evaluation.cutoff, ("fused", "generator", evaluation.best_floor())
    by_slice = [(part, {row.name: row for row in part.rows}) for part in evaluation.slices]
    output.table(
        f"NDCG@{k} by group, seen items removed",
        ("by", "group", "users", *shown),
        [
            (part.by, part.name, part.questions, *(f"{rows[name].ndcg[k]:.4f}" for name in shown))
            for part, rows in by_slice
        ],
    )


def print_beam(output: Output, check: BeamCheck) -> None:
    """Beam search compared with exact ranking."""
    output.table(
        f"Semantic-ID beam of {check.width} and exact ranking of all items, {check.questions:,} of {check.of:,} users",
        ("K", "overlap", "NDCG beam", "NDCG exact", "difference", "95% interval"),
        [
            (
                k,
                f"{overlap:.4f}",
                f"{check.beam.ndcg[k]:.4f}",
                f"{check.exact.ndcg[k]:.4f}",
                f"{check.differences[f'ndcg@{k}'][0]:+.4f}",
                "{:+.4f} to {:+.4f}".format(*check.differences[f"ndcg@{k}"][1]),
            )
            for k, overlap in check.overlap.items()
        ],
    )
