"""A dataset folder with events that a service has recorded since: what a fit on them reads.

Unit of work: one folder. Its items, pictures and settings are those of the dataset; its events are the dataset's,
followed by the recorded ones. Knows nothing of stores.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmrec.contract.events import UserEvent
from mmrec.contract.forgotten_users import nobody
from mmrec.data.feedback import FeedbackRule
from mmrec.data.table_files import check_folder, table_files, usable_table
from mmrec.data.tables import read_table
from mmrec.errors import InvalidDatasetError

_TEXT = pa.large_string()
_BATCH = 1 << 16
_VISIT = "visit:"
"""Begins the user id of an anonymous visit."""


class LeftOut(NamedTuple):
    """What a dataset has of deleted users, and the folder made of it has not.

    Attributes:
        events: Rows of the events.
        users: Users of these.
    """

    events: int
    users: int


def with_recorded_events(
    dataset: Path, events: Iterable[UserEvent], folder: Path, forgets: Callable[[str], bool] = nobody
) -> LeftOut:
    """Make a dataset folder of another one and of later events; an earlier folder of this name is replaced.

    Impressions are left out. Events of an anonymous visit are those of a user of its own.

    Args:
        dataset: A dataset folder; its events, if it has any, need a `timestamp`.
        events: Recorded events, in order, each with a time.
        folder: Where it is made; its pictures are links to those of `dataset`.
        forgets: Whether the dataset's own events of a user must be left out.

    Returns:
        What was left out.

    Raises:
        NotFoundError: there is no such dataset.
        InvalidDatasetError: its events cannot be read, or have no times.
    """
    check_folder(dataset, "items.*")
    path = usable_table(dataset, "events")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    own = {table.name for table in table_files(dataset, "events")}
    for entry in dataset.iterdir():
        if entry.name not in own:
            (folder / entry.name).symlink_to(entry.resolve())
    before, left_out = _without(_events_of(dataset, path), forgets)
    with pq.ParquetWriter(folder / "events.parquet", before.schema) as writer:
        writer.write_table(before)
        rows: list[dict[str, str]] = []
        for event in events:
            if FeedbackRule().takes(event.event_type) is not None:
                rows.append(_row(event, before.schema.names))
            if len(rows) >= _BATCH:
                writer.write_table(pa.Table.from_pylist(rows, before.schema))
                rows.clear()
        writer.write_table(pa.Table.from_pylist(rows, before.schema))
    return left_out


def _without(table: pa.Table, forgets: Callable[[str], bool]) -> tuple[pa.Table, LeftOut]:
    deleted = [user_id for user_id in table["user_id"].unique().to_pylist() if forgets(user_id)]
    if not deleted:
        return table, LeftOut(0, 0)
    kept = table.filter(pc.invert(pc.is_in(table["user_id"], pa.array(deleted, _TEXT))))
    return kept, LeftOut(table.num_rows - kept.num_rows, len(deleted))


def _events_of(dataset: Path, path: Path | None) -> pa.Table:
    """The dataset's own events as text, with every column that recorded ones have."""
    columns = dict.fromkeys(("user_id", "item_id", "timestamp", "event_type", "rating"), pa.array([], _TEXT))
    if path is not None:
        table = read_table(path)
        wrong = [one for one in table.problems if one.severity == "error"]
        if wrong and not table.columns:
            raise InvalidDatasetError(f"the events of {str(dataset)!r} cannot be read: {wrong[0].message}")
        if "timestamp" not in table.columns:
            raise InvalidDatasetError(
                f"the events of {str(dataset)!r} have no column 'timestamp', so recorded events, which have times, "
                "cannot follow them; add the times"
            )
        columns = dict.fromkeys(columns, pa.array([""] * table.rows, _TEXT))
        columns |= {name: table.text(name).cast(_TEXT) for name in table.columns}
    return pa.table(columns)


def _row(event: UserEvent, names: Iterable[str]) -> dict[str, str]:
    values = {
        "user_id": event.user_id or _VISIT + event.session_id,
        "item_id": event.item_id,
        "timestamp": "" if event.time is None else f"{event.time:.6f}",
        "event_type": event.event_type,
        "rating": "" if event.rating is None else repr(event.rating),
    }
    return {name: values.get(name, "") for name in names}
