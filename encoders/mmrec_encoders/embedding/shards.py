"""Writes and reads one shard of vectors as a Parquet file.

Equal rows give equal bytes with the same pyarrow. Dead letters are in the file's metadata, so that a shard and its dead
letters are written atomically.
"""

# Axes: N items, D dimensions

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmrec_encoders.embedding.encoding import EncodedWindow
from mmrec_encoders.embedding.windows import DeadLetter

METADATA_KEY = b"mmrec"
"""Key of the Parquet schema's metadata; its value is a JSON object."""
STORES = ("float32", "float16")
_LETTERS_KEY = b"mmrec.dead_letters"
_DIGEST_KEY = b"mmrec.sha256"
_FORMAT = 2


class Shard(NamedTuple):
    """Description of a shard file.

    Attributes:
        number: From 0.
        input: Hash of its inputs; see `windows.input_hash`.
        job: The job's description: fingerprints, dimension, store and so on.
        items: Rows.
        with_picture: Rows whose vector includes a picture.
        with_words: Rows whose vector includes words.
        dead_letters: Unusable rows and pictures.
        size: Bytes of the file.
        sha256: Of the file, 64 hex digits.
    """

    number: int
    input: str
    job: Mapping[str, Any]
    items: int
    with_picture: int
    with_words: int
    dead_letters: tuple[DeadLetter, ...]
    size: int
    sha256: str


def shard_bytes(window: EncodedWindow, job: Mapping[str, Any]) -> bytes:
    """The Parquet file of a window.

    Columns: `item_id` (string), `embedding` (fixed-size list of float32 or float16, unit norm), `has_picture` and
    `has_words` (bool).

    Args:
        window: Its rows.
        job: The job's description, with at least `store`; written to the metadata.
    """
    count, length = window.vectors_ND.shape
    kind = pa.float16() if job["store"] == "float16" else pa.float32()
    values = np.ravel(window.vectors_ND).astype(np.float16 if job["store"] == "float16" else np.float32)
    note = {
        **job,
        "format": _FORMAT,
        "shard": window.number,
        "items": count,
        "dimension": length,
        "with_picture": int(window.has_picture_N.sum()),
        "with_words": int(window.has_words_N.sum()),
        "input": window.input,
    }
    letters = json.dumps([letter._asdict() for letter in window.dead_letters]).encode()
    columns = [
        pa.array(window.item_ids, pa.string()),
        pa.FixedSizeListArray.from_arrays(pa.array(values, kind), length),
        pa.array(window.has_picture_N),
        pa.array(window.has_words_N),
    ]
    described = json.dumps(note, sort_keys=True).encode()
    schema = pa.schema(
        [
            ("item_id", pa.string()),
            ("embedding", pa.list_(kind, length)),
            ("has_picture", pa.bool_()),
            ("has_words", pa.bool_()),
        ],
        metadata={
            METADATA_KEY: described,
            _LETTERS_KEY: letters,
            _DIGEST_KEY: _digest(columns, described, letters).encode(),
        },
    )
    table = pa.table(columns, schema=schema)
    sink = pa.BufferOutputStream()
    # Floats of a unit vector do not compress.
    pq.write_table(
        table,
        sink,
        version="2.6",
        compression="NONE",
        use_dictionary=False,
        write_statistics=["item_id"],
        write_page_checksum=True,
        row_group_size=max(count, 1),
    )
    data: bytes = sink.getvalue().to_pybytes()
    return data


def read_shard(path: Path) -> Shard | None:
    """Description of a shard; None if the file is missing, damaged or not a shard."""
    try:
        data = path.read_bytes()
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        # The file's metadata, as other readers see it; pyarrow's schema has another copy.
        metadata = file.metadata.metadata
        table = file.read()
        described, lettered = metadata[METADATA_KEY], metadata[_LETTERS_KEY]
        columns = [column.combine_chunks() for column in table.columns]
        if _digest(columns, described, lettered).encode() != metadata[_DIGEST_KEY]:
            return None
        note = json.loads(described)
        letters = tuple(DeadLetter(**letter) for letter in json.loads(lettered))
        if note.pop("format") != _FORMAT or table.num_rows != note["items"]:
            return None
        return Shard(
            number=note.pop("shard"),
            input=note.pop("input"),
            items=note.pop("items"),
            with_picture=note.pop("with_picture"),
            with_words=note.pop("with_words"),
            job=note,
            dead_letters=letters,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        return None


def _digest(columns: list[Any], *metadata: bytes) -> str:
    """SHA-256 of column values and metadata, independent of the Parquet layout."""
    digest = hashlib.sha256()
    item_ids, embedding, *flags = columns
    digest.update(json.dumps(item_ids.to_pylist()).encode())
    digest.update(np.ascontiguousarray(embedding.flatten().to_numpy(zero_copy_only=False)).tobytes())
    for flag in flags:
        digest.update(flag.to_numpy(zero_copy_only=False).tobytes())
    for data in metadata:
        digest.update(data)
    return digest.hexdigest()
