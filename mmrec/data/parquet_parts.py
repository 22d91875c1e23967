"""Reads the columns of a Parquet file in batches of rows, and reports rows with values that are not valid text.

Encoded pictures can be in the table itself: a binary column ``image_bytes`` or ``image``, or a column ``image`` of
structs with the fields ``bytes`` and ``path``. Knows nothing else of what the columns mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from mmrec.data.arrow_text import TEXT, as_text, plain_array
from mmrec.errors import InvalidDatasetError

_PICTURE_COLUMNS = ("image_bytes", "image")
_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError, ValueError)
_UNREADABLE = "is not a readable Parquet file; write it again, or export it as CSV"


class ParquetBatch(NamedTuple):
    """Consecutive rows.

    Attributes:
        columns: pyarrow arrays by name: numbers, booleans, dates and timestamps in their own types, others as text.
        pictures: Encoded pictures of the rows; None where the table has none, or they were not requested.
        bad: Column and message by row index, for rows with a value that is not valid text.
    """

    columns: dict[str, Any]
    pictures: Any | None
    bad: dict[int, tuple[str, str]]


class ParquetPart:
    """One Parquet file.

    Args:
        path: The file.

    Attributes:
        names: Every column, as the file has them.
        columns: Those that hold no picture.
        floats: Those that hold floating-point numbers.
        picture: The column that holds encoded pictures; '' for none.
        rows: Number of rows.

    Raises:
        InvalidDatasetError: it cannot be read. The message lacks the file's name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with pq.ParquetFile(path) as file:
                schema, self.rows = file.schema_arrow, file.metadata.num_rows
                self.names = list(schema.names)
        except _ERRORS as err:
            raise InvalidDatasetError(_UNREADABLE) from err
        self.picture = next((name for name in _PICTURE_COLUMNS if _holds_pictures(schema, name)), "")
        self.columns = [name for name in self.names if name != self.picture or name == "image"]
        self.floats = [field.name for field in schema if pa.types.is_floating(field.type)]
        self._paths = self.picture == "image" and pa.types.is_struct(schema.field("image").type)

    def batches(self, rows: int, *, pictures: bool) -> Iterator[ParquetBatch]:
        """All rows, in batches of `rows`.

        Raises:
            InvalidDatasetError: the file is damaged after the rows read so far.
        """
        read = 0
        wanted = [name for name in self.names if name != self.picture]
        if self.picture and (pictures or self._paths):
            wanted.append(self.picture if pictures else "image.path")
        try:
            with pq.ParquetFile(self._path, buffer_size=2**20 if pictures else 0, pre_buffer=False) as file:
                for batch in file.iter_batches(batch_size=rows, columns=wanted, use_threads=not pictures):
                    yield self._batch(batch)
                    read += batch.num_rows
        except _ERRORS as err:
            message = f"is damaged behind row {read:,}; write it again" if read else _UNREADABLE
            raise InvalidDatasetError(message) from err

    def _batch(self, batch: Any) -> ParquetBatch:
        columns: dict[str, Any] = {}
        pictures, paths = None, None
        bad: dict[int, tuple[str, str]] = {}
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name != self.picture:
                columns[name] = _checked(name, column, bad)
                continue
            if pa.types.is_struct(column.type):
                inner = [field.name for field in column.type]
                paths = _checked(name, column.field("path"), bad) if "path" in inner else None
                column = column.field("bytes") if "bytes" in inner else None
            pictures = column
        if self.picture == "image":
            columns["image"] = as_text(paths) if paths is not None else pa.array([""] * batch.num_rows, TEXT)
        return ParquetBatch({name: columns[name] for name in self.columns}, pictures, bad)


def _checked(name: str, column: Any, bad: dict[int, tuple[str, str]]) -> Any:
    """A column of numbers, booleans, dates or timestamps as it is, any other as text; invalid rows go to `bad`."""
    try:
        column.validate(full=True)  # reading does not validate the bytes of strings
        column = plain_array(column)
        kind = column.type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
            return column
        return column if pa.types.is_date(kind) or pa.types.is_timestamp(kind) else as_text(column)
    except _ERRORS:
        pass
    texts: list[str] = []
    for row in range(len(column)):
        value = column.slice(row, 1)
        try:
            texts.append(as_text(value)[0].as_py())
        except _ERRORS:
            bad.setdefault(row, (name, _not_text(name, value)))
            texts.append("")
    return pa.array(texts, TEXT)


def _not_text(name: str, value: Any) -> str:
    kind = value.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        value = value.cast(pa.large_binary(), safe=False)
    data = value[0].as_py() if "binary" in str(value.type) else None
    if isinstance(data, bytes):
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as err:
            return f"byte 0x{data[err.start]:02x} in {name!r} is not UTF-8; write the table again as UTF-8"
    return f"the value of {name!r}, of type {kind}, cannot be read as text; cast the column to string"


def _holds_pictures(schema: Any, name: str) -> bool:
    if schema.names.count(name) != 1:
        return False
    kind = schema.field(name).type
    if pa.types.is_struct(kind):
        kind = next((field.type for field in kind if field.name == "bytes"), pa.null())
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))
