"""`mmrec forget`: deletes a customer from a running server."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec.cli.engines import Connection, open_server
from mmrec.cli.output import Output


def forget(
    user: Annotated[str, typer.Option("--user", metavar="ID", help="The customer.")] = "",
    *,
    connection: Connection,
    output: Output,
) -> None:
    """Delete a customer from a running server: recorded events, and what the bundle knows of the customer.

    Once this returns, answers are those for an unknown customer, also after a restart and with another version of the
    bundle; only events recorded later count. The bundle's own files keep the history until the next mmrec fit
    --events-from. It may be called again.

    Example:
        mmrec forget --user u17 --server localhost:50051

    Raises:
        InvalidArgumentError: --server or --user is missing.
        FailedPreconditionError: the server keeps no events.
    """
    with open_server(connection) as client:
        found = client.delete_user(user)
    output.data(found)
    output.table("", ("what", "value"), [("events removed", f"{found.events:,}")])
