"""Loads a bundle: everything is verified before anything is parsed. Never writes, never locks.

A version folder is immutable, so an open `Bundle` stays valid while newer versions are published beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmrec.bundle.manifest import MANIFEST, REMEDY, FileEntry, Manifest, is_version, parse_manifest
from mmrec.errors import BundleError, NotFoundError

if TYPE_CHECKING:
    import pyarrow as pa

CURRENT = "CURRENT"
VERSIONS = "versions"
MAX_MANIFEST_BYTES = 64 * 1024 * 1024
MAX_JSON_DEPTH = 64
"""Levels of lists and objects in a JSON file. Parsers of several libraries recurse once for each level."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified version of a bundle.

    Attributes:
        root: The folder that was opened: a bundle root or a version folder.
        folder: The version folder.
        manifest: What is in it.
    """

    root: Path
    folder: Path
    manifest: Manifest

    @property
    def version(self) -> str:
        """The version, as in ``20260131T093000Z-0123456789ab``."""
        return self.manifest.version

    def path(self, name: str) -> Path:
        """Where a file of the manifest lies.

        Raises:
            BundleError: the manifest does not list it.
        """
        if name not in self.manifest.files:
            raise BundleError(
                f"bundle {self.version} has no file {name!r}; it has "
                f"{', '.join(sorted(self.manifest.files))}: it was made by another version of mmrec or for another "
                "purpose, so make it again"
            )
        return self.folder / name

    def read_text(self, name: str) -> str:
        """A UTF-8 text file.

        Raises:
            BundleError: not listed, or not UTF-8.
        """
        path = self.path(name)
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as err:
            raise BundleError(f"{path} cannot be read as text: {REMEDY}") from err

    def read_json(self, name: str) -> Any:
        """A JSON file.

        Raises:
            BundleError: not listed, or not JSON.
        """
        text = self.read_text(name)
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as err:
            raise BundleError(f"{self.path(name)} is not readable JSON: {REMEDY}") from err

    def read_tensors(self, name: str) -> dict[str, np.ndarray]:
        """A safetensors file, as arrays by name.

        Raises:
            BundleError: not listed, or not a sound safetensors file.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = self.path(name)
        try:
            return load_file(path)
        except (OSError, SafetensorError, ValueError, KeyError) as err:
            raise BundleError(f"{path} is not a readable safetensors file: {REMEDY}") from err

    def read_table(self, name: str) -> pa.Table:
        """A Parquet file.

        Raises:
                BundleError: not listed, not a sound Parquet file, or far larger when decoded than its size allows; see
                `mmrec.bundle.parquet_size`.
        """
        from mmrec.bundle.parquet_size import read_bounded

        return read_bounded(self.path(name))


def open_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Verify a bundle and open it.

    Args:
        path: A bundle root (its CURRENT version is opened) or one version folder.

    Raises:
        NotFoundError: there is no such folder.
        BundleError: nothing is published there yet, or the version is damaged, mixed, incomplete or of an
            unknown format. The message names the file, what was expected and found, and the remedy.
    """
    root = Path(path)
    if not root.is_dir():
        raise NotFoundError(f"there is no bundle folder {str(root)!r}; make one with `mmrec fit DATASET --out {root}`")
    if (root / MANIFEST).is_file():
        folder, expected = root, None
    else:
        expected = _current_version(root)
        folder = root / VERSIONS / expected
    manifest = read_manifest(folder / MANIFEST)
    if expected is not None and manifest.version != expected:
        raise BundleError(
            f"{folder / MANIFEST} says version {manifest.version}, but lies in the folder of {expected}: "
            f"parts of two versions are mixed; {REMEDY}"
        )
    _verify_files(folder, manifest)
    return Bundle(root, folder, manifest)


def current_version(root: Path) -> str:
    """The version that a bundle folder names as current; nothing of it is read. For one version's folder: its name.

    Raises:
        BundleError: nothing is published there, or the pointer is damaged.
    """
    return root.name if (root / MANIFEST).is_file() else _current_version(root)


def read_manifest(path: Path) -> Manifest:
    """The manifest of a version, alone: the files that it lists are not looked at.

    Raises:
        BundleError: it is missing or damaged, or no plain file, or larger than `MAX_MANIFEST_BYTES`.
    """
    if path.is_symlink():
        raise BundleError(f"{path} is a symbolic link; a bundle holds plain files only: {REMEDY}")
    if path.exists() and not path.is_file():
        raise BundleError(f"{path} is not a plain file: {REMEDY}")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_MANIFEST_BYTES + 1)
    except OSError as err:
        raise BundleError(f"{path} is missing or cannot be read ({err.strerror}): {REMEDY}") from err
    if len(data) > MAX_MANIFEST_BYTES:
        raise BundleError(f"{path} has more than {MAX_MANIFEST_BYTES // 2**20} MiB; it is no manifest: {REMEDY}")
    return parse_manifest(data, str(path))


def list_files(folder: Path) -> set[str]:
    """Relative POSIX paths of everything below `folder` that is not a real folder."""
    found: set[str] = set()
    for parent, folders, files in os.walk(folder):
        inside = Path(parent)
        links = [name for name in folders if (inside / name).is_symlink()]
        found.update((inside / name).relative_to(folder).as_posix() for name in [*files, *links])
    return found


def hash_file(path: Path) -> FileEntry:
    """Size in bytes and sha256 of a file, read in pieces."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileEntry(digest, file.tell())


def _current_version(root: Path) -> str:
    pointer = root / CURRENT
    try:
        with pointer.open("rb") as file:
            line = file.read(256)
    except FileNotFoundError as err:
        raise BundleError(
            f"{str(root)!r} holds no published bundle (it has no {CURRENT} file); make one with "
            f"`mmrec fit DATASET --out {root}`"
        ) from err
    except OSError as err:
        raise BundleError(f"{pointer} cannot be read ({err.strerror}); it must be a file with one version") from err
    version = line.decode("utf-8", errors="replace").removesuffix("\n")
    if not is_version(version):
        raise BundleError(
            f"{pointer} says {version!r:.80}; it must be one line with the name of a folder in {VERSIONS}/, "
            f"as in 20260131T093000Z-0123456789ab{_published(root)}"
        )
    if not (root / VERSIONS / version).is_dir():
        raise BundleError(f"{pointer} names {version}, which is not in {root / VERSIONS}{_published(root)}")
    return version


def _published(root: Path) -> str:
    folder = root / VERSIONS
    there = sorted(p.name for p in folder.iterdir() if is_version(p.name)) if folder.is_dir() else []
    return f"; versions that are there: {', '.join(there)}" if there else f": {REMEDY}"


def _verify_files(folder: Path, manifest: Manifest) -> None:
    found = list_files(folder) - {MANIFEST}
    missing = sorted(manifest.files.keys() - found)
    extra = sorted(found - manifest.files.keys())
    if missing:
        raise BundleError(f"{folder / missing[0]} is missing ({len(missing)} missing in all): {REMEDY}")
    if extra:
        raise BundleError(
            f"{folder / extra[0]} does not belong to the bundle ({len(extra)} such files in all): delete it, or "
            f"{REMEDY}"
        )
    for name, expected in manifest.files.items():
        path = folder / name
        # Sizes first: truncated files are found quickly, and only plain files are opened.
        size = _plain_size(path)
        if size != expected.size:
            state = "is not a plain file" if size is None else f"has {size:,} bytes"
            if path.is_symlink():
                state = "is a symbolic link and not a plain file"
            raise BundleError(f"{path} {state}; {expected.size:,} bytes were published: {REMEDY}")
    for name, expected in manifest.files.items():
        path = folder / name
        try:
            entry = hash_file(path)
        except OSError as err:
            raise BundleError(f"{path} cannot be read ({err.strerror}): {REMEDY}") from err
        if entry != expected:
            raise BundleError(
                f"{path} is damaged or from another version: sha256 {expected.sha256} was published, "
                f"{entry.sha256} is there: {REMEDY}"
            )
        if name.endswith(".json"):
            _check_json(path)


def _plain_size(path: Path) -> int | None:
    """Bytes of a file; None for a link, which may lead out of the bundle, and for anything else that is no file."""
    status = path.lstat()
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _check_json(path: Path) -> None:
    """Raise `BundleError` unless a file is JSON of at most `MAX_JSON_DEPTH` levels, whatever library reads it later."""
    try:
        level = [json.loads(path.read_bytes())]
    except (ValueError, RecursionError) as err:
        raise BundleError(
            f"{path} is not readable JSON, or has lists and objects nested more than {MAX_JSON_DEPTH} deep: {REMEDY}"
        ) from err
    for _ in range(MAX_JSON_DEPTH + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise BundleError(
        f"{path} has lists and objects nested more than {MAX_JSON_DEPTH} deep; no file of mmrec is nested so: {REMEDY}"
    )
