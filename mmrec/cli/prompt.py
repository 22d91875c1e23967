"""`mmrec prompt`: candidates ranked by a language model that was not trained for it."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec.cli.options import Compute, HeldOutOption
from mmrec.cli.output import Output


def prompt(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Dataset folder: items with titles, events.")],
    language_model: Annotated[
        str,
        typer.Option("--language-model", metavar="MODEL", help="A language model by hub id, folder or GGUF file."),
    ],
    shots: Annotated[
        int, typer.Option("--shots", metavar="N", help="Other customers shown in front of each question; 0: none.")
    ] = 0,
    history: Annotated[
        str,
        typer.Option("--history", metavar="words|tokens", help="Histories as titles, or as one token for each item."),
    ] = "words",
    last: Annotated[int, typer.Option("--last", metavar="N", help="Most items of a history, the last ones.")] = 10,
    questions: Annotated[int, typer.Option("--questions", metavar="N", help="Customers that are asked.")] = 60,
    candidates: Annotated[
        int, typer.Option("--candidates", metavar="N", help="Items to rank, the right one included.")
    ] = 20,
    split: HeldOutOption = "leave-one-out",
    min_rating: Annotated[
        float | None,
        typer.Option("--min-rating", metavar="R", help="As in mmrec fit.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of candidates and examples.")] = 0,
    *,
    compute: Compute,
    output: Output,
) -> None:
    """Rank held-out items by prompting a language model, without any training.

    Each test question of a fit is put as a prompt, and candidates are ranked by how much likelier the history makes
    their titles. It tells what training (mmrec fit) has to beat.

    Example:
        mmrec prompt data/films --language-model SmolLM2-135M-Instruct.Q4_1.gguf --shots 3

    Raises:
        InvalidDatasetError: the dataset cannot be used.
        ModelNotAvailableError: the model is nowhere to be found.
        InvalidArgumentError: a flag breaks a rule, or a prompt is longer than the model reads.
    """
    from pathlib import Path

    from mmrec.language.language_model import LanguageModel
    from mmrec.runtime.device import resolve_device, resolve_dtype
    from mmrec.training.prompting import PromptingConfig, rank_by_prompting
    from mmrec.training.splitting import checked_split

    config = PromptingConfig(
        shots,
        history,  # type: ignore[arg-type]  # checked by PromptingConfig
        last,
        questions,
        candidates,
        checked_split(split),
        min_rating,
        seed,
    )
    device = resolve_device(compute.device)
    model = LanguageModel.load(language_model, str(device), resolve_dtype(compute.dtype, device))
    ranks = rank_by_prompting(Path(dataset), model, config, output.progress()).ranks
    figures = {
        "questions": len(ranks.above_Q),
        "candidates": candidates,
        "ndcg@10": float(ranks.ndcg_at(10).mean()),
        "first": float(ranks.recall_at(1).mean()),
    }
    output.data(figures)
    output.table(
        f"The right one of {candidates} candidates, ranked by prompting",
        ("customers", "NDCG@10", "first"),
        [(f"{len(ranks.above_Q):,}", f"{figures['ndcg@10']:.4f}", f"{figures['first']:.4f}")],
    )
