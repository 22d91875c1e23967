"""`mmrec duplicates`: groups of catalogue items that are the same product."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec.cli.engines import Connection, Place, note_missing, open_engine
from mmrec.cli.id_lists import read_ids
from mmrec.cli.option_groups import Defaults, Flag, RequestFlags
from mmrec.cli.options import BundleArgument, Compute
from mmrec.cli.output import Output
from mmrec.contract.requests import DuplicatesRequest
from mmrec.sdk.options import DuplicatesOptions

_FLAGS = {
    "min_similarity": Flag(read=lambda least: least or None),
    "modality": Flag(help="What must be similar; fused: either of the two."),
    "page_size": Flag("--groups", "N", "How many groups."),
}


def duplicates(
    bundle: BundleArgument = "",
    items: Annotated[
        list[str] | None,
        typer.Option("--items", metavar="IDS", help="Only groups with one of these, separated by commas."),
    ] = None,
    *,
    options: Annotated[DuplicatesOptions, RequestFlags(DuplicatesRequest, flags=_FLAGS)],
    connection: Annotated[Connection, Defaults({"timeout": 60.0})],
    compute: Compute,
    output: Output,
) -> None:
    """List groups of duplicate items: near-identical pictures, near-identical words, or both.

    A group's similarity is the lowest of the pairs that connect it: the cosine of two pictures, or, where an item has
    none, the share of words in common. Without --min-similarity the threshold is chosen from the catalogue; stderr says
    how.

    Example:
        mmrec duplicates bundle/ --modality picture
        mmrec duplicates --server localhost:50051 --min-similarity 0.98 --filter 'category = "shoes"'

    Raises:
        InvalidArgumentError: a flag breaks a rule.
    """
    ids = read_ids(items or [], "--items")
    # Checked before the bundle is loaded.
    DuplicatesRequest(ids, **options)  # type: ignore[arg-type]  # the request makes tuples
    with open_engine(Place(bundle, connection, compute)) as engine:
        found = engine.duplicates(ids, **options)
    note_missing(output, found.missing_ids)
    output.note(found.explanation)
    output.data(found)
    rows = [
        (float(group.similarity), group.evidence.value if group.evidence else "", ", ".join(group.item_ids))
        for group in found.groups
    ]
    title = f"{len(found.groups):,} of {found.total:,} groups of duplicates"
    output.table(title, ("similarity", "evidence", "items"), rows)
