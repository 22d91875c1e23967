"""`mmrec adapt`: contrastive training of encoders on the pictures and texts of a catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmrec.cli.options import Compute, MaxLeftOutOption, TemplateOption
from mmrec.cli.output import Output
from mmrec.errors import InvalidArgumentError

if TYPE_CHECKING:
    from mmrec_encoders.finetuning import FinetuningReport

_SHOWN = 20


def adapt(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Dataset folder: items with words and pictures.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder for the adapted encoders.")],
    mode: Annotated[
        str,
        typer.Option(
            "--mode",
            metavar="efficientnet|small|full|locked-image",
            help="EfficientNet-Lite0 fine-tuned, a small CLIP from scratch, or a pretrained CLIP: both towers, or its "
            "text tower alone.",
        ),
    ] = "efficientnet",
    image_model: Annotated[
        str,
        typer.Option(
            "--image-model",
            metavar="MODEL",
            help="The pretrained open_clip model: NAME@TAG, NAME@FILE, hf-hub:ORG/NAME, or a folder.",
        ),
    ] = "",
    text_model: Annotated[
        str,
        typer.Option("--text-model", metavar="MODEL", help="Frozen text encoder of efficientnet and small. [MiniLM]"),
    ] = "",
    size: Annotated[
        str, typer.Option("--size", metavar="base|large", help="Size of mode small; large needs a GPU.")
    ] = "base",
    loss: Annotated[str, typer.Option("--loss", metavar="clip|siglip", help="Softmax or sigmoid loss.")] = "clip",
    epochs: Annotated[int, typer.Option("--epochs", metavar="N", help="Passes over the pairs. [by mode]")] = -1,
    batch_size: Annotated[int, typer.Option("--batch-size", metavar="N", help="Pairs per batch; 0: by mode.")] = 0,
    accumulate: Annotated[
        int,
        typer.Option("--accumulate", metavar="N", help="Batches per step, as negatives of each other. [1]"),
    ] = 1,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", metavar="R", help="Peak learning rate. [by mode]")
    ] = -1.0,
    max_minutes: Annotated[
        float, typer.Option("--max-minutes", metavar="M", help="Time limit, preparation included; 0: none.")
    ] = 0.0,
    hold_out: Annotated[
        float, typer.Option("--hold-out", metavar="SHARE", help="Share of the titles held out to measure on.")
    ] = 0.1,
    max_left_out: MaxLeftOutOption = -1.0,
    labels: Annotated[
        list[str] | None,
        typer.Option("--labels", metavar="COLUMN[,COLUMN]", help="Columns for zero-shot labels. [from the data]"),
    ] = None,
    template: TemplateOption = "",
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Same seed, same machine: same encoders.")] = 0,
    *,
    compute: Compute,
    output: Output,
) -> None:
    """Adapt encoders to this catalogue by contrastive training on its pairs of picture and text.

    Reports retrieval between held-out titles and their pictures, before and after. Pass the folder to --image-model of
    fit and embed. The same command resumes after a kill. On several GPUs, start it with accelerate launch -m or
    torchrun -m.

    Example:
        mmrec adapt data/shop --out adapted/
        mmrec fit data/shop --out bundle/ --image-model adapted/
        mmrec adapt data/shop --out scratch/ --mode small
        mmrec adapt data/shop --out tuned/ --mode full --image-model ViT-B-32@laion2b_s34b_b79k
        torchrun --nproc-per-node 4 -m mmrec adapt data/shop --out adapted/
    """
    from mmrec_encoders.finetuning import finetune_encoders, finetuning_preset, in_main_process, small_towers
    from mmrec_encoders.minilm import MINILM

    changes: dict[str, object] = {"epochs": epochs} if epochs != -1 else {}
    if learning_rate != -1.0:
        changes["learning_rate"] = learning_rate
    if mode == "small":
        changes["towers"] = small_towers(size)
    elif size != "base":
        raise InvalidArgumentError(
            f"--size is {size!r}, but only mode small has sizes; drop the flag, or take --mode small", field="size"
        )
    config = finetuning_preset(
        mode,
        **changes,
        image_model=image_model,
        text_model=text_model or MINILM,
        loss=loss,
        batch_size=batch_size,
        accumulate=accumulate,
        max_minutes=max_minutes,
        hold_out=hold_out,
        labels=tuple(name.strip() for entry in labels or () for name in entry.split(",") if name.strip()),
        template=template,
        seed=seed,
        device=compute.device,
        dtype=compute.dtype,
    )
    # Of several processes, only the main one prints.
    prints = in_main_process(compute.device)
    output = output if prints else Output(json=output.json, quiet=True)
    share = None if max_left_out == -1.0 else max_left_out
    report = finetune_encoders(dataset, out, config, output.progress(), max_left_out=share, note=output.note)
    if not prints:
        return
    for item_id, message in report.unreadable[:_SHOWN]:
        output.note(f"item {item_id}: {message}")
    if len(report.unreadable) > _SHOWN:
        output.note(f"and {len(report.unreadable) - _SHOWN} more; mmrec check {dataset} lists all of them")
    output.data(report)
    _print(output, report)
    output.note(f"wrote {out}; use it with: mmrec fit {dataset} --out bundle/ --image-model {out}")


def _print(output: Output, report: FinetuningReport) -> None:
    from mmrec_encoders.finetuning.report import DIRECTIONS

    rows = []
    for name, words in DIRECTIONS.items():
        before, after = getattr(report.before, name), getattr(report.after, name)
        queries = f"{after.queries:,} among {after.candidates:,}"
        rows += [
            (words, queries, when, found.recall_1, found.recall_5, found.recall_10, f"{found.median_rank:,.1f}")
            for when, found in (("before", before), ("after", after))
        ]
    columns = ("search", "held-out queries", "", "R@1", "R@5", "R@10", "median rank")
    output.table("Retrieval on held-out titles", columns, rows)
    old = {label.column: label.accuracy for label in report.before.labels}
    if report.after.labels:
        output.table(
            "Zero-shot labels of held-out pictures",
            ("column", "labels", "pictures", "majority class", "before", "after"),
            [
                (label.column, label.labels, label.pictures, label.commonest, old.get(label.column), label.accuracy)
                for label in report.after.labels
            ],
        )
    output.table(
        "Training",
        ("what", "value"),
        [
            ("training pairs", f"{report.pairs:,}"),
            ("pairs compared in a step", f"{report.batch:,}"),
            ("steps", f"{report.steps:,}"),
            ("unreadable pictures", f"{len(report.unreadable):,}"),
            ("minutes", f"{report.seconds / 60:.1f}"),
        ],
    )
