"""`mmrec upsert`: adds the items of a dataset to the catalogue of a running server, or replaces them there."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from mmrec.cli.engines import Connection, open_server
from mmrec.cli.option_groups import Defaults, Flag, RequestFlags
from mmrec.cli.options import SkipOption
from mmrec.cli.output import Output
from mmrec.contract.changes import ChangeResults, UpsertRequest
from mmrec.contract.field_mask import field_path
from mmrec.contract.items import NO_VERSIONS, ItemInput, Versions
from mmrec.contract.rules import MAX_BATCH
from mmrec.errors import InvalidArgumentError, MmrecError
from mmrec.sdk.options import UpsertOptions

if TYPE_CHECKING:
    from mmrec.data.item_inputs import DescribedBatch, DescribedItems
    from mmrec.sdk.client import Client

_SHOWN = 20
_IN_FLIGHT = 2


class _Refused(NamedTuple):
    item_id: str
    line: int
    reason: str


_FLAGS = {
    "request_id": Flag(help="Your name for this upload: no batch of it is applied twice."),
    "wait_until_visible": Flag(
        "--wait", help="Wait until the items can be recommended, not only until they are saved."
    ),
    "fields": Flag(
        metavar="A,B",
        help="Partial update: replace only these columns of existing items: title,price. May be repeated.",
        read=lambda texts: _fields(",".join(texts or ())),
    ),
}


def upsert(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="Dataset folder, or an items table with images/ beside it.")
    ],
    batch: Annotated[
        int, typer.Option("--batch", metavar="N", help="Items per request, 1 to 1,000; fewer if pictures are large.")
    ] = 100,
    skip: SkipOption = 0,
    *,
    options: Annotated[UpsertOptions, RequestFlags(UpsertRequest, flags=_FLAGS)],
    connection: Annotated[Connection, Defaults({"timeout": 60.0})],
    output: Output,
) -> None:
    """Add the items of a dataset to a running server's catalogue, or replace those of the same id.

    They can be recommended, found and filtered within seconds; nothing is trained. An item is replaced as a whole, with
    its picture; with --fields, only some columns of existing items are replaced (partial update). Items that are
    refused are reported with the reason, and do not stop the others.

    When the connection breaks, the message says how many batches were answered; --skip continues from there.

    Example:
        mmrec upsert new-items.csv --server localhost:50051
        mmrec upsert shop/ --server localhost:50051 --request-id monday --batch 200
        mmrec upsert prices.csv --server localhost:50051 --fields price,in_stock

    Raises:
        InvalidArgumentError: --server is missing, or a flag breaks a rule.
        NotFoundError: there is no such folder or file.
        InvalidDatasetError: the items table cannot be used.
    """
    if not 1 <= batch <= MAX_BATCH:
        raise InvalidArgumentError(f"--batch is {batch}; it must lie between 1 and {MAX_BATCH:,}", field="batch")
    with open_server(connection) as client:
        from mmrec.data.item_inputs import DescribedItems

        upload = _Upload(DescribedItems(dataset, batch), skip, output)
        try:
            upload.run(client, options)
        except MmrecError as err:
            upload.print_refused()
            if err.answered is not None:
                output.note(f"to continue, run the same command with --skip {err.answered}")
            raise
    upload.print_refused()
    upload.print_summary(options["validate_only"])


def _fields(columns: str) -> tuple[str, ...]:
    """Names of columns as paths of item fields."""
    return tuple(field_path(name.strip()) for name in columns.split(",") if name.strip())


class _Upload:
    """Sends the items of a dataset, and collects the replies."""

    def __init__(self, described: DescribedItems, skip: int, output: Output) -> None:
        self._described = described
        self._skip = skip
        self._sink = output
        self._sent: deque[DescribedBatch] = deque()
        self._batches = 0
        self._done = 0
        self._refused: list[_Refused] = []
        self._versions: Versions = NO_VERSIONS

    def run(self, client: Client, options: UpsertOptions) -> None:
        """Send all batches."""
        results = client.stream_upserts(self._batches_of_items(), skip=self._skip, in_flight=_IN_FLIGHT, **options)
        progress = self._sink.progress()
        progress.start("checking" if options["validate_only"] else "upserting", self._described.estimate(), "items")
        for result in results:
            batch = self._sent.popleft()
            self._collect(batch, result)
            progress.advance(len(batch.items) + len(batch.failures))
            progress.say(f"batch {self._skip + self._batches:,} answered, {len(self._refused):,} items refused")
        progress.finish(f"{self._done:,} items in {self._batches:,} batches, {len(self._refused):,} refused")

    def _batches_of_items(self) -> Iterator[tuple[ItemInput, ...]]:
        for number, batch in enumerate(self._described.batches()):
            if number >= self._skip:
                self._sent.append(batch)
            yield batch.items

    def _collect(self, batch: DescribedBatch, result: ChangeResults) -> None:
        self._batches += 1
        self._done += len(result.done)
        refused = [_Refused(failure.item_id, failure.line, failure.message) for failure in batch.failures]
        for place, (entry, line) in enumerate(zip(result.entries, batch.lines, strict=True)):
            if entry.error is not None:
                refused.append(_Refused(entry.id, line, entry.error.message.removeprefix(f"items[{place}]: ")))
        self._refused += sorted(refused, key=lambda one: one.line)
        self._versions = result.versions if result.entries else self._versions

    def print_refused(self) -> None:
        """Print the refused items with the reasons."""
        for one in self._refused[:_SHOWN]:
            self._sink.note(f"item {one.item_id or '?'} (row {one.line}): {one.reason}")
        if len(self._refused) > _SHOWN:
            self._sink.note(f"and {len(self._refused) - _SHOWN:,} more; --json has all of them")

    def print_summary(self, validate_only: bool) -> None:
        """Print the counts, or the JSON document."""
        self._sink.data(
            {
                "batches": self._batches,
                "done": self._done,
                "refused": self._refused,
                "validate_only": validate_only,
                "versions": self._versions,
            }
        )
        rows = [
            ("items that would be done" if validate_only else "items done", f"{self._done:,}"),
            ("items refused", f"{len(self._refused):,}"),
            ("batches", f"{self._batches:,}"),
            ("catalogue version", self._versions.catalogue),
        ]
        self._sink.table("", ("what", "value"), rows)
