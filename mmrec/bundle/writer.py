"""Publishes a bundle version atomically. Knows nothing of what the files mean.

Everything is written into a staging folder that readers never look at. `commit` hashes and syncs each file,
writes the manifest last, renames the folder into ``versions/`` and then swaps ``CURRENT`` by rename: whenever
the process or the machine dies, ``CURRENT`` names a complete version, the old one or the new. One writer at a
time holds a file lock on the root, and the next one removes what a killed one left in staging.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from mmrec.bundle.manifest import (
    MANIFEST,
    FileEntry,
    Manifest,
    checked_file_name,
    is_version,
    render_manifest,
)
from mmrec.bundle.reader import CURRENT, VERSIONS, current_version, hash_file, list_files, open_bundle
from mmrec.contract.items import Versions
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from mmrec.runtime.disk_errors import refusals_as_errors
from mmrec.runtime.files import sync
from mmrec.runtime.limits import check_number

if TYPE_CHECKING:
    import pyarrow as pa

STAGING = ".mmrec-staging"
LOCK = ".mmrec-lock"


def _ignore(step: str) -> None:
    """The default of `at`."""


class BundleWriter:
    """Writes one version, inside its with block; leaving the block without `commit` publishes nothing.

    Args:
        root: The bundle root; made if it is not there.
        preset: The preset it was fitted with.
        name: Name of the bundle, usually the dataset's.
        at: Called with the name of each step of the publication once it is reached: ``staged``, ``file``
            (after each written file), ``before-manifest``, ``after-manifest``, ``before-rename``,
            ``before-current``, ``after-current``.

    Raises:
        FailedPreconditionError: on entering, when another writer holds the root, or the folder cannot be
            written.
    """

    def __init__(
        self, root: str | os.PathLike[str], *, preset: str, name: str, at: Callable[[str], None] = _ignore
    ) -> None:
        self.root = Path(root)
        self.preset = preset
        self.name = name
        self._at = at
        self._lock: IO[str] | None = None

    def __enter__(self) -> BundleWriter:
        with _clear_os_errors(self.root):
            self._lock = _lock(self.root)
            _remove_staging(self.root)
            self._folder.mkdir(parents=True)
        self._at("staged")
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            try:
                shutil.rmtree(self.root / STAGING, ignore_errors=True)
            finally:
                self._release()

    @property
    def _folder(self) -> Path:
        return self.root / STAGING / "version"

    def path(self, name: str) -> Path:
        """Where to write the file `name` of this version; its parent folders are made.

        Raises:
            InvalidArgumentError: the name is absolute, holds ``..`` or is the manifest's.
            FailedPreconditionError: outside the with block, or after commit.
        """
        if self._lock is None:
            raise FailedPreconditionError("this BundleWriter is not open; write inside its with block, before commit()")
        path = self._folder / checked_file_name(name)
        with _clear_os_errors(self.root):
            path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write_text(self, name: str, text: str) -> None:
        """Write a UTF-8 text file."""
        path = self.path(name)
        with _clear_os_errors(self.root):
            path.write_text(text, encoding="utf-8", newline="\n")
        self._at("file")

    def write_json(self, name: str, obj: object) -> None:
        """Write a JSON file.

        Raises:
            InvalidArgumentError: `obj` holds something JSON does not have, a NaN included.
        """
        try:
            text = json.dumps(obj, indent=2, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as err:
            raise InvalidArgumentError(f"{name} cannot be written as JSON: {err}") from err
        self.write_text(name, text + "\n")

    def write_tensors(self, name: str, tensors: Mapping[str, np.ndarray]) -> None:
        """Write arrays of numbers as a safetensors file. Shapes are kept, 0-d included.

        Raises:
            InvalidArgumentError: an array holds something other than numbers or booleans.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        path = self.path(name)
        plain = {key: np.asarray(value, order="C") for key, value in tensors.items()}
        try:
            with _clear_os_errors(self.root):
                path.touch()
                mode = path.stat().st_mode
                save_file(plain, path)
                path.chmod(mode)  # safetensors makes files that only their owner can read
        except (SafetensorError, KeyError, TypeError, ValueError) as err:
            path.unlink(missing_ok=True)
            raise InvalidArgumentError(f"{name} cannot be written as safetensors: {err}") from err
        self._at("file")

    def write_table(self, name: str, table: pa.Table) -> None:
        """Write a table as Parquet."""
        import pyarrow.parquet as pq

        from mmrec.bundle.parquet_size import decoded_limit

        path = self.path(name)
        with _clear_os_errors(self.root):
            pq.write_table(table, path, compression="zstd")
            if 2 * table.nbytes > decoded_limit(path.stat().st_size):
                # So repetitive that a reader would refuse it.
                pq.write_table(table, path, compression="none", use_dictionary=False)
        self._at("file")

    def commit(self, *, versions: Versions, parameters: Mapping[str, Any]) -> Path:
        """Publish what was written and make it current.

        Args:
            versions: Version names in replies made with this bundle.
            parameters: What it was fitted with; any JSON object.

        Returns:
            The version folder.

        Raises:
            InvalidArgumentError: nothing was written, or the parameters are not JSON.
            FailedPreconditionError: outside the with block, a second time, or the disk refuses it.
        """
        if self._lock is None:
            raise FailedPreconditionError("this BundleWriter is not open; call commit() once, inside its with block")
        with _clear_os_errors(self.root):
            files = self._hash_and_sync()
            self._at("before-manifest")
            manifest = self._manifest(files, versions, parameters)
            _write_synced(self._folder / MANIFEST, render_manifest(manifest))
            self._at("after-manifest")
            for folder, _, _ in os.walk(self._folder):
                sync(Path(folder))
            target = self.root / VERSIONS / manifest.version
            target.parent.mkdir(exist_ok=True)
            self._at("before-rename")
            self._folder.rename(target)
            sync(target.parent)
            self._at("before-current")
            _point_to(self.root, manifest.version)
            self._at("after-current")
        shutil.rmtree(self.root / STAGING, ignore_errors=True)
        self._release()
        return target

    def _hash_and_sync(self) -> dict[str, FileEntry]:
        names = sorted(list_files(self._folder))
        if not names:
            raise InvalidArgumentError("nothing was written; a bundle holds at least one file")
        files: dict[str, FileEntry] = {}
        for name in names:
            path = self._folder / checked_file_name(name)
            if path.is_symlink() or not path.is_file():
                raise InvalidArgumentError(f"{name!r} is no plain file; write the file itself into the bundle")
            files[name] = hash_file(path)
            sync(path)
        return files

    def _manifest(self, files: Mapping[str, FileEntry], versions: Versions, parameters: Mapping[str, Any]) -> Manifest:
        listing = "".join(f"{entry.sha256} {name}\n" for name, entry in files.items())
        content = hashlib.sha256(listing.encode("utf-8", errors="surrogatepass")).hexdigest()[:12]
        now = datetime.now(UTC).replace(microsecond=0)
        while (self.root / VERSIONS / (version := f"{now:%Y%m%dT%H%M%SZ}-{content}")).exists():
            now += timedelta(seconds=1)  # the same content published twice within one second
        return Manifest(
            version=version,
            name=self.name,
            preset=self.preset,
            created=now.isoformat(),
            versions=versions,
            parameters=parameters,
            files=files,
        )

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def prune_versions(root: str | os.PathLike[str], *, keep: int = 2, spare: Collection[str] = ()) -> list[str]:
    """Delete the oldest versions, never the current one. Nothing calls this by itself.

    Args:
        root: The bundle root.
        keep: How many of the newest versions stay, 1 or more.
        spare: Further versions that stay.

    Returns:
        The deleted versions, oldest first.

    Raises:
        FailedPreconditionError: a writer holds the root.
    """
    check_number("keep", keep, low=1)
    root = Path(root)
    with _clear_os_errors(root), _lock(root):
        current = (root / CURRENT).read_text(encoding="ascii").strip() if (root / CURRENT).is_file() else ""
        old = [version for version in _versions(root)[:-keep] if version != current and version not in spare]
        _remove_staging(root)
        for version in old:
            (root / STAGING).mkdir(exist_ok=True)
            # Renamed first, so that a kill here leaves no version with missing files.
            (root / VERSIONS / version).rename(root / STAGING / version)
        _remove_staging(root)
    return old


def version_before(root: str | os.PathLike[str]) -> str:
    """The newest version of a bundle that is older than the current one.

    Raises:
        BundleError: nothing is published there.
        FailedPreconditionError: there is no older version.
    """
    root = Path(root)
    current = current_version(root)
    older = [version for version in _versions(root) if version < current]
    if not older:
        raise FailedPreconditionError(f"{current} is the oldest version in {str(root)!r}: there is none to go back to")
    return older[-1]


def make_current(root: str | os.PathLike[str], version: str) -> str:
    """Make another version of a bundle the current one, in one step; its files are checked first.

    Args:
        root: The bundle root.
        version: The version.

    Returns:
        The version that was current.

    Raises:
        NotFoundError: there is no such version.
        BundleError: nothing is published there, or the version is damaged; nothing was changed.
        FailedPreconditionError: a writer holds the root.
    """
    root = Path(root)
    before = current_version(root)
    with _clear_os_errors(root), _lock(root):
        there = _versions(root)
        if version not in there:
            raise NotFoundError(
                f"{str(root)!r} has no version {version!r:.80}; there are: {', '.join(there) or 'none'}"
            )
        open_bundle(root / VERSIONS / version)
        (root / STAGING).mkdir(exist_ok=True)
        _point_to(root, version)
        _remove_staging(root)
    return before


def _versions(root: Path) -> list[str]:
    """Versions that are there, oldest first."""
    return sorted(path.name for path in (root / VERSIONS).glob("*") if is_version(path.name))


def _point_to(root: Path, version: str) -> None:
    pointer = root / STAGING / CURRENT
    _write_synced(pointer, f"{version}\n".encode("ascii"))
    pointer.replace(root / CURRENT)
    sync(root)


def _lock(root: Path) -> IO[str]:
    """Lock the root; closing the file, or the end of the process, releases it."""
    import fcntl

    root.mkdir(parents=True, exist_ok=True)
    file = (root / LOCK).open("a+", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as err:
        file.seek(0)
        holder = file.read(32).strip()
        file.close()
        raise FailedPreconditionError(
            f"another writer{f' (process {holder})' if holder else ''} holds the bundle folder "
            f"{str(root)!r}; wait until it is done, or write to another folder"
        ) from err
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _remove_staging(root: Path) -> None:
    if (root / STAGING).exists():
        shutil.rmtree(root / STAGING)


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _clear_os_errors(root: Path) -> Iterator[None]:
    try:
        with refusals_as_errors(path=root):
            yield
    except OSError as err:
        raise FailedPreconditionError(
            f"cannot write the bundle in {str(root)!r}: {err.strerror or err} ({err.filename or 'no file'}); free it, "
            "or choose another folder"
        ) from err
