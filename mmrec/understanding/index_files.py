"""A vector index on disk: a JSON description, and for approximate kinds a faiss file with its hash.

Knows nothing about searching. A faiss file declares the sizes of its parts, and faiss allocates them unchecked. So it
reads a file only if its size and SHA-256 are those in the description, and may not allocate more than the file's size.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import faiss

from mmrec.errors import BundleError, NotFoundError

Kind = Literal["exact", "hnsw", "ivf"]

_FORMAT = 1
_KINDS = {"exact": (), "hnsw": ("degree", "effort"), "ivf": ("effort", "lists")}
_MAX_JSON_BYTES = 1_000_000
_DISK_FULL_BYTES = 1 << 20
_REMEDY = "build the index again"
_limit_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class IndexDescription:
    """Kind and parameters of an index, and what was measured when it was built.

    Attributes:
        kind: ``exact``, ``hnsw`` or ``ivf``.
        items: Vectors in it.
        dimension: Their length.
        parameters: Of the kind: ``effort`` (HNSW: efSearch; IVF: nprobe), ``degree``
            (HNSW), ``lists`` (IVF).
        recall: Share of the exact ten nearest that a search finds, mean over the measured queries; 1 when exact.
        target_recall: The recall it was tuned for.
        measured_queries: Queries it was measured on; 0 when exact.
        build_seconds: Wall time of building and measuring.
        index_bytes_per_item: Memory of the index beside the vectors.
        bytes_per_item: The same with the vectors.
        why: Reason for this kind, as a sentence.
    """

    kind: Kind
    items: int
    dimension: int
    parameters: Mapping[str, int] = field(default_factory=dict)
    recall: float = 1.0
    target_recall: float = 1.0
    measured_queries: int = 0
    build_seconds: float = 0.0
    index_bytes_per_item: float = 0.0
    bytes_per_item: float = 0.0
    why: str = ""


def write_index(folder: Path, name: str, description: IndexDescription, approximate: Any) -> list[Path]:
    """Write the description and the index; returns the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {"format": _FORMAT, **asdict(description), "file": None}
    written = [folder / f"{name}.json"]
    if approximate is not None:
        path = folder / f"{name}.faiss"
        _write_faiss(path, approximate)
        document["file"] = {"bytes": path.stat().st_size, "sha256": _digest(path)}
        written.append(path)
    written[0].write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return written


def _write_faiss(path: Path, index: Any) -> None:
    try:
        faiss.write_index(index, str(path))
    except RuntimeError as err:
        # faiss does not report why a write failed.
        full = shutil.disk_usage(path.parent).free < _DISK_FULL_BYTES
        number = errno.ENOSPC if full else errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from err


def read_index(folder: Path, name: str, items: int, dimension: int) -> tuple[IndexDescription, Any]:
    """The description and the index, None for an exact one.

    Raises:
        NotFoundError: there is no description of this name.
        BundleError: a file is damaged, or belongs to other vectors.
    """
    path = folder / f"{name}.json"
    document = _read_document(path)
    description = _parse_description(path, document)
    if (description.items, description.dimension) != (items, dimension):
        raise BundleError(
            f"{path} describes {description.items:,} vectors of {description.dimension} dimensions, and there are "
            f"{items:,} of {dimension}; the parts come from different bundles: {_REMEDY}"
        )
    if description.kind == "exact":
        return description, None
    return description, _read_faiss(folder / f"{name}.faiss", document.get("file"), description)


def _read_document(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_JSON_BYTES)
    except FileNotFoundError as err:
        raise NotFoundError(f"there is no index description {str(path)!r}; {_REMEDY}") from err
    except OSError as err:
        raise BundleError(f"{path} cannot be read ({err.strerror}); {_REMEDY}") from err
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as err:
        raise BundleError(f"{path} is not readable JSON; {_REMEDY}") from err
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise BundleError(f"{path} is no index description of format {_FORMAT}; {_REMEDY}")
    return document


def _parse_description(path: Path, document: dict[str, Any]) -> IndexDescription:
    try:
        kind = document["kind"]
        parameters = {str(key): _whole(value) for key, value in document["parameters"].items()}
        if tuple(sorted(parameters)) != _KINDS[kind]:
            raise ValueError("parameters")
        return IndexDescription(
            kind=kind,
            items=_whole(document["items"]),
            dimension=_whole(document["dimension"]),
            parameters=parameters,
            recall=_finite(document["recall"]),
            target_recall=_finite(document["target_recall"]),
            measured_queries=_whole(document["measured_queries"], least=0),
            build_seconds=_finite(document["build_seconds"]),
            index_bytes_per_item=_finite(document["index_bytes_per_item"]),
            bytes_per_item=_finite(document["bytes_per_item"]),
            why=str(document["why"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        raise BundleError(f"{path} lacks a field of an index description, or has a strange one; {_REMEDY}") from err


def _whole(value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**40:
        raise ValueError(value)
    return value


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(value)
    return float(value)


def _read_faiss(path: Path, recorded: Any, description: IndexDescription) -> Any:
    wanted = (recorded.get("bytes"), recorded.get("sha256")) if isinstance(recorded, dict) else (None, None)
    try:
        size = path.stat().st_size
        found = (size, _digest(path) if size == wanted[0] else "")
    except OSError as err:
        raise BundleError(f"{path} cannot be read ({err.strerror}); {_REMEDY}") from err
    if found != wanted:
        raise BundleError(
            f"{path} is not the file that was written with its description (size or hash differ); {_REMEDY}"
        )
    try:
        with _allocation_limit(size):
            index: Any = faiss.read_index(str(path))
    except RuntimeError as err:
        raise BundleError(f"{path} is not a readable faiss index; {_REMEDY}") from err
    expected: type = faiss.IndexHNSWSQ if description.kind == "hnsw" else faiss.IndexIVFScalarQuantizer
    fits = isinstance(index, expected)
    if (
        not fits
        or (index.ntotal, index.d) != (description.items, description.dimension)
        or index.metric_type != faiss.METRIC_INNER_PRODUCT
        or (description.kind == "ivf" and index.nlist != description.parameters["lists"])
    ):
        raise BundleError(f"{path} holds another index than its description says; {_REMEDY}")
    return index


@contextmanager
def _allocation_limit(size: int) -> Iterator[None]:
    """Limit a part to the size of the whole file while reading. Older versions of faiss have no such limit."""
    if not hasattr(faiss, "set_deserialization_vector_byte_limit"):
        yield
        return
    with _limit_lock:
        before = faiss.get_deserialization_vector_byte_limit()
        faiss.set_deserialization_vector_byte_limit(size)
        try:
            yield
        finally:
            faiss.set_deserialization_vector_byte_limit(before)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
