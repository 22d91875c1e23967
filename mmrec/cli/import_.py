"""`mmrec import`: converts a public data set or a shop's export into a dataset folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmrec.cli.output import Output
from mmrec.errors import InvalidArgumentError

_SOURCES = ("movielens", "amazon", "recbole", "shopify", "google-merchant")
_SHOPS = ("shopify", "google-merchant")


def import_(
    kind: Annotated[
        str, typer.Argument(metavar="movielens|amazon|recbole|shopify|google-merchant", help="Format of the source.")
    ],
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="movielens: folder or zip. recbole: folder or .inter file. shopify: product export. "
            "google-merchant: feed, text or XML. amazon: none.",
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
    events: Annotated[
        str,
        typer.Option(
            "--events",
            metavar="FILE",
            help="shopify, google-merchant: CSV of user_id,item_id,timestamp, or Shopify's orders export.",
            show_default=False,
        ),
    ] = "",
    items: Annotated[
        str, typer.Option("--items", metavar="product|variant", help="shopify: what counts as one item. [product]")
    ] = "",
    keep_unpublished: Annotated[
        bool, typer.Option("--keep-unpublished", help="shopify: keep drafts, archived and unpublished products.")
    ] = False,
    table_format: Annotated[
        str, typer.Option("--format", metavar="parquet|csv|tsv|jsonl", help="Format of the tables.")
    ] = "parquet",
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace the tables of an existing dataset; its pictures stay."),
    ] = False,
    *,
    output: Output,
) -> None:
    """Convert a shop's export or a public data set into a dataset folder.

    Formats: Shopify's product export, product feeds for Google Merchant Center (text or XML), MovieLens, Amazon
    Reviews, and RecBole atomic files. The release of MovieLens (100K, 1M, 10M, latest, 20M, 25M, 32M) is recognised by
    its files. Nothing is downloaded, and the dataset folder appears only when it is complete. Rows, columns and values
    that are not imported are reported by kind, with their number and the first example.

    For a shop, --events is the table of events. An event names its item by id, SKU, bar code, handle or title. E-mail
    addresses are not imported: users with one as their id get pseudonyms, which differ from import to import.

    Example:
        mmrec import movielens ml-latest-small.zip --out movielens
        mmrec import amazon --reviews Beauty.jsonl.gz --metadata meta_Beauty.jsonl.gz --out beauty
        mmrec import recbole dataset/ml-100k --out ml-100k
        mmrec import shopify products_export.csv --events orders_export.csv --out shop
        mmrec import google-merchant feed.xml --events events.csv --out shop
    """
    from mmrec.data.table_files import FORMATS

    _check_arguments(kind, source, out, reviews, metadata)
    _check_shop_options(kind, events, items, keep_unpublished)
    if table_format not in FORMATS:
        raise InvalidArgumentError(f"--format is {table_format!r}; it must be one of {', '.join(FORMATS)}")
    folder, progress = Path(out), output.progress()
    if kind == "movielens":
        from mmrec.data.importers.movielens import import_movielens

        done = import_movielens(Path(source), folder, progress, table_format=table_format, overwrite=overwrite)
    elif kind == "recbole":
        from mmrec.data.importers.recbole import import_recbole

        done = import_recbole(Path(source), folder, progress, table_format=table_format, overwrite=overwrite)
    elif kind == "shopify":
        from mmrec.data.importers.shopify import import_shopify

        done = import_shopify(
            Path(source),
            folder,
            progress,
            events=Path(events) if events else None,
            items_of="variant" if items == "variant" else "product",
            keep_unpublished=keep_unpublished,
            table_format=table_format,
            overwrite=overwrite,
        )
    elif kind == "google-merchant":
        from mmrec.data.importers.merchant import import_merchant

        done = import_merchant(
            Path(source),
            folder,
            progress,
            events=Path(events) if events else None,
            table_format=table_format,
            overwrite=overwrite,
        )
    else:
        from mmrec.data.importers.amazon import import_amazon

        done = import_amazon(
            Path(reviews), Path(metadata), folder, progress, table_format=table_format, overwrite=overwrite
        )
    output.data(done)
    rows = [("dataset", str(done.out)), ("items", f"{done.items:,}")]
    rows += [("users", f"{done.users:,}"), ("events", f"{done.events:,}")]
    if done.dropped:
        rows.append(("rows left out", f"{done.dropped:,}"))
    output.table("", ("what", "value"), rows)
    for note in done.notes:
        output.note(note)
    if not done.events:
        output.note("there are no events; mmrec fit needs them, so import again with --events FILE")
    output.note(f"look at it with: mmrec check {done.out}")


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


def _check_shop_options(kind: str, events: str, items: str, keep_unpublished: bool) -> None:
    if events and kind not in _SHOPS:
        raise InvalidArgumentError(f"--events goes with {' and '.join(_SHOPS)}; {kind} has its events in its own files")
    if kind != "shopify" and (items or keep_unpublished):
        flag = "--items" if items else "--keep-unpublished"
        raise InvalidArgumentError(f"{flag} goes with shopify, and the format is {kind}; drop it")
    if items not in ("", "product", "variant"):
        raise InvalidArgumentError(f"--items is {items!r}; it must be product or variant")
