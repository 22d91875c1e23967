"""The events of a table as `UserEvent` values, in batches, to be recorded by a server.

Unit of work: one batch. The same table gives the same batches each time, so that an interrupted job can resume. Knows
nothing of servers.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from mmrec.contract.events import UserEvent
from mmrec.data.row_stream import RawRow, RowStream
from mmrec.data.streaming import open_rows
from mmrec.data.time_parsing import parse_timestamps
from mmrec.errors import InvalidArgumentError, MmrecError

_TEXTS = ("item_id", "event_type", "user_id", "session_id", "event_id", "recommendation_id")
_NUMBERS = ("rating", "value")


class EventRow(NamedTuple):
    """One row.

    Attributes:
        place: The file and the line or row in it, for messages.
        event: The event, or why the row is none.
    """

    place: str
    event: UserEvent | MmrecError


class EventRows:
    """The events of a table.

    Columns are the fields of `UserEvent`; `timestamp` has its time. `position`, which orders the events of a dataset,
    is the place in a reply where the row has a `recommendation_id`, and is not read elsewhere.

    Args:
        path: A table (a file, or a folder of part files), or a dataset folder with ``events.*``.
        batch: Most rows of a batch.

    Raises:
        NotFoundError: there is no such folder or file.
        InvalidDatasetError: there is no events table, or it cannot be read, or has no `item_id`; while iterating, it
            breaks off.
    """

    def __init__(self, path: Path, batch: int) -> None:
        self._rows: RowStream = open_rows(path, "events", ("item_id", "event_type"))
        self._batch = batch

    def estimate(self) -> int:
        """About how many rows there are. Reads the table once."""
        return self._rows.estimate()

    def batches(self) -> Iterator[tuple[EventRow, ...]]:
        """All rows, in order."""
        left = iter(self._rows)
        while rows := tuple(islice(left, self._batch)):
            texts = pa.array([row.values.get("timestamp", "") for row in rows], pa.large_string())
            times = parse_timestamps(texts)
            yield tuple(
                self._row(row, None if empty else micros / 1e6, bad=bad)
                for row, micros, empty, bad in zip(
                    rows, times.values.tolist(), times.empty.tolist(), times.bad.tolist(), strict=True
                )
            )

    def _row(self, row: RawRow, time: float | None, *, bad: bool) -> EventRow:
        file, line = self._rows.place(row.line)
        try:
            if row.problem is not None:
                raise InvalidArgumentError(row.problem.message, field=row.problem.column)
            if bad:
                raise InvalidArgumentError(
                    f"timestamp is {row.values['timestamp']!r:.80}; write seconds since 1970 or an ISO-8601 date",
                    field="timestamp",
                )
            return EventRow(f"{file}:{line}", _event(row.values, time))
        except MmrecError as err:
            return EventRow(f"{file}:{line}", err)


def _event(values: dict[str, str], time: float | None) -> UserEvent:
    fields: dict[str, Any] = {name: values.get(name, "") for name in _TEXTS}
    fields |= {name: _number(values[name], name) for name in _NUMBERS if values.get(name)}
    if fields["recommendation_id"] and values.get("position"):
        fields["position"] = int(_number(values["position"], "position"))
    return UserEvent(time=time, **fields)


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidArgumentError(f"{name} is {text!r:.80}; it must be a number or empty", field=name) from None
