"""The output folder of an embedding job: locked by one writer, with files that are written atomically.

    part-00000.parquet ...   the shards
    _manifest.json           contents of the folder, with hashes; written when the job is finished
    _dead-letter.jsonl       rows and pictures that could not be used, with the reason
    _job.json                what the vectors depend on; written first
    _encoders/               encoders that were trained for this job
    .cache/                  vector cache, unless it is elsewhere
    .fetched.sqlite          URLs fetched by an unfinished run
    .lock                    locked by the writer

All names but those of the shards begin with ``_`` or ``.``, which readers of Parquet folders ignore, so that
``pandas.read_parquet(FOLDER)`` reads the vectors. Knows nothing about models.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from mmrec.errors import FailedPreconditionError, InvalidArgumentError
from mmrec.runtime.files import sync
from mmrec_encoders.embedding.failpoints import Failpoint, no_failpoint
from mmrec_encoders.embedding.shards import Shard, read_shard

MANIFEST = "_manifest.json"
DEAD_LETTERS = "_dead-letter.jsonl"
ENCODERS = "_encoders"
CACHE = ".cache"
FETCHED = ".fetched.sqlite"
_JOB, _LOCK = "_job.json", ".lock"
_SHARD = re.compile(r"part-(\d{5,})\.parquet")
_FORMAT = 1
_RESUME = "finished shards are kept; run the same command again to continue"


def shard_name(number: int) -> str:
    """File name of a shard."""
    return f"part-{number:05d}.parquet"


class OutputFolder:
    """The folder, locked by this process from `__enter__` to `__exit__`.

    Args:
        path: The folder; created if it is missing.
        failpoint: For tests.

    Raises:
        InvalidArgumentError: (on entering) the path is a file, or a folder with something else in it.
        FailedPreconditionError: (on entering) another process writes to it, or it cannot be written to.
    """

    def __init__(self, path: Path, failpoint: Failpoint = no_failpoint) -> None:
        self.path = path
        self._failpoint = failpoint
        self._lock = FileLock(path / _LOCK)
        self._made = False
        self._hashes: dict[str, str] = {}

    def __enter__(self) -> OutputFolder:
        if self.path.exists() and not self.path.is_dir():
            raise InvalidArgumentError(f"out is {str(self.path)!r}, which is a file; name a folder", field="out")
        self._check_contents()
        try:
            self._made = not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout as err:
            raise FailedPreconditionError(
                f"another process is writing to {str(self.path)!r}; wait for it, or write to another folder"
            ) from err
        except OSError as err:
            raise self._unwritable(self.path, err) from err
        self._failpoint("after-lock")
        try:
            for left in self.path.glob(".*.tmp"):  # of a run that was killed
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        except OSError as err:
            self._lock.release()
            raise self._unwritable(self.path, err) from err
        self._hashes = self._listed()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self._made and [entry.name for entry in self.path.iterdir()] == [_LOCK]:
            # Nothing was written: remove the folder that this run created.
            (self.path / _LOCK).unlink()
            self._lock.release()
            self.path.rmdir()
            return
        self._lock.release()

    def _check_contents(self) -> None:
        if not self.path.is_dir() or (self.path / _JOB).exists():
            return
        foreign = sorted(
            entry.name for entry in self.path.iterdir() if not entry.name.startswith(".") and entry.name != ENCODERS
        )
        if foreign:
            raise InvalidArgumentError(
                f"out is {str(self.path)!r}, which contains {', '.join(map(repr, foreign[:3]))} and no embedding job; "
                "name a new or empty folder",
                field="out",
            )

    def _listed(self) -> dict[str, str]:
        """Hashes of the shards that the manifest lists, if there is one."""
        try:
            manifest = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))
            return {str(entry["file"]): str(entry["sha256"]) for entry in manifest["shards"]}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    # --- the job --------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Remove the output of an earlier job, except its cache."""
        self._remove(MANIFEST)
        self._hashes = {}
        for number in self.shard_numbers():
            self._remove(shard_name(number))
        for name in (DEAD_LETTERS, ENCODERS, _JOB, FETCHED, f"{FETCHED}-wal", f"{FETCHED}-shm"):
            self._remove(name)

    def check_or_write_job(self, job: Mapping[str, Any]) -> None:
        """Write the job's description, or compare it with an existing one.

        Raises:
            InvalidArgumentError: the folder is of another job; the message names the differences.
        """
        found = self.recorded()
        if found is not None:
            refuse_differences(self.path, found, job)
            return
        self._failpoint("before-job-description")
        self._write(_JOB, _pretty({"format": _FORMAT, **job}), "mid-job-description")

    def recorded(self) -> dict[str, Any] | None:
        """The description of the job in the folder; None if there is none.

        Raises:
            InvalidArgumentError: the file is damaged.
        """
        path = self.path / _JOB
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return found
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as err:
            raise InvalidArgumentError(
                f"{str(path)!r} is damaged, so the job of the shards is unknown; pass --overwrite to replace them",
                field="overwrite",
            ) from err

    @property
    def encoders(self) -> Path:
        """Folder of the encoders that were trained for this job."""
        return self.path / ENCODERS

    def keep_encoders(self, made: Path) -> None:
        """Rename a finished temporary folder of encoders to its final name."""
        try:
            for file in sorted(made.rglob("*")):
                if file.is_file():
                    sync(file)
            sync(made)
            made.rename(self.encoders)
            sync(self.path)
        except OSError as err:
            raise self._unwritable(self.encoders, err) from err

    # --- shards ---------------------------------------------------------------------------------------------

    def shard(self, number: int) -> Shard | None:
        """Description of a shard; None if it is missing or damaged."""
        found = read_shard(self.path / shard_name(number))
        if found is not None and self._hashes.get(shard_name(number), found.sha256) != found.sha256:
            return None
        return found

    def shard_numbers(self) -> list[int]:
        """Numbers of the shard files, ascending."""
        found = (_SHARD.fullmatch(entry.name) for entry in self.path.iterdir())
        return sorted(int(match[1]) for match in found if match)

    def commit(self, number: int, data: bytes) -> None:
        """Write a shard. The manifest is removed first, because it is no longer valid."""
        self._remove(MANIFEST)
        self._hashes.pop(shard_name(number), None)
        self._failpoint("before-shard-write")
        self._write(shard_name(number), [data], "mid-shard-write", "before-shard-rename")
        self._failpoint("after-shard-rename")

    def finish(self, shards: int, job: Mapping[str, Any]) -> None:
        """Remove shards beyond the last, then write the dead-letter file and the manifest.

        Args:
            shards: Number of shards; all of them must exist.
            job: The job's description.
        """
        self._failpoint("after-shards")
        for number in self.shard_numbers():
            if number >= shards:
                self._remove(MANIFEST)
                self._remove(shard_name(number))
        entries: list[dict[str, Any]] = []
        totals = {"items": 0, "with_picture": 0, "with_words": 0, "dead_letters": 0}
        digest = hashlib.sha256()

        def lines() -> Iterator[bytes]:
            for number in range(shards):
                shard = self.shard(number)
                if shard is None:
                    raise FailedPreconditionError(
                        f"{str(self.path / shard_name(number))!r} was damaged or removed while the job ran; {_RESUME}"
                    )
                entries.append(
                    {
                        "file": shard_name(number),
                        "items": shard.items,
                        "bytes": shard.size,
                        "sha256": shard.sha256,
                        "input": shard.input,
                    }
                )
                totals["items"] += shard.items
                totals["with_picture"] += shard.with_picture
                totals["with_words"] += shard.with_words
                totals["dead_letters"] += len(shard.dead_letters)
                for letter in shard.dead_letters:
                    line = json.dumps(letter._asdict(), ensure_ascii=False).encode("utf-8", "replace") + b"\n"
                    digest.update(line)
                    yield line

        self._failpoint("before-dead-letters")
        self._write(DEAD_LETTERS, lines(), "mid-dead-letters")
        manifest = {"format": _FORMAT, **job, **totals, "shards": entries, "dead_letters_sha256": digest.hexdigest()}
        data = b"".join(_pretty(manifest))
        self._failpoint("before-manifest")
        if not self._holds(MANIFEST, data):
            self._write(MANIFEST, [data[: len(data) // 2], data[len(data) // 2 :]], "mid-manifest")
        self._failpoint("after-manifest")

    # --- files ----------------------------------------------------------------------------------------------

    def _write(self, name: str, parts: Iterable[bytes], midway: str, before_rename: str = "") -> None:
        """Write a file atomically: a temporary file is synced, renamed, and the rename is synced."""
        path, temporary = self.path / name, self.path / f".{name}.tmp"
        try:
            with temporary.open("wb") as file:
                for part in parts:
                    half = len(part) // 2
                    file.write(part[:half])
                    file.flush()
                    self._failpoint(midway)
                    file.write(part[half:])
                file.flush()
                os.fsync(file.fileno())
            if before_rename:
                self._failpoint(before_rename)
            temporary.replace(path)
            sync(self.path)
        except OSError as err:
            temporary.unlink(missing_ok=True)
            raise self._unwritable(path, err) from err

    def _holds(self, name: str, data: bytes) -> bool:
        try:
            return (self.path / name).read_bytes() == data
        except OSError:
            return False

    def _remove(self, name: str) -> None:
        path = self.path / name
        try:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        except OSError as err:
            raise self._unwritable(path, err) from err

    def _unwritable(self, path: Path, err: OSError) -> FailedPreconditionError:
        return FailedPreconditionError(
            f"cannot write {str(path)!r}: {err.strerror or 'write error'}; free disk space, or choose a folder that "
            f"can be written to. No file is damaged: {_RESUME}"
        )


def refuse_differences(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to continue another job's output.

    Raises:
        InvalidArgumentError: the descriptions differ; the message names the differences.
    """
    then, now = _flat(found), _flat(wanted)
    differences = [
        f"{name} was {then.get(name)!r} and is {now.get(name)!r}"
        for name in sorted({*then, *now} - {"format"})
        if then.get(name) != now.get(name)
    ]
    if differences:
        raise InvalidArgumentError(
            f"{str(path)!r} contains the output of another job: {'; '.join(differences)}. Write to another folder, "
            "use the same settings, or pass --overwrite to replace it",
            field="overwrite",
        )


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, entry in value.items():
        if isinstance(entry, Mapping):
            flat |= _flat(entry, f"{prefix}{name}.")
        else:
            flat[prefix + name] = entry
    return flat


def _pretty(value: Mapping[str, Any]) -> list[bytes]:
    return [(json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "replace")]
