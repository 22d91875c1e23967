"""`mmrec mismatch`: items whose picture and words do not agree."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec.cli.engines import Connection, Place, note_missing, open_engine
from mmrec.cli.id_lists import read_ids
from mmrec.cli.option_groups import Defaults, Flag, RequestFlags
from mmrec.cli.options import BundleArgument, Compute
from mmrec.cli.output import Output
from mmrec.contract.requests import MismatchRequest
from mmrec.sdk.options import MismatchOptions

_FLAGS = {
    "max_agreement": Flag(help="Cosine of picture and words to stay below; left out: the worst 1% of the catalogue."),
    "page_size": Flag("--k", "N", "How many items."),
}


def mismatch(
    bundle: BundleArgument = "",
    items: Annotated[
        list[str] | None,
        typer.Option("--items", metavar="IDS", help="Only these items, however well they fit; commas between ids."),
    ] = None,
    *,
    options: Annotated[MismatchOptions, RequestFlags(MismatchRequest, ("item_fields",), _FLAGS)],
    connection: Annotated[Connection, Defaults({"timeout": 60.0})],
    compute: Compute,
    output: Output,
) -> None:
    """List items whose picture and words do not agree, worst first.

    The fit is the share of other pictures that fit the words worse, and of other words that fit the picture worse:
    near 1 for a pair that belongs together, 0.5 for a random pair.

    Example:
        mmrec mismatch bundle/ --k 20
        mmrec mismatch --server localhost:50051 --items p0001,p0002 --json

    Raises:
        InvalidArgumentError: a flag breaks a rule.
    """
    ids = read_ids(items or [], "--items")
    # Checked before the bundle is loaded.
    MismatchRequest(ids, **options)  # type: ignore[arg-type]  # the request makes tuples
    with open_engine(Place(bundle, connection, compute)) as engine:
        found = engine.mismatches(ids, **options)
    note_missing(output, found.missing_ids)
    output.note(found.explanation)
    output.data(found)
    rows = [
        (rank, entry.item_id, entry.item.title, float(entry.fit), float(entry.agreement))
        for rank, entry in enumerate(found.items, start=1)
    ]
    title = f"{len(found.items):,} of {found.total:,} items whose picture and words do not agree"
    output.table(title, ("rank", "item", "title", "fit", "cosine"), rows)
