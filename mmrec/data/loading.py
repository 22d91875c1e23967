"""Reads the tables of a dataset folder into a catalogue and interactions, and collects everything wrong with
them.

Knows nothing of pictures and splits. `read_dataset` refuses on the fatal findings, `mmrec check` prints them
all.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmrec.data.catalogue import OWN_COLUMNS, Catalogue
from mmrec.data.column_check import setting_problems
from mmrec.data.columns import Parsed, parse_positions, parse_ratings, parse_timestamps
from mmrec.data.interactions import NO_TIME, Interactions
from mmrec.data.inventory import column_problems, folder_problems, meant_column
from mmrec.data.problems import Problem, shown
from mmrec.data.settings import SETTINGS_FILE, DatasetSettings, read_settings
from mmrec.data.table_batches import Places
from mmrec.data.table_files import FORMAT_WORDS, find_table
from mmrec.data.tables import Table, read_table
from mmrec.errors import InvalidDatasetError, NotFoundError

__all__ = ["Loaded", "load_tables", "read_events"]

_MICROSECONDS = 1_000_000


class Loaded(NamedTuple):
    """What the tables of a folder hold.

    Attributes:
        catalogue: Rows with a usable id; None when there is no usable items table.
        item_lines_N: Number of each catalogue row's line in the items table. Shape: (N,), int64.
        items_places: The file and line behind each of these numbers.
        items_file: Name of the items table; '' without one.
        events_file: Name of the events table; '' without one.
        interactions: Usable events of known items.
        events: Rows of the events table, the unusable ones included.
        time_column: ``timestamp``, ``position``, or '' without events.
        user_rows: Rows of the users table; None when there is no such table.
        problems: Everything found, in the order settings, items, events, users.
        settings: What ``dataset.toml`` says; the defaults where it cannot be used.
    """

    catalogue: Catalogue | None
    item_lines_N: npt.NDArray[np.int64]
    items_places: Places
    items_file: str
    events_file: str
    interactions: Interactions
    events: int
    time_column: str
    user_rows: int | None
    problems: tuple[Problem, ...]
    settings: DatasetSettings


def load_tables(root: Path) -> Loaded:
    """Read items, events and users of a dataset folder.

    Raises:
        NotFoundError: there is no such folder.
    """
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        raise NotFoundError(f"the dataset {str(root)!r} {what}; give a folder that holds items.* and events.*")
    problems: list[Problem] = []
    settings = _settings(root, problems)
    items = _table(root, "items", ("item_id",), problems)
    catalogue, lines_N = _read_items(items, problems) if items is not None else (None, np.zeros(0, dtype=np.int64))
    if catalogue is not None:
        catalogue = replace(catalogue, kinds=settings.columns)
        problems += setting_problems(settings, catalogue)
    events = _table(root, "events", ("user_id", "item_id"), problems, needed=False)
    interactions, time_column = Interactions.empty(), ""
    if events is not None:
        interactions, time_column = read_events(events, catalogue, problems)
    users = _table(root, "users", ("user_id",), problems, needed=False)
    if users is not None:
        _check_users(users, problems)
    problems += folder_problems(root)
    return Loaded(
        catalogue=catalogue,
        item_lines_N=lines_N,
        items_places=items.places if items is not None else Places(""),
        items_file=items.file if items is not None else "",
        events_file=events.file if events is not None else "",
        interactions=interactions,
        events=events.rows if events is not None else 0,
        time_column=time_column,
        user_rows=users.rows if users is not None else None,
        problems=tuple(problems),
        settings=settings,
    )


def _settings(root: Path, problems: list[Problem]) -> DatasetSettings:
    try:
        return read_settings(root)
    except InvalidDatasetError as err:
        problems.append(Problem(SETTINGS_FILE, 0, "", "unusable settings", err.message))
        return DatasetSettings()


def _table(
    root: Path, stem: str, columns: tuple[str, ...], problems: list[Problem], *, needed: bool = True
) -> Table | None:
    """The table of this name when it has its columns; what is missing goes to `problems`."""
    path, problem = find_table(root, stem)
    if problem is not None:
        problems.append(problem)
    if path is None:
        if needed and problem is None:
            message = f"there is no {stem} table in {str(root)!r}; add one of {stem}.* with the suffix {FORMAT_WORDS}"
            problems.append(Problem("", 0, "", "missing table", message))
        return None
    table = read_table(path)
    problems += table.problems
    if not table.columns:
        return None
    problems += column_problems(stem, table.file, table.columns)
    for column in columns:
        if column not in table.columns:
            found = ", ".join(shown(name) for name in list(table.columns)[:20])
            meant = meant_column(column, table.columns)
            mend = f"; if {shown(meant)} is it, name it {column!r}" if meant else ""
            message = f"there is no column {column!r}; the columns are {found}{mend}"
            problems.append(
                Problem(table.file, 1 if table.file[-8:] != ".parquet" else 0, column, "missing column", message)
            )
    return table if all(column in table.columns for column in columns) else None


# --- items --------------------------------------------------------------------------------------------------


def _read_items(table: Table, problems: list[Problem]) -> tuple[Catalogue | None, npt.NDArray[np.int64]]:
    ids: list[str] = table.text("item_id").to_pylist()
    first: dict[str, int] = {}
    keep = np.ones(table.rows, dtype=np.bool_)
    for row, item_id in enumerate(ids):
        if not item_id.strip():
            keep[row] = False
            problems.append(table.problem(row, "item_id", "empty item id", "item_id is empty; every item needs an id"))
        elif item_id in first:
            keep[row] = False
            message = (
                f"item_id {shown(item_id)} was there before, at {table.where(first[item_id])}; keep one row per item"
            )
            problems.append(table.problem(row, "item_id", "duplicate item id", message))
        else:
            first[item_id] = row
    if not keep.any():
        if table.rows == 0 and not any(p.file == table.file for p in problems):
            message = "the table has no rows; a catalogue needs at least one item"
            problems.append(Problem(table.file, 0, "", "empty catalogue", message))
        elif table.rows:
            message = "no row has a usable item_id; a catalogue needs at least one item"
            problems.append(Problem(table.file, 0, "", "empty catalogue", message))
        return None, table.lines[keep]
    chosen = pa.array(np.flatnonzero(keep))
    columns = {name: tuple(table.text(name).take(chosen).to_pylist()) for name in table.columns if name}
    empty = ("",) * int(keep.sum())
    catalogue = Catalogue(
        item_ids=columns["item_id"],
        titles=columns.get("title", empty),
        descriptions=columns.get("description", empty),
        images=columns.get("image", empty),
        attributes={name: values for name, values in columns.items() if name not in OWN_COLUMNS},
    )
    return catalogue, table.lines[keep]


# --- events -------------------------------------------------------------------------------------------------


def read_events(table: Table, catalogue: Catalogue | None, problems: list[Problem]) -> tuple[Interactions, str]:
    """Usable events of a catalogue's items, and what orders them: ``timestamp``, ``position``, or '' for none.

    Args:
        table: The events table.
        catalogue: The items.
        problems: What is wrong with the table is added here.
    """
    times = _times(table, "timestamp", parse_timestamps, problems)
    places = _times(table, "position", parse_positions, problems)
    if times is None and places is None:
        meant = meant_column("timestamp", table.columns)
        mend = f"; if {shown(meant)} is the time, name it 'timestamp'" if meant else ""
        message = f"there is neither a column 'timestamp' nor 'position'; add one, so that events have an order{mend}"
        problems.append(Problem(table.file, 0, "timestamp", "missing column", message))
        return Interactions.empty(), ""
    keep = np.ones(table.rows, dtype=np.bool_)
    for parsed in (times, places):
        if parsed is not None:
            keep &= ~parsed.bad
    ratings = None
    if "rating" in table.columns:
        ratings = parse_ratings(table.columns["rating"])
        _report(table, "rating", "bad rating", ratings.bad, "a rating is a finite number or empty", problems)
        keep &= ~ratings.bad
    users = table.text("user_id")
    items = table.text("item_id")
    nobody = np.asarray(pc.equal(users, ""), dtype=np.bool_)
    for row in np.flatnonzero(nobody).tolist():
        problems.append(table.problem(row, "user_id", "empty user id", "user_id is empty; every event needs a user"))
    keep &= ~nobody
    rows = np.full(table.rows, -1, dtype=np.int64)
    if catalogue is not None:
        known = pa.array(catalogue.item_ids, type=pa.large_string())
        rows = np.array(pc.fill_null(pc.index_in(items, value_set=known), -1), dtype=np.int64)
        for row in np.flatnonzero(rows < 0).tolist():
            item_id = items[row].as_py()
            if item_id:
                message = f"item_id {shown(item_id)} is not in the items table; add the item or drop the event"
                problems.append(table.problem(row, "item_id", "unknown item", message))
            else:
                message = "item_id is empty; every event needs an item"
                problems.append(table.problem(row, "item_id", "empty item id in event", message))
    keep &= rows >= 0
    interactions = _ordered(users, rows, times, places, None if ratings is None else ratings.values, keep)
    return interactions, "timestamp" if times is not None else "position"


def _ordered(
    users: Any,
    rows: npt.NDArray[np.int64],
    times: Parsed | None,
    places: Parsed | None,
    ratings: npt.NDArray[Any] | None,
    keep: npt.NDArray[np.bool_],
) -> Interactions:
    def column(parsed: Parsed) -> npt.NDArray[np.int64]:
        return np.asarray(np.where(parsed.empty, NO_TIME, parsed.values)[keep], dtype=np.int64)

    main = times if times is not None else places
    assert main is not None  # the caller has seen to it
    return Interactions.from_columns(
        users.filter(pa.array(keep)),
        rows[keep],
        column(main),
        None if ratings is None else ratings[keep],
        ties=column(places) if times is not None and places is not None else None,
        resolution=_MICROSECONDS if times is not None else 1,
    )


def _times(table: Table, column: str, parse: Any, problems: list[Problem]) -> Parsed | None:
    """A column of times or positions, with its bad rows reported one by one and its empty ones as a count."""
    if column not in table.columns:
        return None
    parsed: Parsed = parse(table.columns[column])
    rule = (
        "a timestamp is a number of seconds or milliseconds since 1970, or an ISO-8601 date like 2024-05-31"
        if column == "timestamp"
        else "a position is a whole number"
    )
    _report(table, column, f"bad {column}", parsed.bad, rule, problems)
    missing = int(parsed.empty.sum())
    if missing and not (column == "position" and "timestamp" in table.columns):
        first = int(np.flatnonzero(parsed.empty)[0])
        message = (
            f"{missing:,} events have no {column}, the first of them here; "
            "each is kept and comes before the user's other events"
        )
        problems.append(Problem(*table.place(first), column, f"empty {column}", message, severity="warning"))
    return parsed


def _report(
    table: Table, column: str, kind: str, bad: npt.NDArray[np.bool_], rule: str, problems: list[Problem]
) -> None:
    rows = np.flatnonzero(bad)
    if not len(rows):
        return
    values = table.text(column).take(pa.array(rows)).to_pylist()
    for row, value in zip(rows.tolist(), values, strict=True):
        problems.append(table.problem(row, column, kind, f"{column} is {shown(value)}; {rule}"))


# --- users --------------------------------------------------------------------------------------------------


def _check_users(table: Table, problems: list[Problem]) -> None:
    first: dict[str, int] = {}
    for row, user_id in enumerate(table.text("user_id").to_pylist()):
        if not user_id:
            problems.append(table.problem(row, "user_id", "empty user id", "user_id is empty; every user needs an id"))
        elif user_id in first:
            before = table.where(first[user_id])
            message = f"user_id {shown(user_id)} was there before, at {before}; keep one row per user"
            problems.append(table.problem(row, "user_id", "duplicate user id", message))
        else:
            first[user_id] = row
