"""Reports of an evaluation and of a comparison, as Markdown and as HTML with plots."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import mmrec
from mmrec.evaluation.comparisons import Comparison
from mmrec.evaluation.document import Block, Figure, Heading, Text, TextTable, prepare_folder, write_document
from mmrec.evaluation.metrics import MetricRow
from mmrec.evaluation.plots import Bar, draw_bars, draw_curves, draw_differences, draw_groups, draw_points
from mmrec.evaluation.ratings import RATING_COLUMNS, rating_cells
from mmrec.training.beam_check import BeamCheck
from mmrec.training.bundle_evaluation import BundleEvaluation
from mmrec.training.comparison import BundleComparison
from mmrec.training.evaluation import FLOORS, Evaluation

_HELD_OUT = {
    "leave-one-out": "Each user's last event is predicted; the one before it was used to choose weights and epochs.",
    "time": "Each user's first event in the last tenth of all events is predicted; the tenth before was used to choose "
    "weights and epochs, and later events were not used for training.",
}

_LISTS = (
    "Coverage is the share of the catalogue that is shown to any user. Novelty is the mean self-information of shown "
    "items. The popularity ratio is the mean number of training events of shown items, divided by that of the "
    "histories' items. Gini is 0 when all items are shown equally often. Diversity is 1 minus the mean cosine of fused "
    "embeddings in a list."
)

_TESTS = (
    "Differences are means over users with paired 95% bootstrap intervals. p is from a paired sign-flip permutation "
    "test of the mean, and Wilcoxon from the signed-rank test; both have Holm's correction for all tests of this table."
)


def prepare_report(folder: str | os.PathLike[str]) -> None:
    """Create the folder and check that it can be written to, before anything is computed.

    Raises:
        InvalidArgumentError: it cannot be created or written to.
    """
    prepare_folder(Path(folder))


def report_evaluation(folder: str | os.PathLike[str], result: BundleEvaluation) -> Path:
    """Write the report of a bundle.

    Returns:
        Its HTML file; ``report.md`` is beside it.

    Raises:
        InvalidArgumentError: the folder cannot be written to.
    """
    evaluation, k = result.evaluation, result.evaluation.cutoff
    blocks: list[Block] = [
        Heading(1, f"Evaluation of {result.name or result.bundle}"),
        Text(
            f"Bundle {result.bundle}, version {result.version}, measured with mmrec {mmrec.__version__}. "
            f"For each of {evaluation.users}, a held-out item is ranked among all {evaluation.items:,} "
            f"items. {_HELD_OUT[result.split]} Random ranking has a Recall@{k} of about "
            f"{min(1.0, k / evaluation.items):.4f}."
        ),
        *_accuracy(evaluation.rows, evaluation.cutoffs, k),
        Text(
            "Seen items removed means that items of the history cannot be recommended. Metrics are "
            "averaged over the orders of ties. Intervals are 95% bootstrap intervals over users."
        ),
        *(Text(f"{doubt}.") for doubt in evaluation.doubts),
        Heading(2, "Against the best floor"),
        Text(_TESTS),
        comparison_table(result.comparisons),
        Heading(2, "Beyond accuracy"),
        Text(_LISTS),
        lists_table(evaluation.rows, k),
    ]
    points = [(row.name, row.lists.coverage[k], row.ndcg[k]) for row in _removed(evaluation.rows) if row.lists]
    blocks += [
        Figure(
            "coverage",
            f"NDCG@{k} and coverage of the catalogue, seen items removed",
            draw_points(points, f"coverage@{k}", f"NDCG@{k}"),
        ),
        Heading(2, "Groups of users"),
        Text("Seen items removed. Cold items have no training event, so that only their content can rank them."),
        *_groups(evaluation),
    ]
    if evaluation.ratings:
        blocks += [
            Heading(2, "Ratings"),
            Text(
                f"{evaluation.ratings[0].ratings:,} held-out ratings, each predicted from what the user had rated "
                "before. Intervals are 95% bootstrap intervals over ratings. Of right standard deviations, one holds "
                ".683 of the ratings and two .954."
            ),
            TextTable(RATING_COLUMNS, rating_cells(evaluation.ratings)),
        ]
    if result.beam is not None:
        blocks += _beam(result.beam, k)
    if result.epochs:
        blocks += _training(result)
    return write_document(Path(folder), blocks)


def report_comparison(folder: str | os.PathLike[str], result: BundleComparison) -> Path:
    """Write the report of a comparison.

    Returns:
        Its HTML file; ``report.md`` is beside it.

    Raises:
        InvalidArgumentError: the folder cannot be written to.
    """
    k = result.cutoff
    rows = list(result.rows.values())
    main = [one for one in result.comparisons if one.metric == f"ndcg@{k}"]
    differences = [
        Bar(
            f"{one.name} - {one.against}", one.test.difference, one.test.low, one.test.high, one.holm_permutation < 0.05
        )
        for one in main
    ]
    blocks: list[Block] = [
        Heading(1, f"Comparison of {len(result.names)} bundles"),
        Text(
            f"The row {result.ranker} of {', '.join(result.names)}, measured with mmrec {mmrec.__version__} on the "
            f"same {result.questions:,} users, ranked among all {result.items:,} items. {_HELD_OUT[result.split]}"
        ),
        *_accuracy(rows, result.cutoffs, k),
        Heading(2, "Differences"),
        Text(_TESTS),
        Figure(
            "differences",
            f"Differences of NDCG@{k} with 95% intervals; those that are not significant are grey",
            draw_differences(differences, f"difference of NDCG@{k}"),
        ),
        comparison_table(result.comparisons),
    ]
    if any(row.lists for row in rows):
        blocks += [Heading(2, "Beyond accuracy"), Text(_LISTS), lists_table(rows, k)]
    return write_document(Path(folder), blocks)


def lists_table(rows: Sequence[MetricRow], k: int) -> TextTable:
    """Beyond-accuracy metrics of lists of `k` items."""
    columns = ("ranked by", "seen", "coverage", "novelty (bits)", "popularity ratio", "Gini", "diversity")
    return TextTable(
        columns,
        [
            [
                row.name,
                row.seen,
                f"{row.lists.coverage[k]:.4f}",
                f"{row.lists.novelty[k]:.2f}",
                f"{row.lists.popularity_ratio[k]:.2f}",
                f"{row.lists.gini[k]:.4f}",
                f"{row.lists.diversity[k]:.4f}",
            ]
            for row in rows
            if row.lists is not None
        ],
    )


def comparison_table(comparisons: Sequence[Comparison]) -> TextTable:
    """Paired significance tests."""
    return TextTable(
        ("ranked by", "against", "metric", "difference", "95% interval", "p (Holm)", "Wilcoxon (Holm)", "verdict"),
        [
            [
                one.name,
                one.against,
                one.metric,
                f"{one.test.difference:+.4f}",
                f"{one.test.low:+.4f} to {one.test.high:+.4f}",
                f"{one.holm_permutation:.4f}",
                f"{one.holm_wilcoxon:.4f}",
                one.verdict,
            ]
            for one in comparisons
        ],
    )


# --- blocks -----------------------------------------------------------------------------------------------------------


def _removed(rows: Iterable[MetricRow]) -> list[MetricRow]:
    return [row for row in rows if row.seen == "removed"]


def _bar_rows(rows: Iterable[MetricRow], k: int) -> list[Bar]:
    made = []
    for row in rows:
        low, high = row.intervals.get(f"ndcg@{k}", (row.ndcg[k], row.ndcg[k]))
        made.append(Bar(row.name, row.ndcg[k], low, high, strong=row.name not in FLOORS))
    return made


def _accuracy(rows: Sequence[MetricRow], cutoffs: Sequence[int], k: int) -> list[Block]:
    columns = ["ranked by", "seen items"]
    columns += [f"{name}@{length}" for length in cutoffs for name in ("Recall", "NDCG", "MRR")]
    columns.insert(2, f"NDCG@{k}, 95%")
    cells = []
    for row in rows:
        low, high = row.intervals.get(f"ndcg@{k}", (math.nan, math.nan))
        figures = [f"{metric[n]:.4f}" for n in cutoffs for metric in (row.recall, row.ndcg, row.mrr)]
        cells.append([row.name, row.seen, f"{low:.4f} to {high:.4f}", *figures])
    bars = draw_bars(_bar_rows(_removed(rows), k), f"NDCG@{k}")
    return [
        Heading(2, "Accuracy"),
        Figure("accuracy", f"NDCG@{k} with 95% intervals, seen items removed; floors are grey", bars),
        TextTable(columns, cells),
    ]


def _groups(evaluation: Evaluation) -> list[Block]:
    k = evaluation.cutoff
    shown = ("fused", "generator", evaluation.best_floor())
    blocks: list[Block] = []
    for by in dict.fromkeys(part.by for part in evaluation.slices):
        parts = [part for part in evaluation.slices if part.by == by]
        rows = [{row.name: row for row in part.rows} for part in parts]
        names = [row.name for row in parts[0].rows]
        blocks += [
            Heading(3, f"By {by}"),
            Figure(
                "by-" + by.replace(" ", "-"),
                f"NDCG@{k} by {by}, with 95% intervals",
                draw_groups(
                    [f"{part.name}\n{part.questions:,} users" for part in parts],
                    {name: [bar for own in rows for bar in _bar_rows([own[name]], k)] for name in shown},
                    f"NDCG@{k}",
                ),
            ),
            TextTable(
                ("ranked by", *(f"{part.name}: {metric}@{k}" for part in parts for metric in ("Recall", "NDCG"))),
                [
                    [name, *(f"{v[k]:.4f}" for own in rows for v in (own[name].recall, own[name].ndcg))]
                    for name in names
                ],
            ),
        ]
    return blocks


def _beam(check: BeamCheck, k: int) -> list[Block]:
    rows = []
    for length, overlap in check.overlap.items():
        cells = [str(length), f"{overlap:.4f}"]
        for metric in ("recall", "ndcg"):
            difference, interval = check.differences[f"{metric}@{length}"]
            ours, theirs = getattr(check.beam, metric)[length], getattr(check.exact, metric)[length]
            cells += [
                f"{ours:.4f}",
                f"{theirs:.4f}",
                f"{difference:+.4f}",
                f"{interval.low:+.4f} to {interval.high:+.4f}",
            ]
        rows.append(cells)
    columns = ["K", "overlap"]
    for metric in ("Recall", "NDCG"):
        columns += [f"{metric}, beam", f"{metric}, exact", "difference", "95% interval"]
    bars = [
        bar._replace(label=label)
        for label, row in ((f"beam of {check.width}", check.beam), ("exact ranking", check.exact))
        for bar in _bar_rows([row], k)
    ]
    return [
        Heading(2, "Beam and exact ranking"),
        Text(
            f"The semantic-ID head with a beam width of {check.width}, and with exact probabilities of all items, on a "
            f"sample of {check.questions:,} of {check.of:,} users. Overlap is the share of the exact top K that is in "
            "the beam's top K."
        ),
        Figure("beam", f"NDCG@{k} of beam and exact ranking, with 95% intervals", draw_bars(bars, f"NDCG@{k}")),
        TextTable(columns, rows),
    ]


def _training(result: BundleEvaluation) -> list[Block]:
    epochs = [float(record["epoch"]) for record in result.epochs]
    best = None if result.best_epoch is None else float(result.best_epoch)
    losses = {
        name.replace("_", " "): [float(record[name]) for record in result.epochs]
        for name in ("item_loss", "semantic_id_loss")
        if all(name in record for record in result.epochs)
    }
    blocks: list[Block] = [Heading(2, "Training"), Text(f"Epoch {result.best_epoch} is served.")]
    if losses:
        caption = "Training loss in nats by epoch; the dashed line is the epoch that is served"
        blocks.append(Figure("losses", caption, draw_curves(epochs, losses, best, "epoch", "loss (nats)")))
    if all("ndcg_at_10" in record for record in result.epochs):
        curve = {"item head": [float(record["ndcg_at_10"]) for record in result.epochs]}
        caption = "Validation NDCG@10 of the item head by epoch"
        blocks.append(Figure("validation", caption, draw_curves(epochs, curve, best, "epoch", "NDCG@10")))
    return blocks
