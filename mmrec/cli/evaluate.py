"""`mmrec evaluate`: offline metrics of a bundle and of simple baselines."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec.cli.evaluation_options import CutoffsOption, QuestionsOption, ReportOption, SplitOption, read_cutoffs
from mmrec.cli.options import Compute
from mmrec.cli.output import Output


def evaluate(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="Bundle folder.")],
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="Take the events from here instead of from the bundle.")
    ] = "",
    split: SplitOption = "",
    cutoffs: CutoffsOption = "",
    questions: QuestionsOption = -1,
    beam_sample: Annotated[
        int,
        typer.Option(
            "--beam-sample",
            metavar="N",
            help="Users for comparing beam search with exact ranking; -1: chosen for speed.",
        ),
    ] = -1,
    report: ReportOption = "",
    save_questions: Annotated[
        str,
        typer.Option("--save-questions", metavar="FILE", help="Write each user's result (Parquet) for compare."),
    ] = "",
    *,
    compute: Compute,
    output: Output,
) -> None:
    """Rank held-out events among all items: the bundle, its parts, and simple baselines.

    `fused` is what is served. `generator` is the LLM alone (both heads), `item-head` and `semantic-id-beam` are its
    heads, `transition-graph`, `lexical` and `content` the other channels. `graph-text`, `pair-counts`, `item-knn`,
    `transitions` and `popularity` are the floors: baselines that count and train nothing.

    Intervals are 95% bootstrap intervals over users. The tests against the best floor are paired, with Holm's
    correction for multiple tests.

    Example:
        mmrec evaluate bundle/
        mmrec evaluate bundle/ --json > metrics.json
        mmrec evaluate bundle/ --report report/ --save-questions questions.parquet
    """
    from pathlib import Path

    from mmrec.cli.tables import print_beam, print_comparisons, print_evaluation, print_lists, print_slices
    from mmrec.training import EvaluationSettings, evaluate_bundle
    from mmrec.training.reports import prepare_report, report_evaluation
    from mmrec.training.saved_ranks import check_writable
    from mmrec.training.saved_ranks import save_questions as save

    lengths = read_cutoffs(cutoffs)
    if report:
        prepare_report(report)
    if save_questions:
        check_writable(Path(save_questions))
    result = evaluate_bundle(
        bundle,
        dataset or None,
        EvaluationSettings(
            split,
            lengths,
            questions=None if questions == -1 else questions,
            beam_sample=None if beam_sample == -1 else beam_sample,
            device=compute.device,
            dtype=compute.dtype,
        ),
        progress=output.progress(),
        note=output.note,
    )
    if save_questions:
        save(Path(save_questions), result.questions)
        output.note(f"saved {len(result.questions.user_ids):,} questions in {save_questions}")
    if report:
        output.note(f"wrote {report_evaluation(report, result)}")
    output.data(result.as_json())
    print_evaluation(output, result.evaluation)
    print_lists(output, result.evaluation)
    print_comparisons(output, "Against the best floor, seen items removed", result.comparisons)
    print_slices(output, result.evaluation)
    if result.beam is not None:
        print_beam(output, result.beam)
    elif beam_sample:
        output.note("the beam was not checked, as the catalogue is large; --beam-sample N checks it on N users")
