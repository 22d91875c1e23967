"""Reads the tables of a dataset folder into a catalogue and interactions, and collects their problems.

Knows nothing of pictures and splits. `read_dataset` raises on fatal problems, `mmrec check` shows them all.
"""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmrec.catalogue.catalogue import Catalogue
from mmrec.data.column_check import setting_problems
from mmrec.data.events import NO_EVENTS, Events, KnownItems, read_events
from mmrec.data.inventory import column_problems, folder_problems, missing_column
from mmrec.data.problems import Problem, ProblemLog, quoted
from mmrec.data.row_problems import report_over_limits, report_rows
from mmrec.data.settings import SETTINGS_FILE, DatasetSettings, read_settings
from mmrec.data.summary import DatasetSummary, TableSummary
from mmrec.data.table_batches import Places
from mmrec.data.table_files import FORMAT_WORDS, check_folder, find_table
from mmrec.data.tables import Table, read_table
from mmrec.errors import InvalidDatasetError


class Loaded(NamedTuple):
    """Contents of the tables of a folder.

    Attributes:
        settings: From ``dataset.toml``; the defaults where it cannot be used.
        catalogue: Rows with a usable id; None when there is no usable items table.
        item_lines_N: Number of each catalogue row's line in the items table. Shape: (N,), int64.
        items_places: The file and line behind each of these numbers.
        items_file: Name of the items table; '' without one.
        events_file: Name of the events table; '' without one.
        events: Of the events table; `NO_EVENTS` without one.
        user_rows: Rows of the users table; None when there is no such table.
        summary: How many rows of items and events are used.
    """

    settings: DatasetSettings
    catalogue: Catalogue | None
    item_lines_N: npt.NDArray[np.int64]
    items_places: Places
    items_file: str
    events_file: str
    events: Events
    user_rows: int | None
    summary: DatasetSummary


def load_tables(
    root: Path, log: ProblemLog, now: datetime.datetime | None = None, *, min_rating: float | None = None
) -> Loaded:
    """Read items, events and users of a dataset folder.

    Args:
        root: The folder.
        log: Collects the problems of the tables.
        now: Later events get a warning; None: the current time.
        min_rating: Replaces the setting of ``dataset.toml``; None keeps it.

    Raises:
        NotFoundError: there is no such folder.
    """
    check_folder(root, "items.* and events.*")
    settings = _settings(root, log)
    if min_rating is not None:
        settings = replace(settings, events=replace(settings.events, min_rating=min_rating))
    items = _table(root, "items", ("item_id",), log)
    read = _read_items(items, settings, log) if items is not None else _NO_ITEMS
    events_table = _table(root, "events", ("user_id", "item_id"), log, required=False)
    events = NO_EVENTS
    if events_table is not None:
        events = read_events(events_table, read.known, log, settings.events, now)
    users = _table(root, "users", ("user_id",), log, required=False)
    if users is not None:
        _check_users(users, log)
    log.extend(folder_problems(root), table="")
    tables = [part.summary for part, table in ((read, items), (events, events_table)) if table is not None]
    return Loaded(
        settings=settings,
        catalogue=read.catalogue,
        item_lines_N=read.lines_N,
        items_places=items.places if items is not None else Places(""),
        items_file=items.file if items is not None else "",
        events_file=events_table.file if events_table is not None else "",
        events=events,
        user_rows=users.rows if users is not None else None,
        summary=DatasetSummary(tables=tuple(tables), event_columns=events.columns),
    )


def _settings(root: Path, log: ProblemLog) -> DatasetSettings:
    try:
        return read_settings(root)
    except InvalidDatasetError as err:
        log.append(Problem(SETTINGS_FILE, 0, "", "unusable settings", err.message))
        return DatasetSettings()


def _table(root: Path, stem: str, columns: tuple[str, ...], log: ProblemLog, *, required: bool = True) -> Table | None:
    """The table of this name if it has these columns; what is missing goes to `log`."""
    path, problem = find_table(root, stem)
    if problem is not None:
        log.append(problem)
    if path is None:
        if required and problem is None:
            message = f"there is no {stem} table in {str(root)!r}; add one of {stem}.* with the suffix {FORMAT_WORDS}"
            log.append(Problem("", 0, "", "missing table", message))
        return None
    table = read_table(path, log)
    if not table.columns:
        return None
    log.extend(column_problems(stem, table.file, table.columns))
    for column in columns:
        if column not in table.columns:
            row = 1 if table.file[-8:] != ".parquet" else 0
            message = f"there is {missing_column(column, table.columns)}"
            log.append(Problem(table.file, row, column, "missing column", message))
    return table if all(column in table.columns for column in columns) else None


# --- items --------------------------------------------------------------------------------------------------


class _Items(NamedTuple):
    """The rows of the items table; catalogue is None where none is usable."""

    catalogue: Catalogue | None
    lines_N: npt.NDArray[np.int64]
    known: KnownItems | None
    summary: TableSummary


_NO_ITEMS = _Items(None, np.zeros(0, dtype=np.int64), None, TableSummary("", 0, 0))


def _read_items(table: Table, settings: DatasetSettings, log: ProblemLog) -> _Items:
    ids = table.text("item_id")
    left_out: dict[str, int] = {}
    keep = np.ones(table.rows, dtype=np.bool_)

    def drop(rows: npt.NDArray[np.int64], kind: str) -> None:
        lost = int(keep[rows].sum())
        if lost:
            left_out[kind] = left_out.get(kind, 0) + lost
            keep[rows] = False

    drop(_check_ids(table, "item_id", "item", log), "unusable id")
    for name in table.columns:
        kind = "unusable item id" if name == "item_id" else "long text"
        drop(report_over_limits(log, table, name, kind), kind)
    summary = TableSummary(table.file, table.rows, int(keep.sum()), left_out)
    if not keep.any():
        if table.rows == 0 and not any(group.file == table.file for group in log.groups):
            message = "the table has no rows; a catalogue needs at least one item"
            log.append(Problem(table.file, 0, "", "empty catalogue", message))
        elif table.rows:
            message = "no row is usable; a catalogue needs at least one item"
            log.append(Problem(table.file, 0, "", "empty catalogue", message))
        return _Items(None, table.lines[keep], None, summary)
    known = KnownItems(ids.filter(pa.array(keep)), ids.filter(pa.array(~keep)))
    columns: dict[str, tuple[str, ...]] = {
        name: tuple(table.text(name).filter(pa.array(keep)).to_pylist()) for name in table.columns if name
    }
    catalogue = Catalogue.from_columns(columns, settings.columns)
    log.extend(setting_problems(settings, catalogue))
    return _Items(catalogue, table.lines[keep], known, summary)


def _check_ids(table: Table, column: str, what: str, log: ProblemLog) -> npt.NDArray[np.int64]:
    """Report rows whose id is empty or repeated; returns them in ascending order."""
    ids = table.text(column)
    blank = np.asarray(pc.equal(pc.utf8_trim_whitespace(ids), ""), dtype=np.bool_)
    encoded = ids.dictionary_encode()
    codes = np.asarray(encoded.indices, dtype=np.int64)
    first_C = np.full(len(encoded.dictionary), -1, dtype=np.int64)
    first_C[codes[::-1]] = np.arange(table.rows)[::-1]
    repeated = np.flatnonzero((first_C[codes] != np.arange(table.rows)) & ~blank)
    empty = np.flatnonzero(blank)
    first_rows = first_C[codes[repeated]]
    report_rows(
        log,
        table,
        repeated,
        column,
        f"duplicate {what} id",
        lambda places: (
            f"{column} {quoted(value)} was there before, at {table.where(row)}; keep one row per {what}"
            for value, row in zip(ids.take(repeated[places]).to_pylist(), first_rows[places].tolist(), strict=True)
        ),
    )
    message = f"{column} is empty; every {what} needs an id"
    report_rows(log, table, empty, column, f"empty {what} id", lambda places: [message] * len(places))
    return np.sort(np.concatenate([repeated, empty]))


# --- users --------------------------------------------------------------------------------------------------


def _check_users(table: Table, log: ProblemLog) -> None:
    _check_ids(table, "user_id", "user", log)
    report_over_limits(log, table, "user_id", "unusable user id")
