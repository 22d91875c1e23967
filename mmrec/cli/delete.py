"""`mmrec delete`: removes items from the catalogue of a running server."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec.cli.engines import Connection, open_server
from mmrec.cli.option_groups import RequestFlags
from mmrec.cli.output import Output
from mmrec.contract.changes import ChangeEntry, DeleteRequest
from mmrec.contract.rules import MAX_BATCH
from mmrec.errors import MmrecError
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
    entries: list[ChangeEntry] = []
    name = options["request_id"]
    with open_server(connection) as client:
        for at in range(0, len(item_ids), MAX_BATCH):
            if name and len(item_ids) > MAX_BATCH:
                options["request_id"] = f"{name}/{at // MAX_BATCH}"
            found = client.delete_items(item_ids[at : at + MAX_BATCH], **options)
            entries += found.entries
    errors: list[MmrecError] = [entry.error for entry in entries if entry.error is not None]
    if len(errors) == len(entries):
        raise errors[0]
    for error in errors:
        output.note(error.message)
    output.data(found if len(item_ids) <= MAX_BATCH else {"entries": entries, "versions": found.versions})
    rows = [
        (
            "items that would be removed" if options["validate_only"] else "items removed",
            f"{len(entries) - len(errors):,}",
        ),
        ("items refused", f"{len(errors):,}"),
        ("catalogue version", found.versions.catalogue),
    ]
    output.table("", ("what", "value"), rows)
