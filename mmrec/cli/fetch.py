"""`mmrec fetch`: pictures that items name by URL into the dataset folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmrec.cli.options import JsonFlag, QuietFlag
from mmrec.cli.output import Output


def fetch(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Dataset folder.")],
    hosts: Annotated[
        list[str] | None,
        typer.Option(
            "--hosts", metavar="HOST", help="A host to fetch from: cdn.shopify.com, *.example.com, or *. Repeatable."
        ),
    ] = None,
    port: Annotated[
        list[int] | None,
        typer.Option("--port", metavar="N", help="A port that may be asked. Repeatable. [80 and 443]"),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(
            "--network",
            metavar="NETWORK",
            help="A network that is not public and may be asked: 10.1.2.0/24. Repeatable.",
        ),
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="For one picture.")] = 20.0,
    workers: Annotated[int, typer.Option("--workers", metavar="N", help="Pictures at the same time, 1 to 64.")] = 8,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Fetch the pictures that items name by URL into images/, where every other command finds them.

    Pictures come over http and https, from the named hosts only, at public addresses only unless --network says
    otherwise, checked again at every redirect, and at most 20 MiB each. The tables stay as they are.

    The same command goes on after a kill, and fetches only what is new after the items were imported again. What is not
    fetched is in _dead-letter.jsonl with the reason, and is tried again next time.

    Example:
        mmrec fetch shop/ --hosts cdn.shopify.com
        mmrec fetch shop/ --hosts img.example.com --hosts "*.cdn.example.com"

    Raises:
        InvalidArgumentError: no host is named, or a flag breaks a rule.
        NotFoundError: there is no such folder.
        InvalidDatasetError: the items table cannot be used.
    """
    from mmrec.data.fetched_pictures import DEAD_LETTERS, fetch_pictures
    from mmrec.data.fetching import FetchConfig, PictureFetcher

    named = [host.strip().lower() for entry in hosts or () for host in entry.split(",")]
    config = FetchConfig(
        allow_hosts=tuple(filter(None, named)),
        ports=tuple(port) if port else (80, 443),
        allow_addresses=tuple(network or ()),
        timeout_s=timeout,
    )
    sink = Output(json=json, quiet=quiet)
    done = fetch_pictures(dataset, PictureFetcher(config), sink.progress(), threads=workers)
    for failure in done.examples:
        sink.note(f"item {failure.item_id}: {failure.reason}")
    if done.failed > len(done.examples):
        sink.note(f"and {done.failed - len(done.examples):,} more; {dataset / DEAD_LETTERS} has all of them")
    sink.data(done)
    rows = [
        ("dataset", str(done.dataset)),
        ("pictures named by URL", f"{done.urls:,}"),
        ("fetched", f"{done.fetched:,}"),
        ("there before", f"{done.found:,}"),
        ("failed", f"{done.failed:,}"),
        ("items that name one", f"{done.items:,}"),
    ]
    sink.table("", ("what", "value"), rows)
