"""`mmrec delete`: removes items from the catalogue of a running server."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec.cli.engines import Connection, open_server
from mmrec.cli.option_groups import RequestFlags
from mmrec.cli.output import Output
from mmrec.contract.changes import DeleteRequest
from mmrec.sdk.options import DeleteOptions


def delete(
    item_ids: Annotated[list[str], typer.Argument(metavar="ITEM_ID...", help="The items to remove.")],
    *,
    options: Annotated[DeleteOptions, RequestFlags(DeleteRequest)],
    connection: Connection,
    output: Output,
) -> None:
    """Remove items from a running server's catalogue; once this returns, they are not recommended or found any more.

    They stay in histories. Unknown ids are reported, and the others are removed.

    Example:
        mmrec delete p0017 p0018 --server localhost:50051

    Raises:
        InvalidArgumentError: --server is missing, or an id or a flag breaks a rule.
        NotFoundError: the catalogue has none of the items.
        FailedPreconditionError: no item would be left.
    """
    with open_server(connection) as client:
        found = client.delete_items(item_ids, **options)
    refused = found.refused
    if len(refused) == len(found.entries) and refused[0].error:
        raise refused[0].error
    for entry in refused:
        output.note(str(entry.error))
    output.data(found)
    rows = [
        (
            "items that would be removed" if options["validate_only"] else "items removed",
            f"{len(found.done):,}",
        ),
        ("items refused", f"{len(refused):,}"),
        ("catalogue version", found.versions.catalogue),
    ]
    output.table("", ("what", "value"), rows)
