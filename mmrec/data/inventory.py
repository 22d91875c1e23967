"""Finds files and columns of a dataset folder that are not read, with the reason and the remedy.

Every file at the top of the folder is one of the tables, the pictures, the settings, or named in a `Problem`: a near
miss of the name of a table that is not there is an error, anything else a warning. The same for columns: a near miss
of a column name that is not there is named with the name to use. Only names and first bytes are read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from itertools import islice
from pathlib import Path

from mmrec.data.file_signatures import HEAD_BYTES, content_problem, packing_problem
from mmrec.data.problems import Problem, quoted
from mmrec.data.settings import SETTINGS_FILE
from mmrec.data.table_files import FORMAT_WORDS, TABLES, find_table, is_hidden, table_name, table_parts

COLUMNS = {
    "items": ("item_id", "title", "description", "image"),
    "events": ("user_id", "item_id", "timestamp", "position", "event_type", "rating"),
    "users": ("user_id",),
}
"""Columns with a meaning of their own, by table."""

_TABLE_WORDS = {
    "items": "product article catalog catalogue offer listing book movie film track song sku",
    "events": "interaction order transaction purchase rating review click view feedback sale clickstream",
    "users": "customer client member visitor",
}
_COLUMN_WORDS = {
    "item_id": "id item itemid product productid product_id sku asin article article_id articleid movie_id movieid "
    "iid parent_asin item_code product_code",
    "user_id": "user userid customer customerid customer_id visitor visitorid visitor_id client_id clientid member_id "
    "session_id sessionid uid reviewerid",
    "title": "name product_title producttitle product_name productname item_name itemname item_title",
    "description": "desc text body product_description productdescription long_description details",
    "image": "picture photo img imageurl image_url image_path imagepath image_link img_url image_file filename "
    "image_name images picture_url",
    "timestamp": "time date datetime ts event_time eventtime created_at createdat unixreviewtime order_date orderdate "
    "event_date eventdate event_timestamp purchased_at t_dat",
    "position": "pos order sequence rank index step",
    "event_type": "event type action event_name eventtype behavior behaviour",
    "rating": "score stars overall star_rating rate",
}
_DATA = re.compile(
    r".*\.(txt|dat|tab|json|ndjson|pq|parq|xls|xlsx|xlsm|ods|db|sqlite3?|zip|xz|7z|gz|zst|bz2|lz4|br)", re.I
)
_IGNORED = ("thumbs.db", "desktop.ini")
_DOCUMENTS = re.compile(r"(readme|licen[cs]e|notice|changelog|citation)(\..*)?|.*\.md", re.IGNORECASE)
_PICTURES = "image imgs img picture pictures photo photos pics pic"
_NO_FILE = "it is no regular file"
_NAMES = ("images", "images.zip", SETTINGS_FILE)


def folder_problems(root: Path) -> list[Problem]:
    """Entries of a dataset folder that are not read, in the order of names."""
    tables = {}
    for stem in TABLES:
        path, several = find_table(root, stem)
        # Two tables of one name are reported by the reader of the table.
        tables[stem] = path is not None or several is not None
    problems = []
    for path in sorted(root.iterdir()):
        name = path.name
        if is_hidden(name) or name.lower() in _IGNORED or _DOCUMENTS.fullmatch(name):
            continue
        if name in _NAMES and path.is_dir() == (name == "images"):
            continue
        own = table_name(name)
        stem = own.stem if own is not None else name
        if stem in TABLES and tables[stem] and (own is not None or table_parts(path)):
            problems += _unread_parts(path)
            continue
        problems.append(_unread_problem(path, tables))
    return problems


def likely_column(column: str, columns: Iterable[str]) -> str:
    """The existing column that most likely stands for a missing one; '' for none."""
    words = _COLUMN_WORDS.get(column, "").split()
    ranks = {_normalised(word): rank for rank, word in reversed(list(enumerate([column, *words])))}
    known = {name for names in COLUMNS.values() for name in names}
    found = [name for name in columns if _normalised(name) in ranks and name not in known]
    return min(found, key=lambda name: ranks[_normalised(name)], default="")


def missing_column(column: str, columns: Collection[str]) -> str:
    """Message of a table that lacks a column, with the columns that it has and the one that may be meant."""
    found, suggestion = ", ".join(quoted(name) for name in islice(columns, 20)), likely_column(column, columns)
    remedy = f"; if {quoted(suggestion)} is it, name it {column!r}" if suggestion else ""
    return f"no column {column!r}; the columns are {found}{remedy}"


def column_problems(stem: str, file: str, columns: Iterable[str]) -> list[Problem]:
    """Columns of a table whose names are near misses of known ones.

    Args:
        stem: One of `TABLES`.
        file: Name of the table.
        columns: Its columns. Missing columns are reported by the reader of the table.
    """
    problems = []
    columns = list(columns)
    needed = {"items": ("item_id",), "events": ("user_id", "item_id"), "users": ("user_id",)}[stem]
    taken = [likely_column(column, columns) for column in needed if column not in columns]
    ordered = "timestamp" in columns or "position" in columns
    for column in COLUMNS[stem]:
        if column in columns or column in needed or (column in ("timestamp", "position") and ordered):
            continue
        name = likely_column(column, (name for name in columns if name not in taken))
        if name:
            taken.append(name)
            instead = "is read as an attribute" if stem == "items" else "is not read"
            message = f"the column {quoted(name)} {instead}; if it is the {column} of a row, name it {column!r}"
            problems.append(Problem(file, 0, name, "column name", message, severity="warning"))
    return problems


def _unread_parts(path: Path) -> list[Problem]:
    """Files in the folder of a table that are none of its parts."""
    if not path.is_dir():
        return []
    parts = {part.path for part in table_parts(path)}
    files = {part.resolve() for part in parts}
    below = (file for file in sorted(path.rglob("*")) if not file.is_dir() and file.exists() and file not in parts)
    problems = []
    for file in below:
        inside = file.relative_to(path)
        if not any(map(is_hidden, inside.parts)):
            why = f"the names of the parts of a table end in one of {FORMAT_WORDS}"
            if not file.is_file():
                why = _NO_FILE
            elif file.resolve() in files:
                why = f"it is a link to {file.resolve().name!r}, which is read already"
            message = f"is not read: {why}"
            problems.append(Problem(f"{path.name}/{inside.as_posix()}", 0, "", "file not read", message, "warning"))
    return problems


def _unread_problem(path: Path, tables: dict[str, bool]) -> Problem:
    """Why a file or folder is not read."""
    name, stem = path.name, _likely_table(path)
    if stem and not tables[stem]:
        # Training does not need the users table.
        kind, severity = ("file not read", "warning") if stem == "users" else ("misnamed table", "error")
        message = f"is not read, and there is no {stem} table; {_table_advice(path, stem)}"
        return Problem(name, 0, "", kind, message, "warning" if severity == "warning" else "error")
    picture = _picture_advice(path)
    if picture:
        return Problem(name, 0, "", "file not read", f"is not read; {picture}", "warning")
    names = f"a dataset has items.*, events.*, users.*, images/ or images.zip, and {SETTINGS_FILE}"
    return Problem(name, 0, "", "file not read", f"is not read; {names}", "warning")


def _table_advice(path: Path, stem: str) -> str:
    name = path.name
    own = table_name(name)
    if path.is_dir():
        if not table_parts(path):
            return f"it holds no table: the names of its files must end in one of {FORMAT_WORDS}"
        return f"name it {stem if own is None else f'{stem}.{own.format}'!r}"
    content = _content_problem(path)
    if content:
        return f"it {content}" + (f", as {stem}.csv" if content.endswith("as CSV") else "")
    if own is not None:
        return f"name it {f'{stem}.{own.format}{own.packing}'!r}"
    return f"name it {stem}.csv, {stem}.tsv, {stem}.jsonl or {stem}.parquet, after what it holds"


def _likely_table(path: Path) -> str:
    """The table that a file or folder most likely is; '' for none."""
    own = table_name(path.name)
    stem = own.stem if own is not None else path.name.partition(".")[0]
    for table in TABLES:
        if _normalised(stem) in (table, table.removesuffix("s")):
            return table
    if not (table_parts(path) if path.is_dir() else own is not None or _DATA.fullmatch(path.name)):
        return ""
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", stem).lower())
    for table, known in _TABLE_WORDS.items():
        ends = {table, table.removesuffix("s"), *known.split(), *(f"{word}s" for word in known.split())}
        if words and words[-1] in ends:
            return table
    return ""


def _content_problem(path: Path) -> str:
    """The problem that the first bytes of a file show; '' for none."""
    if path.exists() and not path.is_file():
        return f"cannot be read: {_NO_FILE}"
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as err:
        return f"cannot be read: {err.strerror}"
    own = table_name(path.name)
    kind, packing = (own.format, own.packing) if own is not None else ("csv", "")
    if not head:
        return "is empty"
    return packing_problem(head, path.name, packing) or ("" if packing else content_problem(head, path.name, kind))


def _picture_advice(path: Path) -> str:
    stem, _, suffix = path.name.lower().partition(".")
    if stem not in ("images", *_PICTURES.split()):
        return ""
    if path.is_dir():
        return "pictures are read from the folder 'images': name it so"
    return "pictures are read from 'images.zip' or the folder 'images': " + (
        "name it so" if suffix == "zip" else "unpack it there"
    )


def _normalised(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
