"""`mmrec fetch`: downloads pictures given as URLs into the dataset folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
        typer.Option("--port", metavar="N", help="An allowed port. Repeatable. [80 and 443]"),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(
            "--network",
            metavar="NETWORK",
            help="An allowed network that is not public: 10.1.2.0/24. Repeatable.",
        ),
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="Timeout for one picture.")] = 20.0,
    workers: Annotated[int, typer.Option("--workers", metavar="N", help="Parallel downloads, 1 to 64.")] = 8,
    *,
    output: Output,
) -> None:
    """Download pictures that the items table gives as URLs into images/, where every other command finds them.

    Pictures are fetched over http and https, from the named hosts only, at most 20 MiB each, and only from public
    addresses unless --network allows others; redirects are checked as well. The tables are not changed.

    The same command resumes after a kill, and fetches only new pictures after another import. Pictures that could not
    be fetched are listed with the reason in _dead-letter.jsonl, and are tried again next time.

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
    done = fetch_pictures(dataset, PictureFetcher(config), output.progress(), threads=workers)
    for failure in done.examples:
        output.note(f"item {failure.item_id}: {failure.reason}")
    if done.failed > len(done.examples):
        output.note(f"and {done.failed - len(done.examples):,} more; {dataset / DEAD_LETTERS} has all of them")
    output.data(done)
    rows = [
        ("dataset", str(done.dataset)),
        ("distinct URLs", f"{done.urls:,}"),
        ("fetched", f"{done.fetched:,}"),
        ("already there", f"{done.found:,}"),
        ("failed", f"{done.failed:,}"),
        ("items with a URL", f"{done.items:,}"),
    ]
    output.table("", ("what", "value"), rows)
