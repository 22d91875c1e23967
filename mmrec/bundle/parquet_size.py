"""Reads a Parquet file only as far as its decoded size is in proportion to its size on disk.

Run-length and dictionary encoding let a file of some kilobytes decode to gigabytes. A file may decode to `SLACK` bytes
and `MOST_TIMES` its own size, which the manifest has. Sizes in the metadata are checked before anything is decoded; the
size of texts of a dictionary is not in the metadata, so these columns are decoded as dictionaries first.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmrec.bundle.manifest import REMEDY
from mmrec.errors import BundleError

SLACK = 64 * 2**20
"""Bytes that any file may decode to."""
MOST_TIMES = 100
"""Bytes beyond that which a file may decode to, for each of its own bytes."""

_BATCH_ROWS = 8_192
_ENCODINGS = frozenset({"PLAIN", "RLE", "BIT_PACKED", "PLAIN_DICTIONARY", "RLE_DICTIONARY", "BYTE_STREAM_SPLIT"})
_TEXTS = frozenset({"BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"})


def decoded_limit(size: int) -> int:
    """Most bytes that a Parquet file of `size` bytes may decode to."""
    return SLACK + MOST_TIMES * size


def read_bounded(path: Path) -> pa.Table:
    """The table of a file whose decoded size is in proportion.

    Raises:
        BundleError: it is not a sound Parquet file, or decodes to more than `decoded_limit`.
    """
    most = decoded_limit(path.stat().st_size)
    try:
        with pq.ParquetFile(path) as file:
            texts = _check_metadata(path, file.metadata, most)
            schema = file.schema_arrow
        batches, decoded = [], 0
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            for batch in file.iter_batches(_BATCH_ROWS):
                decoded += _decoded_bytes(batch)
                _check(path, decoded, most)
                batches.append(pa.Table.from_batches([batch]).cast(schema))
        return pa.concat_tables(batches) if batches else schema.empty_table()
    except (OSError, pa.ArrowException) as err:
        raise BundleError(f"{path} is not a readable Parquet file: {REMEDY}") from err


def _check_metadata(path: Path, metadata: pq.FileMetaData, most: int) -> list[str]:
    """Names of text columns that are to be decoded as dictionaries; checks what the metadata says of all columns."""
    texts, total = set(), 0
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            column = metadata.row_group(group).column(number)
            strange = sorted({*column.encodings} - _ENCODINGS)
            if strange:
                raise BundleError(
                    f"{path} has a column {column.path_in_schema!r:.60} with the encoding {strange[0]}; mmrec writes "
                    f"and reads {', '.join(sorted(_ENCODINGS))}: {REMEDY}"
                )
            text = column.physical_type in _TEXTS
            if text and "." in column.path_in_schema:
                # A dictionary inside a list cannot be kept as one, so each value may be as long as the column.
                total += column.num_values * column.total_uncompressed_size
            else:
                total += max(column.total_uncompressed_size, column.num_values * (4 if text else 8))
            if text:
                texts.add(column.path_in_schema)
    _check(path, total, most)
    return sorted(texts)


def _decoded_bytes(batch: pa.RecordBatch) -> int:
    """Bytes of some rows once their dictionaries are plain columns."""
    total = 0
    for column in batch.columns:
        if isinstance(column, pa.DictionaryArray):
            lengths = pc.binary_length(column.dictionary).take(column.indices)
            total += 4 * len(column) + (pc.sum(lengths.cast(pa.int64())).as_py() or 0)
        else:
            total += column.nbytes
    return total


def _check(path: Path, decoded: int, most: int) -> None:
    if decoded > most:
        raise BundleError(
            f"{path} decodes to {decoded:,} bytes; a file of its size may decode to {most:,} (64 MiB and "
            f"{MOST_TIMES} times its size): {REMEDY}"
        )
