"""`mmrec import`: a public data format into a dataset folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmrec.cli.options import JsonFlag, QuietFlag
from mmrec.cli.output import Output
from mmrec.errors import InvalidArgumentError

__all__ = ["import_"]

_SOURCES = ("movielens", "amazon", "recbole")


def import_(
    kind: Annotated[str, typer.Argument(metavar="movielens|amazon|recbole", help="Format of the source.")],
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="movielens: folder or zip. recbole: folder or .inter file. amazon: none.",
            show_default=False,
        ),
    ] = "",
    out: Annotated[
        str,
        typer.Option("--out", "-o", metavar="DATASET", help="Dataset folder to make.", show_default=False),
    ] = "",
    reviews: Annotated[
        str,
        typer.Option("--reviews", metavar="FILE", help="amazon: reviews, .jsonl or .jsonl.gz.", show_default=False),
    ] = "",
    metadata: Annotated[
        str,
        typer.Option("--metadata", metavar="FILE", help="amazon: metadata, .jsonl or .jsonl.gz.", show_default=False),
    ] = "",
    table_format: Annotated[
        str, typer.Option("--format", metavar="parquet|csv|tsv|jsonl", help="Format of the tables.")
    ] = "parquet",
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace the tables of a dataset that is there; pictures stay."),
    ] = False,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Turn MovieLens, Amazon Reviews 2023 or RecBole atomic files into a dataset folder.

    The release of MovieLens (100K, 1M, 10M, latest, 20M, 25M, 32M) is recognised by its files. Nothing is
    downloaded, and the dataset folder appears only when it is whole.

    Example:
        mmrec import movielens ml-latest-small.zip --out movielens
        mmrec import amazon --reviews Beauty.jsonl.gz --metadata meta_Beauty.jsonl.gz --out beauty
        mmrec import recbole dataset/ml-100k --out ml-100k
    """
    from mmrec.data.writing import FORMATS

    sink = Output(json=json, quiet=quiet)
    _check_arguments(kind, source, out, reviews, metadata)
    if table_format not in FORMATS:
        raise InvalidArgumentError(f"--format is {table_format!r}; it must be one of {', '.join(FORMATS)}")
    folder, progress = Path(out), sink.progress()
    if kind == "movielens":
        from mmrec.data.importers.movielens import import_movielens

        done = import_movielens(Path(source), folder, progress, table_format=table_format, overwrite=overwrite)
    elif kind == "recbole":
        from mmrec.data.importers.recbole import import_recbole

        done = import_recbole(Path(source), folder, progress, table_format=table_format, overwrite=overwrite)
    else:
        from mmrec.data.importers.amazon import import_amazon

        done = import_amazon(
            Path(reviews), Path(metadata), folder, progress, table_format=table_format, overwrite=overwrite
        )
    sink.data(done)
    rows = [("dataset", str(done.out)), ("items", f"{done.items:,}")]
    rows += [("users", f"{done.users:,}"), ("events", f"{done.events:,}")]
    sink.table("", ("what", "value"), rows)
    for note in done.notes:
        sink.note(note)
    sink.note(f"look at it with: mmrec check {done.out}")


def _check_arguments(kind: str, source: str, out: str, reviews: str, metadata: str) -> None:
    if kind not in _SOURCES:
        raise InvalidArgumentError(f"the format is {kind!r}; it must be one of {', '.join(_SOURCES)}")
    if not out:
        raise InvalidArgumentError("--out is missing; name the dataset folder to make, as in --out data/mine")
    if kind == "amazon":
        if source or not reviews or not metadata:
            raise InvalidArgumentError("amazon takes no SOURCE but --reviews FILE and --metadata FILE; pass both")
    elif not source or reviews or metadata:
        raise InvalidArgumentError(f"{kind} takes one SOURCE and neither --reviews nor --metadata")
