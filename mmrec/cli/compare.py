"""`mmrec compare`: metrics of several bundles on the same held-out events."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec.cli.evaluation_options import CutoffsOption, QuestionsOption, ReportOption, SplitOption, read_cutoffs
from mmrec.cli.options import Compute
from mmrec.cli.output import Output


def compare(
    bundles: Annotated[
        list[str],
        typer.Argument(metavar="BUNDLE BUNDLE ...", help="Bundle folders, or files of evaluate --save-questions."),
    ],
    dataset: Annotated[
        str, typer.Option("--dataset", metavar="DATASET", help="Take the events from here instead of from each bundle.")
    ] = "",
    ranker: Annotated[
        str, typer.Option("--ranker", metavar="ROW", help="Row of the evaluation to compare, as in item-head.")
    ] = "fused",
    split: SplitOption = "",
    cutoffs: CutoffsOption = "",
    questions: QuestionsOption = -1,
    report: ReportOption = "",
    *,
    compute: Compute,
    output: Output,
) -> None:
    """Evaluate several bundles on the same held-out events, and test whether their metrics differ.

    Every bundle is tested against the best floor (baseline), and every later bundle against every earlier one. The
    tests are paired by user, with Holm's correction for multiple tests.

    Example:
        mmrec compare bundle-a/ bundle-b/
        mmrec compare a.parquet b.parquet --ranker item-head --report report/
    """
    from mmrec.cli.tables import print_comparison, print_comparisons
    from mmrec.training import EvaluationSettings, compare_bundles
    from mmrec.training.reports import prepare_report, report_comparison

    lengths = read_cutoffs(cutoffs)
    if report:
        prepare_report(report)
    result = compare_bundles(
        bundles,
        dataset or None,
        EvaluationSettings(
            split,
            lengths,
            questions=None if questions == -1 else questions,
            device=compute.device,
            dtype=compute.dtype,
        ),
        ranker=ranker,
        progress=output.progress(),
        note=output.note,
    )
    if report:
        output.note(f"wrote {report_comparison(report, result)}")
    output.data(result.as_json())
    print_comparison(output, result)
    print_comparisons(output, "Differences, seen items removed", result.comparisons)
