"""The work folder of a fit: results of finished stages, so that a fit that was killed goes on where it stopped.

Knows nothing about what the stages do. A folder belongs to one dataset and configuration: another key starts clean.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from mmrec.data.files import replace_file

__all__ = ["WorkFolder", "dataset_fingerprint"]

Tensors = dict[str, npt.NDArray[Any]]


def dataset_fingerprint(root: Path) -> str:
    """Hash of the bytes of the tables and settings, and of every picture's name, size and time of change. 64 digits."""
    digest = hashlib.sha256()
    for path in sorted(root.iterdir()):
        if path.is_file() and path.name.partition(".")[0] in ("items", "events", "users", "dataset"):
            digest.update(path.name.encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    pictures = [root / "images.zip", *sorted((root / "images").rglob("*"))]
    for path in pictures:
        if path.is_file():
            status = path.stat()
            digest.update(f"{path.relative_to(root)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


class WorkFolder:
    """Results of finished stages of one fit.

    Args:
        folder: Made if it is not there; emptied if it belongs to another fit.
        key: What the results depend on; any JSON object.

    Attributes:
        folder: Where the results are.
        resumed: Whether an earlier run of the same fit left results here.
    """

    def __init__(self, folder: Path, key: dict[str, Any]) -> None:
        self.folder = folder
        self.resumed = False
        text = json.dumps(key, sort_keys=True)
        marker = folder / "key.json"
        if marker.exists() and marker.read_text(encoding="utf-8") == text:
            self.resumed = True
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        replace_file(marker, lambda path: path.write_text(text, encoding="utf-8"))

    def tensors(self, name: str, make: Callable[[], Tensors]) -> Tensors:
        """What an earlier run stored under `name`, or what `make` makes now."""
        path = self.folder / f"{name}.safetensors"
        if path.exists():
            try:
                return load_file(path)
            except (SafetensorError, OSError, ValueError):
                # Not ours to trust: a disk that lost a write. Making it again costs time, not correctness.
                path.unlink()
        made = {key: np.ascontiguousarray(value) for key, value in make().items()}
        replace_file(path, lambda temporary: save_file(made, temporary))
        return made

    def sub(self, name: str) -> WorkFolder:
        """A folder for a part of the work, with the same key."""
        child = object.__new__(WorkFolder)
        child.folder = self.folder / name
        child.resumed = self.resumed
        child.folder.mkdir(exist_ok=True)
        return child

    def remove(self) -> None:
        """The fit is published: nothing of this is needed again."""
        # Renamed first, so that a kill half-way through the removal leaves nothing that looks whole.
        trash = self.folder.with_name(f"{self.folder.name}.{os.getpid()}.trash")
        self.folder.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)
