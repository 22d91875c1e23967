"""`mmrec prepare`: a dataset as instructions for a language model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmrec.cli.options import HeldOutOption
from mmrec.cli.output import Output


def prepare(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Dataset folder: items, events, users.")],
    out: Annotated[str, typer.Option("--out", metavar="FOLDER", help="Where the instruction set goes; a new folder.")],
    templates: Annotated[
        str,
        typer.Option("--templates", metavar="FOLDER", help="Template files (*.toml) of your own, beside the built-in."),
    ] = "",
    per_user: Annotated[
        float,
        typer.Option("--per-user", metavar="N", help="Training examples per user of a task of weight 1."),
    ] = 1.0,
    max_history: Annotated[
        int, typer.Option("--max-history", metavar="N", help="Most items of a history, the last ones.")
    ] = 20,
    candidates: Annotated[
        int, typer.Option("--candidates", metavar="N", help="Candidates of a ranking, the right one included.")
    ] = 10,
    split: HeldOutOption = "leave-one-out",
    min_rating: Annotated[
        float | None,
        typer.Option(
            "--min-rating",
            metavar="R",
            help="Events rated lower are left out; 0: none; default: by dataset.toml or the rating scale.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of all random choices.")] = 0,
    *,
    output: Output,
) -> None:
    """Write a dataset as instructions for a language model, as JSONL and Parquet.

    Tasks are sequential and straightforward recommendation, wishes, ranking, rating and explanation, each with several
    templates, of which some are kept for evaluation. Training examples hold no held-out event.

    Example:
        mmrec prepare data/films --out instructions/ --per-user 3
        mmrec prepare data/shop --out instructions/ --templates my-templates/ --seed 7

    Raises:
        InvalidDatasetError: the dataset cannot be used, or the folder holds something.
        InvalidArgumentError: a template or a flag breaks a rule.
    """
    from mmrec.language.instruction_files import SPLITS
    from mmrec.language.instructions import InstructionConfig
    from mmrec.training.instruction_set import PrepareConfig, prepare_instructions
    from mmrec.training.splitting import checked_split

    config = PrepareConfig(
        InstructionConfig(per_user, max_history, candidates, seed),
        Path(templates) if templates else None,
        checked_split(split),
        min_rating,
    )
    statistics = prepare_instructions(Path(dataset), Path(out), config).as_json()
    output.data(statistics)
    tasks = dict.fromkeys(task for name in SPLITS for task in statistics[name]["tasks"])
    output.table(
        "Examples",
        ["task", *SPLITS],
        [[task, *(statistics[name]["tasks"].get(task, 0) for name in SPLITS)] for task in tasks],
    )
