"""Finds the files that make up a table of a dataset folder: one file, or a folder of part files.

``items``, ``events`` and ``users`` are a file ``<stem>.<format>``, also compressed (``events.csv.zst``), or a folder
``<stem>`` or ``<stem>.<format>`` of such files, as Spark and Athena write them. In a folder, names that start with
``.`` or ``_`` are skipped, subfolders are read too, and ``day=2024-05-01`` in a path is a column of its rows. The case
of suffixes does not matter. A file that is also linked is read once, and anything but a regular file (a pipe, a device)
is not read. Knows nothing of what is in the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from mmrec.data.problems import Problem
from mmrec.errors import InvalidDatasetError, NotFoundError

TABLES = ("items", "events", "users")
FORMATS = ("parquet", "csv", "tsv", "jsonl")
PACKINGS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4", ".br": "brotli"}
"""Suffix of compressed text files to the name of the compression."""
FORMAT_WORDS = ", ".join(f".{kind}" for kind in FORMATS)
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


class TableName(NamedTuple):
    """A file name taken apart: ``Events.CSV.gz`` is ``("Events", "csv", ".gz")``."""

    stem: str
    format: str
    packing: str


class Part(NamedTuple):
    """One file of a table.

    Attributes:
        path: Where it is.
        name: Its path in messages, relative to the dataset folder.
        format: One of `FORMATS`.
        packing: A key of `PACKINGS`; '' for an uncompressed file.
        values: Partition columns from folder names, with the value of all rows.
    """

    path: Path
    name: str
    format: str
    packing: str
    values: dict[str, str]


def table_name(name: str) -> TableName | None:
    """Parse the name of a table; None for any other name."""
    rest, packing = name, ""
    for suffix in PACKINGS:
        if name.lower().endswith(suffix):
            rest, packing = name[: -len(suffix)], suffix
    stem, _, kind = rest.rpartition(".")
    kind = kind.lower()
    if not stem or kind not in FORMATS or (packing and kind == "parquet"):
        return None
    return TableName(stem, kind, packing)


def is_table(path: Path) -> bool:
    """Whether a path is of a table, not of a folder that holds tables by name."""
    return path.is_file() or (table_name(path.name) is not None and bool(table_parts(path)))


def is_hidden(name: str) -> bool:
    """Whether a file is hidden or internal to a program."""
    return name.startswith((".", "_"))


def check_folder(root: Path, tables: str) -> None:
    """Check that the folder of a dataset is there; `tables` says what it holds.

    Raises:
        NotFoundError: there is no such folder.
    """
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        raise NotFoundError(f"the dataset {str(root)!r} {what}; give a folder that holds {tables}")


def usable_table(root: Path, stem: str) -> Path | None:
    """The table of this name; None where there is none.

    Raises:
        InvalidDatasetError: there are two.
    """
    path, problem = find_table(root, stem)
    if problem is not None:
        raise InvalidDatasetError(f"the dataset {str(root)!r} cannot be used: {problem.message}")
    return path


def find_table(root: Path, stem: str) -> tuple[Path | None, Problem | None]:
    """The table of this name, a file or a folder; or the problem when there are two."""
    found = sorted(path for path in root.iterdir() if _is_table(path, stem))
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        return None, Problem("", 0, "", "two tables", f"{names} are both there; keep one of them")
    return (found[0] if found else None), None


def table_files(root: Path, stem: str) -> list[Path]:
    """The files of the table of this name, in the order of reading; none where there is no table."""
    path, _ = find_table(root, stem)
    return [] if path is None else [part.path for part in table_parts(path)]


def table_parts(path: Path) -> tuple[Part, ...]:
    """The files of a table, in the natural order of their names; none for any other name."""
    if not path.is_dir():
        name = table_name(path.name)
        return () if name is None else (Part(path, path.name, name.format, name.packing, {}),)
    own = table_name(path.name)
    parts = tuple(_parts_below(path, path.name, own.format if own is not None else "", {}, ()))
    root, by_file = path.resolve(), dict[Path, Part]()
    for part in parts:
        real = part.path.resolve()
        # Of several paths to a file, the one without links gives its partition columns.
        if real not in by_file or real == root / part.path.relative_to(path):
            by_file[real] = part
    kept = {part.path for part in by_file.values()}
    return tuple(part for part in parts if part.path in kept)


def _is_table(path: Path, stem: str) -> bool:
    name = table_name(path.name)
    if path.is_dir():
        if name is not None:
            return name.stem == stem
        return path.name == stem and next(_parts_below(path, stem, "", {}, ()), None) is not None
    return name is not None and name.stem == stem and path.is_file()


def _parts_below(
    folder: Path, display_name: str, kind: str, values: dict[str, str], above: tuple[Path, ...]
) -> Iterator[Part]:
    """Parts in a folder; `above` are its resolved parent folders."""
    real = folder.resolve()
    if real in above or any(real in one.parents for one in above):
        return  # a link that leads back up
    above = (*above, real)
    for path in sorted(folder.iterdir(), key=lambda path: _natural(path.name)):
        if is_hidden(path.name):
            continue
        name = f"{display_name}/{path.name}"
        if path.is_dir():
            column, equals, value = path.name.partition("=")
            own = {unquote(column): "" if value == _HIVE_NULL else unquote(value)} if equals and column else {}
            yield from _parts_below(path, name, kind, values | own, above)
        elif (path.is_file() or not path.exists()) and (found := _part_name(path.name, kind)) is not None:
            # A broken link is a part too: one that cannot be read.
            yield Part(path, name, found.format, found.packing, values)


def _part_name(name: str, kind: str) -> TableName | None:
    """As `table_name`, but also ``.json``, as Spark names JSON lines, and parts without a suffix."""
    found = table_name(re.sub(r"\.json(?=\.[a-z0-9]+$|$)", ".jsonl", name, flags=re.IGNORECASE))
    if found is None and kind and "." not in name:
        return TableName(name, kind, "")
    return found


def _natural(name: str) -> list[tuple[int, int, str]]:
    """A key that puts ``part-2`` before ``part-10``."""
    return [(0, int(run), "") if run.isdecimal() else (1, 0, run) for run in re.split(r"([0-9]+)", name) if run]
