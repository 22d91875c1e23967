"""`mmrec mismatch`: items whose picture and words do not agree."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec.cli.engines import Place, open_engine, read_ids, shown_ids
from mmrec.cli.options import (
    CaOption,
    DeviceOption,
    DtypeOption,
    FilterOption,
    JsonFlag,
    QuietFlag,
    ServerOption,
    TimeoutOption,
    TlsFlag,
    TokenOption,
)
from mmrec.cli.output import Output
from mmrec.contract.requests import MismatchRequest
from mmrec.contract.rules import DEFAULT_PAGE


def mismatch(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="Bundle folder; none with --server.")] = "",
    items: Annotated[
        list[str] | None,
        typer.Option("--items", metavar="IDS", help="Only these items, however well they fit; commas between ids."),
    ] = None,
    max_agreement: Annotated[
        float | None,
        typer.Option(
            "--max-agreement",
            metavar="-1..1",
            help="Cosine of picture and words to stay below. [the worst 1% of the catalogue instead]",
            show_default=False,
        ),
    ] = None,
    filter: FilterOption = "",
    k: Annotated[int, typer.Option("--k", "-k", metavar="N", help="How many items.")] = DEFAULT_PAGE,
    page_token: Annotated[
        str, typer.Option("--page-token", metavar="TOKEN", help="next_page_token of the page before (see --json).")
    ] = "",
    server: ServerOption = "",
    token: TokenOption = "",
    tls: TlsFlag = False,
    ca: CaOption = "",
    timeout: TimeoutOption = 60.0,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """List items whose picture and words do not agree, worst first.

    The fit is the share of other pictures under the same words, and of other words for the same picture, that fit
    worse: 1 for a pair that belongs together, 0.5 for one put together by chance.

    Example:
        mmrec mismatch bundle/ --k 20
        mmrec mismatch --server localhost:50051 --items p0001,p0002 --json

    Raises:
        InvalidArgumentError: a flag breaks a rule.
    """
    # Made here too, so that a bad flag is refused before a bundle is loaded.
    asked = MismatchRequest(
        item_ids=tuple(read_ids(items or [], "--items")),
        max_agreement=max_agreement,
        filter=filter,
        page_size=k,
        page_token=page_token,
    )
    place = Place(bundle, server, token, tls, ca, timeout, device, dtype)
    out = Output(json=json, quiet=quiet)
    with open_engine(place) as engine:
        found = engine.mismatches(
            asked.item_ids,
            max_agreement=asked.max_agreement,
            filter=asked.filter,
            page_size=asked.page_size,
            page_token=asked.page_token,
        )
    if found.missing_ids:
        out.note(f"not in the catalogue, skipped: {shown_ids(found.missing_ids)}")
    out.note(found.explanation)
    out.data(found)
    rows = [
        (rank, entry.item_id, entry.item.title, float(entry.fit), float(entry.agreement))
        for rank, entry in enumerate(found.items, start=1)
    ]
    title = f"{len(found.items):,} of {found.total:,} items whose picture and words do not agree"
    out.table(title, ("rank", "item", "title", "fit", "cosine"), rows)
