"""`mmrec embed`: one vector per item of a dataset, in a folder of Parquet files."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from mmrec.cli.options import Compute
from mmrec.cli.output import Output
from mmrec.cli.signals import STOPPED
from mmrec.errors import InvalidArgumentError
from mmrec.runtime.shutdown import StopRequest

_SHOWN = 20


def embed(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Dataset folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder to write.")],
    bundle: Annotated[
        str,
        typer.Option("--bundle", metavar="BUNDLE", help="Use this bundle's encoders; none: train new ones."),
    ] = "",
    encoders: Annotated[
        str,
        typer.Option("--encoders", metavar="FOLDER", help="Use these encoders, such as OUT/_encoders of a run."),
    ] = "",
    preset: Annotated[
        str, typer.Option("--preset", metavar="embedded|standard", help="Preset of the encoders. [embedded]")
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
    template: Annotated[
        str,
        typer.Option(
            "--template",
            metavar="TEXT",
            help="Item words from columns: '{title} by {brand}'. [the bundle's, dataset.toml, or columns of words]",
        ),
    ] = "",
    vectors: Annotated[
        str,
        typer.Option("--vectors", metavar="fused|image|text", help="Fused, or frozen vectors of one modality."),
    ] = "fused",
    dimension: Annotated[
        int, typer.Option("--dimension", metavar="64|128|256", help="Length of a vector; 0: full length.")
    ] = 0,
    store: Annotated[
        str, typer.Option("--store", metavar="float32|float16", help="Number format in the files.")
    ] = "float32",
    shard_rows: Annotated[
        int, typer.Option("--shard-rows", metavar="N", help="Rows per file; at most one file is lost by a kill.")
    ] = 4096,
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", help="Processes that decode pictures; -1: by number of cores.")
    ] = -1,
    cache: Annotated[
        str,
        typer.Option("--cache", metavar="FOLDER", help="Vector cache. [OUT/.cache]"),
    ] = "",
    fetch_urls: Annotated[
        bool, typer.Option("--fetch-urls", help="Fetch pictures given as URLs, from --allow-host only.")
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host", metavar="HOST", help="A host to fetch from: cdn.example.com, *.example.com, or *."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output of another job in the folder.")
    ] = False,
    engine: Annotated[
        str, typer.Option("--engine", metavar="local|ray", help="This machine, or Ray Data on a cluster.")
    ] = "local",
    ray_address: Annotated[
        str, typer.Option("--ray-address", metavar="ADDRESS", help="Ray cluster; none: one on this machine.")
    ] = "",
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile the models first; worthwhile for large catalogues on a GPU.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Seed of training.")] = 0,
    *,
    compute: Compute,
    output: Output,
) -> None:
    """Compute one vector per item from its picture and its text.

    Without --bundle or --encoders, encoders are trained on the dataset first: picture and text of one item get similar
    vectors, and so do items that follow each other in the events. The encoders are kept in the folder.

    The text of an item is made as in the bundle or the encoders, or by --template, or by dataset.toml, or of title,
    description and the columns that are words: chosen from the items trained on, or else from the first 10,000. Later
    runs use the same columns.

    Each distinct picture and text is encoded once. The same command resumes after a kill, and a later run encodes only
    what has changed. On SIGTERM the current shard is finished first. Rows and pictures that cannot be used are listed
    with the reason in _dead-letter.jsonl.

    Example:
        mmrec embed shop/ --out vectors/
        mmrec embed shop/ --out vectors/ --bundle bundle/ --dimension 64 --store float16
        mmrec embed shop/ --out vectors/ --bundle bundle/ --fetch-urls --allow-host cdn.example.com

    Raises:
        InvalidArgumentError: flags that exclude each other.
    """
    from mmrec_encoders.embedding.config import EmbedConfig
    from mmrec_encoders.embedding.job import embed_dataset

    for name, value in (("--bundle", bundle), ("--encoders", encoders)):
        if value and preset:
            raise InvalidArgumentError(
                f"--preset is {preset!r} and {name} is {value!r}, which brings its own encoders; drop one of them",
                field="preset",
            )
    if ray_address and engine != "ray":
        raise InvalidArgumentError(
            f"--ray-address is {ray_address!r}, but --engine is {engine!r}; pass --engine ray", field="ray-address"
        )
    fetch = None
    if fetch_urls:
        from mmrec.data.fetching import FetchConfig

        fetch = FetchConfig(tuple(allow_host or ()))
    elif allow_host:
        raise InvalidArgumentError(
            f"--allow-host is {allow_host[0]!r}, but nothing is fetched without --fetch-urls; pass it too",
            field="allow-host",
        )
    config = EmbedConfig(
        bundle=Path(bundle) if bundle else None,
        encoders=Path(encoders) if encoders else None,
        preset=preset or "embedded",
        image_model=image_model or None,
        text_model=text_model or None,
        template=template or None,
        vectors=vectors,
        dimension=dimension,
        store=store,
        shard_rows=shard_rows,
        workers=None if workers == -1 else workers,
        cache=Path(cache) if cache else None,
        fetch=fetch,
        overwrite=overwrite,
        engine=engine,
        ray_address=ray_address,
        device=compute.device,
        dtype=compute.dtype,
        compile=compile,
        seed=seed,
    )
    stopping = "SIGTERM: finishing the current shard; a second SIGTERM ends at once"
    with StopRequest(lambda: output.note(stopping)) as stop:
        summary = embed_dataset(dataset, out, config, output.progress(), stop=lambda: stop.asked, note=output.note)
    for letter in summary.examples[:_SHOWN]:
        output.note(f"item {letter.item_id or '?'} (row {letter.row}): {letter.reason}")
    if summary.failed > _SHOWN:
        output.note(f"and {summary.failed - _SHOWN:,} more; {out / '_dead-letter.jsonl'} has all of them")
    output.note(summary.work)
    output.data(summary)
    rows = [
        ("folder", str(summary.path)),
        ("rows", f"{summary.rows:,}"),
        ("items with a vector", f"{summary.items:,}"),
        ("with a picture", f"{summary.with_picture:,}"),
        ("with words", f"{summary.with_words:,}"),
        ("dead letters (not usable)", f"{summary.failed:,}"),
        ("vector length", str(summary.dimension)),
        ("shards", f"{summary.shards:,}"),
        ("shards written", f"{summary.shards_written:,}"),
        ("pictures encoded", f"{summary.counts.pictures_encoded:,}"),
        ("texts encoded", f"{summary.counts.texts_encoded:,}"),
    ]
    output.table("", ("what", "value"), rows)
    if not summary.finished:
        output.note(
            f"stopped after {summary.shards:,} shards; to continue, run the same command again:\n  {_command()}"
        )
        raise typer.Exit(STOPPED)


def _command() -> str:
    return shlex.join(["mmrec", *sys.argv[1:]])
