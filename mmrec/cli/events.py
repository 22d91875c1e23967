"""`mmrec events`: lists what a running server has recorded of a customer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from mmrec.cli.engines import Connection, open_server
from mmrec.cli.option_groups import Flag, RequestFlags
from mmrec.cli.output import Output
from mmrec.contract.events import ListEventsRequest, UserEvent
from mmrec.sdk.options import ListEventsOptions

_FLAGS = {"page_size": Flag("--k", "N", "How many events.")}


def events(
    user: Annotated[str, typer.Option("--user", metavar="ID", help="The customer.")] = "",
    *,
    options: Annotated[ListEventsOptions, RequestFlags(ListEventsRequest, flags=_FLAGS)],
    connection: Connection,
    output: Output,
) -> None:
    """List what a running server has recorded of a customer, the event that was recorded last first.

    What a dataset has of the customer is not listed. When there is more, stderr says how to go on.

    Example:
        mmrec events --user u17 --server localhost:50051

    Raises:
        InvalidArgumentError: --server or --user is missing, or a flag breaks a rule.
        FailedPreconditionError: the server keeps no events.
    """
    with open_server(connection) as client:
        found = client.list_events(user, **options)
    output.data(found)
    columns = ("time", "event", "item", "rating", "value", "event id")
    output.table(f"Events of {user}", columns, [_row(event) for event in found.events])
    if found.next_page_token:
        output.note(f"there are more: --page-token {found.next_page_token}")


def _row(event: UserEvent) -> tuple[str, ...]:
    when = "" if event.time is None else datetime.fromtimestamp(event.time, UTC).isoformat(" ", "seconds")
    numbers = ("" if number is None else f"{number:g}" for number in (event.rating, event.value))
    return when, event.event_type, event.item_id, *numbers, event.event_id
