"""The work folder of a fit: results of finished stages with the keys of their inputs.

One result a stage. A stage whose key is the same finds its result; one whose key has changed makes its own and then
takes the old one's place, whatever the keys of the other stages are. Knows nothing about what the stages do.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from mmrec.data.settings import SETTINGS_FILE
from mmrec.data.table_files import TABLES, table_files
from mmrec.errors import BundleError
from mmrec.runtime.files import replace_file
from mmrec.runtime.progress import NO_PROGRESS, Progress

Tensors = dict[str, npt.NDArray[Any]]
T = TypeVar("T")

_KEY_DIGITS = 32


WORK = ".fit"
"""Folder of the results, in the bundle's folder."""


def dataset_fingerprint(root: Path) -> str:
    """Hash of the bytes of tables and settings, and of pictures' names, sizes and times of change. 64 hex digits."""
    digest = hashlib.sha256()
    tables = [path for stem in TABLES for path in table_files(root, stem)]
    for path in (*tables, root / SETTINGS_FILE):
        if path.is_file():
            digest.update(path.relative_to(root).as_posix().encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    pictures = [root / "images.zip", *sorted((root / "images").rglob("*"))]
    for path in pictures:
        if path.is_file():
            status = path.stat()
            digest.update(f"{path.relative_to(root)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


class WorkFolder:
    """Results of finished stages, from this fit or earlier ones into the same bundle folder.

    Args:
        folder: Made when the first result is stored.
        progress: Reports every stage whose result is there.

    Attributes:
        folder: Where the results are: ``STAGE.KEY.safetensors``.
    """

    def __init__(self, folder: Path, progress: Progress = NO_PROGRESS) -> None:
        self.folder = folder
        self._progress = progress

    def load(self, name: str, key: str, read: Callable[[Path], T]) -> T | None:
        """The result of a stage as `read` reads it; None when there is none for this key, or it is damaged."""
        path = self._path(name, key)
        if not path.exists():
            return None
        try:
            found = read(path)
        except (BundleError, SafetensorError, OSError, ValueError):
            # A damaged file is made again.
            path.unlink()
            return None
        self._progress.start(f"kept from an earlier fit: {name}")
        self._progress.finish()
        return found

    def store(self, name: str, key: str, write: Callable[[Path], object]) -> None:
        """Store a stage's result with `write`, and remove its results with other keys."""
        path = self._path(name, key)
        self.folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, write)
        for other in self.folder.glob(f"{name}.*.safetensors"):
            if other != path:
                other.unlink(missing_ok=True)

    def tensors(self, name: str, key: str, make: Callable[[], Tensors]) -> Tensors:
        """What an earlier run stored for a stage and key, or what `make` makes now."""
        found = self.load(name, key, load_file)
        if found is not None:
            return found
        made = {part: np.ascontiguousarray(value) for part, value in make().items()}
        self.store(name, key, lambda temporary: save_file(made, temporary))
        return made

    def sub(self, name: str) -> WorkFolder:
        """The folder of a part of the work."""
        return WorkFolder(self.folder / name, self._progress)

    def tidy(self) -> None:
        """Remove partial files of a killed run; only for the single writer."""
        for left in self.folder.rglob(".*.tmp"):
            left.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def keep(self, names: Collection[str]) -> None:
        """Remove everything but the results of these stages and the folders of these names."""
        for entry in self.folder.iterdir() if self.folder.is_dir() else ():
            if entry.is_dir() and entry.name not in names:
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.is_file() and (entry.suffix != ".safetensors" or entry.name.partition(".")[0] not in names):
                entry.unlink(missing_ok=True)

    def _path(self, name: str, key: str) -> Path:
        return self.folder / f"{name}.{key[:_KEY_DIGITS]}.safetensors"
