"""`mmrec embed`: one vector per item of a dataset, in a Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmrec.cli.options import DeviceOption, DtypeOption, JsonFlag, QuietFlag
from mmrec.cli.output import Output
from mmrec.errors import InvalidArgumentError

__all__ = ["embed"]

_SHOWN = 20


def embed(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Dataset folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Parquet file to write.")],
    bundle: Annotated[
        str,
        typer.Option("--bundle", metavar="BUNDLE", help="Use this bundle's encoders; none: train new ones."),
    ] = "",
    preset: Annotated[
        str, typer.Option("--preset", metavar="embedded|standard", help="Encoders to train with. [embedded]")
    ] = "",
    image_model: Annotated[
        str,
        typer.Option(
            "--image-model",
            metavar="MODEL",
            help="Another open_clip model: NAME@TAG, NAME@FILE, hf-hub:ORG/NAME, a folder, or small.",
        ),
    ] = "",
    text_model: Annotated[
        str,
        typer.Option("--text-model", metavar="MODEL", help="Another text model: hub id or local folder."),
    ] = "",
    dimension: Annotated[
        int, typer.Option("--dimension", metavar="64|128|256", help="Length of a vector; 0: all of it.")
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Seed of training.")] = 0,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Turn every item into one vector made of its picture and its words.

    Without --bundle, encoders are trained on the dataset first: pictures and words of the same item agree,
    and so do items that follow each other in the events. Pictures that cannot be read are reported, and their
    items are embedded from their words.

    Example:
        mmrec embed shop/ --out vectors.parquet
        mmrec embed shop/ --out vectors.parquet --bundle bundle/ --dimension 64

    Raises:
        InvalidArgumentError: --preset with --bundle, which brings its own encoders.
    """
    from mmrec_encoders.batch import EmbedConfig, embed_dataset

    if bundle and preset:
        raise InvalidArgumentError(
            f"--preset is {preset!r} and --bundle is {bundle!r}, which brings its own encoders; drop one of them",
            field="preset",
        )
    sink = Output(json=json, quiet=quiet)
    config = EmbedConfig(
        bundle=Path(bundle) if bundle else None,
        preset=preset or "embedded",
        image_model=image_model or None,
        text_model=text_model or None,
        device=device,
        dtype=dtype,
        dimension=dimension,
        seed=seed,
    )
    summary = embed_dataset(dataset, out, config, sink.progress())
    for item_id, message in summary.unreadable[:_SHOWN]:
        sink.note(f"item {item_id}: {message}")
    if len(summary.unreadable) > _SHOWN:
        sink.note(f"and {len(summary.unreadable) - _SHOWN} more; mmrec check {dataset} lists all of them")
    sink.data(summary)
    rows = [
        ("file", str(summary.path)),
        ("items", f"{summary.items:,}"),
        ("with a picture", f"{summary.with_picture:,}"),
        ("with words", f"{summary.with_words:,}"),
        ("unreadable pictures", f"{len(summary.unreadable):,}"),
        ("vector length", str(summary.dimension)),
    ]
    sink.table("", ("what", "value"), rows)
