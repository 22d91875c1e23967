"""Cache keys of the stages of a fit: hashes of their inputs.

A key hashes the content (texts as the encoder gets them, bytes of pictures, events as catalogue rows) and not the
files: rewriting a table with the same content changes no key. Knows nothing about what the stages do.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import mmrec
from mmrec.data.interactions import Interactions
from mmrec.data.pictures import PictureStore
from mmrec.data.splits import Split
from mmrec.errors import InvalidImageError
from mmrec.runtime.progress import NO_PROGRESS, Progress

_THREADS = 16
_AT_ONCE = 256


def stage_key(stage: str, **parts: Any) -> str:
    """The key of a stage that reads these parts: digests, and anything that JSON has. 64 hex digits."""
    text = json.dumps([mmrec.__version__, stage, parts], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def texts_digest(texts: Sequence[str], has_words_N: npt.NDArray[np.bool_]) -> str:
    """Hash of the words of all items, in their order, and of which items have any. 64 hex digits."""
    digest = hashlib.sha256(np.packbits(has_words_N).tobytes())
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def pictures_digest(refs: Sequence[str], pictures: PictureStore, progress: Progress = NO_PROGRESS) -> str:
    """Hash of the bytes of every item's picture, in the order of the items. 64 hex digits.

    Reading costs about a hundredth of encoding, and a copied or unpacked picture keeps its hash.
    """

    def one(ref: str) -> bytes:
        try:
            data = pictures.read(ref)
        except InvalidImageError as err:
            return b"!" + err.message.encode("utf-8", "surrogatepass")
        return b"-" if data is None else hashlib.sha256(data).digest()

    rows = [row for row, ref in enumerate(refs) if ref]
    digest = hashlib.sha256(len(refs).to_bytes(8, "little"))
    progress.start("looking at the pictures", len(rows), "pictures")
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1), thread_name_prefix="mmrec-pictures") as pool:
        for at in range(0, len(rows), _AT_ONCE):
            some = rows[at : at + _AT_ONCE]
            for row, found in zip(some, pool.map(one, [refs[row] for row in some]), strict=True):
                digest.update(row.to_bytes(8, "little") + len(found).to_bytes(8, "little") + found)
            progress.advance(len(some))
    progress.finish()
    return digest.hexdigest()


def array_digest(*arrays: npt.NDArray[Any] | None) -> str:
    """Hash of the types, shapes and contents of arrays, in their order. 64 hex digits."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(b"none" if array is None else f"{array.dtype}{array.shape}".encode())
        if array is not None:
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def events_digest(events: Interactions) -> str:
    """Hash of who did what and when, as catalogue rows. 64 hex digits."""
    return array_digest(events.offsets_U, events.items_E, events.times_E, events.ratings_E)


def questions_digest(questions: Split) -> str:
    """Hash of held-out questions and their answers. 64 hex digits."""
    return array_digest(questions.targets_U, *questions.histories)


def folder_digest(folder: str) -> str:
    """Hash of the names, sizes and times of change of a model folder's files; empty for what is no folder here."""
    root = Path(folder)
    if not folder or not root.is_dir():
        return ""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    lines = [f"{path.relative_to(root)}\0{path.stat().st_size}\0{path.stat().st_mtime_ns}\n" for path in files]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
