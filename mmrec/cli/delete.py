"""`mmrec delete`: items out of the catalogue of a running server."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec.cli.engines import open_server
from mmrec.cli.options import CaOption, ChangedServerOption, JsonFlag, QuietFlag, TimeoutOption, TlsFlag, TokenOption
from mmrec.cli.output import Output
from mmrec.contract.changes import ChangeEntry
from mmrec.contract.rules import MAX_BATCH
from mmrec.errors import MmrecError


def delete(
    item_ids: Annotated[list[str], typer.Argument(metavar="ITEM_ID...", help="The items to remove.")],
    server: ChangedServerOption = "",
    request_id: Annotated[
        str, typer.Option("--request-id", metavar="NAME", help="Your name of this change: it is not made twice.")
    ] = "",
    validate_only: Annotated[
        bool, typer.Option("--validate-only", help="Check everything and change nothing.")
    ] = False,
    token: TokenOption = "",
    tls: TlsFlag = False,
    ca: CaOption = "",
    timeout: TimeoutOption = 10.0,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Remove items from a running server's catalogue; none of them is shown again when this returns.

    Histories that hold them stay. An id that is not there is told, and the others are removed.

    Example:
        mmrec delete p0017 p0018 --server localhost:50051

    Raises:
        InvalidArgumentError: --server is missing, or an id or a flag breaks a rule.
        NotFoundError: the catalogue has none of the items.
        FailedPreconditionError: no item would be left.
    """
    sink = Output(json=json, quiet=quiet)
    entries: list[ChangeEntry] = []
    with open_server(server, token, tls, ca, timeout) as client:
        for at in range(0, len(item_ids), MAX_BATCH):
            part = f"{request_id}/{at // MAX_BATCH}" if request_id and len(item_ids) > MAX_BATCH else request_id
            found = client.delete_items(item_ids[at : at + MAX_BATCH], request_id=part, validate_only=validate_only)
            entries += found.entries
    errors: list[MmrecError] = [entry.error for entry in entries if entry.error is not None]
    if len(errors) == len(entries):
        raise errors[0]
    for error in errors:
        sink.note(error.message)
    sink.data(found if len(item_ids) <= MAX_BATCH else {"entries": entries, "versions": found.versions})
    rows = [
        ("items that would be removed" if validate_only else "items removed", f"{len(entries) - len(errors):,}"),
        ("items refused", f"{len(errors):,}"),
        ("catalogue version", found.versions.catalogue),
    ]
    sink.table("", ("what", "value"), rows)
