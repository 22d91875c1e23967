"""`mmrec record`: sends the events of a table to a running server, which keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmrec.cli.engines import Connection, open_server
from mmrec.cli.option_groups import Defaults, Flag, RequestFlags
from mmrec.cli.options import SkipOption
from mmrec.cli.output import Output
from mmrec.contract.events import RecordEventsRequest
from mmrec.contract.rules import MAX_BATCH
from mmrec.errors import InvalidArgumentError, MmrecError
from mmrec.sdk.options import RecordEventsOptions

_SHOWN = 20
_FLAGS = {"request_id": Flag(help="Your name for this upload: no event of it is recorded twice.")}


def record(
    events: Annotated[
        Path, typer.Argument(metavar="EVENTS", help="Table of events, or a dataset folder with events.*.")
    ],
    batch: Annotated[int, typer.Option("--batch", metavar="N", help="Events per request, 1 to 1,000.")] = 500,
    skip: SkipOption = 0,
    *,
    options: Annotated[RecordEventsOptions, RequestFlags(RecordEventsRequest, flags=_FLAGS)],
    connection: Annotated[Connection, Defaults({"timeout": 60.0})],
    output: Output,
) -> None:
    """Record what customers did on a running server; its next answers build on it.

    The table has the columns item_id and event_type (view, cart, purchase, impression, dismiss, ...), user_id or
    session_id, and any of timestamp, rating, value, event_id, recommendation_id and position (in that reply). Rows that
    are refused are reported with the reason, and do not stop the others.

    When the connection breaks, the message says how many batches were answered; --skip continues from there.

    Example:
        mmrec record events.jsonl --server localhost:50051
        mmrec record shop/ --server localhost:50051 --request-id monday

    Raises:
        InvalidArgumentError: --server is missing, or a flag breaks a rule.
        NotFoundError: there is no such folder or file.
        InvalidDatasetError: the table cannot be used.
    """
    if not 1 <= batch <= MAX_BATCH:
        raise InvalidArgumentError(f"--batch is {batch}; it must lie between 1 and {MAX_BATCH:,}", field="batch")
    if skip < 0:
        raise InvalidArgumentError(f"--skip is {skip}; it must be 0 or more", field="skip")
    with open_server(connection) as client:
        from mmrec.data.event_rows import EventRows

        table, request_id = EventRows(events, batch), options["request_id"]
        progress = output.progress()
        progress.start("recording", table.estimate(), "events")
        answered, done, refused = skip, 0, []
        for number, rows in enumerate(table.batches()):
            progress.advance(len(rows))
            if number < skip:
                continue
            if request_id:
                options["request_id"] = f"{request_id}-{number}"
            try:
                results = client.record_events([row.event for row in rows], **options)
            except MmrecError:
                output.note(f"to continue, run the same command with --skip {answered}")
                raise
            answered += 1
            errors = [(row.place, entry.error) for row, entry in zip(rows, results.entries, strict=True) if entry.error]
            refused += [{"row": place, "reason": error.message} for place, error in errors]
            done += len(rows) - len(errors)
        progress.finish(f"{done:,} events in {answered - skip:,} batches, {len(refused):,} refused")
    for one in refused[:_SHOWN]:
        output.note(f"{one['row']}: {one['reason']}")
    if len(refused) > _SHOWN:
        output.note(f"and {len(refused) - _SHOWN:,} more; --json has all of them")
    checked = bool(options["validate_only"])
    output.data({"batches": answered - skip, "done": done, "refused": refused, "validate_only": checked})
    rows_shown = [
        ("events that would be recorded" if checked else "events recorded", f"{done:,}"),
        ("events refused", f"{len(refused):,}"),
        ("batches", f"{answered - skip:,}"),
    ]
    output.table("", ("what", "value"), rows_shown)
