"""Writes dataset folders atomically, with tables in any of the formats.

Knows nothing of where the rows come from. Tables are written in batches, so that an importer holds only a part of a
large file; the folder is renamed to its name when everything in it is written.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from mmrec.data.table_files import FORMATS, TABLES
from mmrec.errors import InvalidArgumentError, InvalidDatasetError
from mmrec.runtime.disk_errors import refusals_as_errors

_BATCH = 50_000
"""Rows of `TableWriter.add` that are written together."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something of a source that is not in the dataset.

    Attributes:
        kind: ``row``, ``value``, ``column`` or ``file``.
        what: Which rows or values, and why; the name of a column or file.
        count: Rows; values that are not empty; 1 for a file.
        example: The first of them, and where it stands; '' where there is none.
    """

    kind: str
    what: str
    count: int
    example: str

    def __str__(self) -> str:
        if self.kind == "file":
            return f"left out file {self.what!r}"
        first = f", the first: {self.example}" if self.example else ""
        unit = ("row" if self.kind == "row" else "value") + ("" if self.count == 1 else "s")
        if self.kind == "column":
            return f"left out column {self.what!r} ({self.count:,} {unit}{first})"
        return f"left out {self.count:,} {unit}: {self.what}{first}"


class PictureHost(NamedTuple):
    """A host of pictures named by URL, and the number of items whose first picture it has."""

    host: str
    pictures: int


class ImportSummary(NamedTuple):
    """What an importer wrote.

    Attributes:
        out: The dataset folder.
        items: Rows written.
        users: Users that have events.
        events: Rows written.
        dropped: Rows of the source that are not in the dataset.
        notes: Sentences for the user, with all of `left_out`.
        left_out: What of the source is not in the dataset, by kind.
        picture_hosts: Hosts of the pictures named by URL, most pictures first.
    """

    out: Path
    items: int
    users: int
    events: int
    dropped: int = 0
    notes: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    picture_hosts: tuple[PictureHost, ...] = ()


class TableWriter:
    """Writes one table in batches; the suffix of the path chooses the format.

    Args:
        path: Ends in ``.parquet``, ``.csv``, ``.tsv`` or ``.jsonl``.
        columns: Names and pyarrow types of the columns, in order.
    """

    def __init__(self, path: Path, columns: Mapping[str, Any]) -> None:
        self.rows = 0
        self.schema = pa.schema(list(columns.items()))
        self._added: list[Mapping[str, Any]] = []
        self._suffix = path.suffix.removeprefix(".")
        self._text = None
        if self._suffix == "parquet":
            self._arrow = pq.ParquetWriter(path, self.schema)
        elif self._suffix == "csv":
            self._arrow = pa_csv.CSVWriter(path, self.schema)
        elif self._suffix in ("tsv", "jsonl"):
            self._text = path.open("w", encoding="utf-8", newline="\n")
            if self._suffix == "tsv":
                self._text.write("\t".join(_tsv(name) for name in columns) + "\n")
        else:
            raise InvalidArgumentError(
                f"{path.name!r} has no known table format; use one of {', '.join(FORMATS)}", field="format"
            )

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one row, null in a column that it lacks; it is written with others, at the latest by `close`."""
        self._added.append(row)
        if len(self._added) == _BATCH:
            self._write_added()

    def write(self, batch: Any) -> None:
        """Add rows: a pyarrow table or batch, or sequences by column name."""
        if isinstance(batch, Mapping):
            batch = pa.table({field.name: pa.array(batch[field.name], field.type) for field in self.schema})
        elif isinstance(batch, pa.RecordBatch):
            batch = pa.Table.from_batches([batch])
        batch = batch.select(self.schema.names).cast(self.schema)
        self.rows += batch.num_rows
        if self._text is None:
            self._arrow.write_table(batch)
        elif self._suffix == "tsv":
            columns = [column.to_pylist() for column in batch.columns]
            self._text.writelines("\t".join(map(_tsv, row)) + "\n" for row in zip(*columns, strict=True))
        else:
            self._text.writelines(
                json.dumps({name: value for name, value in row.items() if value is not None}, ensure_ascii=False) + "\n"
                for row in batch.to_pylist()
            )

    def _write_added(self) -> None:
        if self._added:
            self.write(pa.Table.from_pylist(self._added, self.schema))
            self._added.clear()

    def close(self) -> None:
        """Finish the file."""
        self._write_added()
        (self._arrow if self._text is None else self._text).close()

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_table(path: Path, table: Any) -> None:
    """Write a pyarrow table; the suffix of the path chooses the format."""
    with TableWriter(path, {field.name: field.type for field in table.schema}) as writer:
        writer.write(table)


def _tsv(value: object) -> str:
    """One value for a format that has no quoting: tabs and line breaks become spaces."""
    text = "" if value is None else str(value)
    return text.replace("\t", " ").replace("\r\n", " ").replace("\n", " ").replace("\r", " ")


@contextmanager
def dataset_folder(out: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder that becomes `out` when the block succeeds, and is removed otherwise.

    Args:
        out: Where the dataset shall be.
        overwrite: Replace the tables of a dataset that is there. Its pictures and other files stay.

    Raises:
        InvalidDatasetError: `out` is a file, holds something and `overwrite` is off, or holds something that
            is no dataset.
        FailedPreconditionError: the disk is full, or refuses otherwise.
    """
    _check_free(out, overwrite)
    with refusals_as_errors(path=out):
        out.parent.mkdir(parents=True, exist_ok=True)
        staging = out.parent / f".{out.name}.importing-{secrets.token_hex(4)}"
        try:
            staging.mkdir()
            yield staging
            if out.is_dir() and any(out.iterdir()):
                _replace_tables(staging, out)
            else:
                staging.replace(out)  # rename replaces an empty folder
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _check_free(out: Path, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise InvalidDatasetError(f"{str(out)!r} is a file; name a folder that does not exist yet")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not overwrite:
        raise InvalidDatasetError(
            f"{str(out)!r} is not empty; name another folder, or pass --overwrite to replace its tables"
        )
    if not _tables(out):
        raise InvalidDatasetError(
            f"{str(out)!r} holds files but no dataset, so --overwrite leaves it alone; name another folder"
        )


def _replace_tables(staging: Path, out: Path) -> None:
    new = [path.name for path in staging.iterdir()]
    for old in _tables(out):
        if old.name not in new:
            old.unlink()
    for name in new:
        (staging / name).replace(out / name)


def _tables(folder: Path) -> Sequence[Path]:
    return [path for path in folder.iterdir() if path.is_file() and path.name.split(".")[0] in TABLES]
