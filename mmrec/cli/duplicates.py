"""`mmrec duplicates`: things that are in the catalogue twice."""

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
from mmrec.contract.requests import DuplicatesRequest
from mmrec.contract.rules import DEFAULT_PAGE


def duplicates(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="Bundle folder; none with --server.")] = "",
    items: Annotated[
        list[str] | None,
        typer.Option("--items", metavar="IDS", help="Only groups with one of these, separated by commas."),
    ] = None,
    min_similarity: Annotated[
        float,
        typer.Option("--min-similarity", metavar="0..1", help="From which likeness on; 0: chosen."),
    ] = 0.0,
    modality: Annotated[
        str,
        typer.Option("--modality", metavar="fused|picture|words", help="What must be alike; fused: either of the two."),
    ] = "fused",
    filter: FilterOption = "",
    groups: Annotated[int, typer.Option("--groups", metavar="N", help="How many groups.")] = DEFAULT_PAGE,
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
    """List groups of items that are the same thing: near-identical pictures, near-identical words, or both.

    The similarity is the lowest of the likenesses that hold a group together: the cosine of two pictures, or, where an
    item has none, the share of words in common. Without --min-similarity the threshold is chosen from the catalogue;
    stderr says how.

    Example:
        mmrec duplicates bundle/ --modality picture
        mmrec duplicates --server localhost:50051 --min-similarity 0.98 --filter 'category = "shoes"'

    Raises:
        InvalidArgumentError: a flag breaks a rule.
    """
    # Made here too, so that a bad flag is refused before a bundle is loaded.
    asked = DuplicatesRequest(
        item_ids=tuple(read_ids(items or [], "--items")),
        min_similarity=min_similarity or None,
        filter=filter,
        modality=modality,  # type: ignore[arg-type]  # the request makes members of words
        page_size=groups,
        page_token=page_token,
    )
    place = Place(bundle, server, token, tls, ca, timeout, device, dtype)
    out = Output(json=json, quiet=quiet)
    with open_engine(place) as engine:
        found = engine.duplicates(
            asked.item_ids,
            min_similarity=asked.min_similarity,
            filter=asked.filter,
            modality=asked.modality,
            page_size=asked.page_size,
            page_token=asked.page_token,
        )
    if found.missing_ids:
        out.note(f"not in the catalogue, skipped: {shown_ids(found.missing_ids)}")
    out.note(found.explanation)
    out.data(found)
    rows = [
        (float(group.similarity), group.evidence.value if group.evidence else "", ", ".join(group.item_ids))
        for group in found.groups
    ]
    title = f"{len(found.groups):,} of {found.total:,} groups of the same thing"
    out.table(title, ("similarity", "told by", "items"), rows)
