"""`mmrec similar`: the items nearest to one item."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec.cli.engines import Connection, Place, note_fallback, note_nothing_found, open_engine, print_ranking
from mmrec.cli.option_groups import RequestFlags
from mmrec.cli.options import Compute, KOption
from mmrec.cli.output import Output
from mmrec.contract.requests import SimilarRequest
from mmrec.contract.rules import DEFAULT_K
from mmrec.errors import InvalidArgumentError
from mmrec.sdk.options import SimilarOptions


def similar(
    names: Annotated[
        list[str],
        typer.Argument(metavar="[BUNDLE] ITEM", help="Bundle folder (none with --server), and the item's id."),
    ],
    k: KOption = DEFAULT_K,
    *,
    options: Annotated[SimilarOptions, RequestFlags(SimilarRequest, ("item_fields",))],
    connection: Connection,
    compute: Compute,
    output: Output,
) -> None:
    """List the items nearest to an item.

    The score is the cosine similarity of the fused embeddings, -1 to 1; with --modality that of the pictures alone
    or of the texts alone, among the items that have them.

    Example:
        mmrec similar bundle/ 50 --k 5 --filter 'title != "Star Wars"'
        mmrec similar 50 --server localhost:50051 --modality picture

    Raises:
        InvalidArgumentError: the arguments are not one bundle (or server) and one item, or a flag breaks a rule.
    """
    bundle, item = _bundle_and_item(names, connection.server)
    # Checked before the bundle is loaded.
    asked = SimilarRequest(item, k, **options)  # type: ignore[arg-type]  # the request makes members of words
    with open_engine(Place(bundle, connection, compute)) as engine:
        found = engine.similar(item, k, **options)
    note_fallback(output, found)
    note_nothing_found(output, found, asked.filter)
    output.data(found)
    print_ranking(output, f"Similar to {item}", found.items)


def _bundle_and_item(names: list[str], server: str) -> tuple[str, str]:
    wanted = ["ITEM"] if server else ["BUNDLE", "ITEM"]
    if len(names) != len(wanted):
        raise InvalidArgumentError(
            f"received {len(names)} names ({', '.join(names)}); {'with' if server else 'without'} --server "
            f"this takes exactly {' and '.join(wanted)}"
        )
    return ("", names[0]) if server else (names[0], names[1])
