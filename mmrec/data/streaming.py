"""Items of a dataset folder in windows of a fixed number of rows, so that memory does not grow with the catalogue.

A row that cannot be an item (no id, a repeated id, text that is too long, bytes that are no UTF-8, a wrong number of
fields) becomes a failure with its line, and reading continues. The ids seen so far are kept
in a temporary SQLite file, about 60 bytes each on disk and a fixed few megabytes in memory. Knows nothing of
events, pictures and models.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from mmrec.catalogue.catalogue import OWN_COLUMNS
from mmrec.contract.rules import MAX_ID_CHARS
from mmrec.data.inventory import folder_problems, missing_column
from mmrec.data.problems import Problem, quoted
from mmrec.data.row_stream import RawRow, RowStream
from mmrec.data.table_files import FORMAT_WORDS, check_folder, is_table, table_parts, usable_table
from mmrec.data.value_limits import limit_problem
from mmrec.errors import InvalidDatasetError, NotFoundError
from mmrec.runtime.limits import check_number

_MAX_QUERY_IDS = 500


class StreamedItem(NamedTuple):
    """One item.

    Attributes:
        line: Line of the items table (text formats, the header is line 1) or row (Parquet, from 1); in a table of
            several files it goes on from one to the next.
        item_id: Not empty, and the first with this id.
        title: '' for none.
        description: '' for none.
        image: Reference to a picture; '' for none.
        attributes: Every further column, in the order in which the table names them.
        picture: An encoded picture in the table itself; None for none.
    """

    line: int
    item_id: str
    title: str
    description: str
    image: str
    attributes: Mapping[str, str]
    picture: bytes | None = None


class RowFailure(NamedTuple):
    """A row that is no item.

    Attributes:
        line: As in `StreamedItem`.
        item_id: Its id; '' where that is not known.
        field: Column at fault; '' for the whole row.
        message: What was found, the rule, and the remedy; in a table of several files it begins with the file and line.
    """

    line: int
    item_id: str
    field: str
    message: str


class ItemWindow(NamedTuple):
    """Consecutive rows of the table.

    Attributes:
        number: From 0.
        items: The usable rows, in order.
        failures: The others, in order.
    """

    number: int
    items: tuple[StreamedItem, ...]
    failures: tuple[RowFailure, ...]

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return len(self.items) + len(self.failures)


class ItemStream:
    """The items of a dataset folder, or of one table.

    Args:
        root: The dataset folder.
        window_rows: Rows of the table in a window, the unusable ones included; at least 1.
        table: This table instead of the folder's own.

    Attributes:
        file: Name of the items table.

    Raises:
        NotFoundError: there is no such folder or table.
        InvalidDatasetError: there is no items table, or it cannot be read, or has no `item_id`; while iterating,
            it is empty or breaks off.
    """

    def __init__(self, root: Path, window_rows: int, *, table: Path | None = None) -> None:
        check_number("window_rows", window_rows, low=1)
        self._rows = open_table(root, "items", ("item_id",)) if table is None else _open_file(table, ("item_id",))
        self._window_rows = window_rows
        self._columns: dict[str, None] = {}
        self.file = self._rows.path.name
        for name in self._rows.columns or ():
            self._columns.setdefault(name)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns seen so far; in JSON Lines, later rows can add more."""
        return tuple(self._columns)

    def estimate(self) -> int:
        """About how many rows there are: exact in Parquet, an upper bound elsewhere. Reads the file once."""
        return self._rows.estimate()

    def windows(self, scratch: Path | None = None) -> Iterator[ItemWindow]:
        """All windows, from the first.

        Args:
            scratch: File for the ids seen so far; replaced if it exists. None: a temporary file.
        """
        with _SeenIds(scratch) as seen:
            number, rows = 0, []
            for row in self._rows:
                rows.append(row)
                if len(rows) == self._window_rows:
                    yield self._window(number, rows, seen)
                    number, rows = number + 1, []
            if rows:
                yield self._window(number, rows, seen)
            elif number == 0:
                raise InvalidDatasetError(
                    f"the table {str(self._rows.path)!r} has no rows; a catalogue needs at least one item"
                )

    def _window(self, number: int, rows: list[RawRow], seen: _SeenIds) -> ItemWindow:
        failures: dict[int, RowFailure] = {}
        for index, row in enumerate(rows):
            for name in row.values:
                self._columns.setdefault(name)
            problem = row.problem or _row_problem(row)
            if problem is not None:
                item_id = row.values.get("item_id", "")[:MAX_ID_CHARS]
                failures[index] = self._failure(row.line, item_id, problem.column, problem.message)
        usable = [(index, row) for index, row in enumerate(rows) if index not in failures]
        first_lines = seen.add([(row.values["item_id"], row.line) for _, row in usable])
        items = []
        attributes = [name for name in self._columns if name not in OWN_COLUMNS]
        for (index, row), first in zip(usable, first_lines, strict=True):
            values = row.values
            if first != row.line:
                file, line = self._rows.place(first)
                where = str(line) if file == self.file else f"{file}:{line}"
                message = f"item_id {quoted(values['item_id'])} was there before, at {where}; keep one row per item"
                failures[index] = self._failure(row.line, values["item_id"], "item_id", message)
                continue
            items.append(
                StreamedItem(
                    row.line,
                    values["item_id"],
                    values.get("title", ""),
                    values.get("description", ""),
                    values.get("image", ""),
                    {name: values.get(name, "") for name in attributes},
                    row.picture,
                )
            )
        return ItemWindow(number, tuple(items), tuple(failures[index] for index in sorted(failures)))

    def _failure(self, line: int, item_id: str, field: str, message: str) -> RowFailure:
        file, place = self._rows.place(line)
        return RowFailure(line, item_id, field, message if file == self.file else f"{file}:{place}: {message}")


def open_table(root: Path, stem: str, required: tuple[str, ...]) -> RowStream:
    """Open the table of this name, and check its columns where it has a header or a schema.

    Raises:
        NotFoundError: there is no such folder.
        InvalidDatasetError: there is no such table, or two, or it cannot be read, or a column is missing.
    """
    check_folder(root, f"{stem}.*")
    path = usable_table(root, stem)
    if path is None:
        named = "".join(f"; {problem}" for problem in folder_problems(root) if problem.kind == "misnamed table")
        raise InvalidDatasetError(
            f"there is no {stem} table in {str(root)!r}; add one of {stem}.* with the suffix {FORMAT_WORDS}{named}"
        )
    return _open_file(path, required)


def open_rows(path: Path, stem: str, required: tuple[str, ...]) -> RowStream:
    """Open a table by its own path, or the table of this name in a folder; errors as of `open_table`."""
    return _open_file(path, required) if is_table(path) else open_table(path, stem, required)


def _open_file(path: Path, required: tuple[str, ...]) -> RowStream:
    if not path.exists():
        raise NotFoundError(f"there is no file {str(path)!r}; name a table")
    if not table_parts(path):
        raise InvalidDatasetError(
            f"the table {str(path)!r} has none of the suffixes {FORMAT_WORDS}; save it as one of them"
        )
    rows = RowStream(path)
    for column in required if rows.columns is not None else ():
        if column not in (rows.columns or ()):
            raise InvalidDatasetError(f"the table {str(path)!r} has {missing_column(column, rows.columns or ())}")
    return rows


def _row_problem(row: RawRow) -> Problem | None:
    """Why a readable row is no item; None for a good one."""
    item_id = row.values.get("item_id", "")
    if not item_id.strip():
        return Problem("", row.line, "item_id", "empty item id", "item_id is empty; every item needs an id")
    for name, value in row.values.items():
        message = limit_problem(name, value)
        if message:
            return Problem("", row.line, name, "over a limit", message)
    return None


class _SeenIds:
    """Ids with their first line, on disk."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.unlink(missing_ok=True)
        self._path = path
        # '' is a temporary file of SQLite. Reading that is given up half-way is closed by the thread that collects it.
        self._db = sqlite3.connect("" if path is None else path, isolation_level=None, check_same_thread=False)
        for line in (
            "PRAGMA journal_mode = OFF",
            "PRAGMA synchronous = OFF",
            "PRAGMA cache_size = -16384",
            "CREATE TABLE ids (id TEXT PRIMARY KEY, line INTEGER NOT NULL) WITHOUT ROWID",
        ):
            self._db.execute(line)

    def __enter__(self) -> _SeenIds:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def add(self, entries: list[tuple[str, int]]) -> list[int]:
        """Add ids with their lines; returns the first line of each id."""
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR IGNORE INTO ids VALUES (?, ?)", entries)
        self._db.execute("COMMIT")
        lines: dict[str, int] = {}
        for at in range(0, len(entries), _MAX_QUERY_IDS):
            part = [item_id for item_id, _ in entries[at : at + _MAX_QUERY_IDS]]
            marks = ",".join("?" * len(part))
            lines.update(self._db.execute(f"SELECT id, line FROM ids WHERE id IN ({marks})", part))
        return [lines[item_id] for item_id, _ in entries]
