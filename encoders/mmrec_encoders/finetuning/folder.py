"""The output folder of a fine-tuning: one writer at a time, resumable work, atomic results.

open_clip_config.json, open_clip_model.safetensors    of a pretrained model, or
small_clip_pair.safetensors                           of a small CLIP
REPORT.md                                             the report as Markdown
adapt.json                                            written last; a folder without it is not finished
.adapt/                                               work of an unfinished training
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmrec.errors import FailedPreconditionError, InvalidArgumentError
from mmrec.runtime.files import replace_file

DESCRIPTION = "adapt.json"
REPORT = "REPORT.md"
WORK = ".adapt"
RESULTS = ("open_clip_config.json", "open_clip_model.safetensors", "small_clip_pair.safetensors", REPORT)
_LOCK = ".mmrec-lock"
FORMAT = 1


@contextmanager
def open_folder(out: Path, *, writer: bool) -> Iterator[None]:
    """Lock the folder, which is created if missing.

    Args:
        out: The folder.
        writer: Whether this process writes; others take no lock.

    Raises:
        FailedPreconditionError: another process is writing to it, or it cannot be written.
        InvalidArgumentError: it is a file, or holds files of something else.
    """
    if not writer:
        yield
        return
    from filelock import FileLock, Timeout

    if out.exists() and not out.is_dir():
        raise InvalidArgumentError(f"out is {str(out)!r}, which is a file; name a folder", field="out")
    ours = any((out / name).exists() for name in (DESCRIPTION, WORK, _LOCK))
    if out.is_dir() and not ours and any(out.iterdir()):
        raise InvalidArgumentError(
            f"out is {str(out)!r}, which holds files that mmrec adapt did not write; name a new folder", field="out"
        )
    lock = FileLock(out / _LOCK)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as err:
        raise FailedPreconditionError(
            f"another mmrec adapt is writing to {str(out)!r}; wait until it is done, or name another folder"
        ) from err
    except OSError as err:
        raise FailedPreconditionError(f"cannot write to {str(out)!r}: {err.strerror or err}") from err
    try:
        yield
    finally:
        lock.release()


def work_folder(out: Path, identity: str) -> tuple[Path, bool]:
    """The work folder, and whether it has work of an earlier run of the same training; other work is removed."""
    work = out / WORK
    marker = work / "identity"
    if marker.is_file() and marker.read_text(encoding="utf-8") == identity:
        return work, True
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    replace_file(marker, lambda path: path.write_text(identity, encoding="utf-8"))
    return work, False


def publish(out: Path, description: Mapping[str, Any], page: str) -> None:
    """Write the report, then the description that marks the folder as finished, and remove the work."""
    replace_file(out / REPORT, lambda path: path.write_text(page, encoding="utf-8"))
    text = json.dumps({"format": FORMAT, **description}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    replace_file(out / DESCRIPTION, lambda path: path.write_text(text, encoding="utf-8"))
    shutil.rmtree(out / WORK, ignore_errors=True)


def unpublish(out: Path) -> None:
    """Remove the description and the results, before they are overwritten."""
    (out / DESCRIPTION).unlink(missing_ok=True)
    for name in RESULTS:
        (out / name).unlink(missing_ok=True)


def finished(out: Path, identity: str) -> Mapping[str, Any] | None:
    """The description of the folder if it is finished and has this identity; else None."""
    try:
        found = json.loads((out / DESCRIPTION).read_text(encoding="utf-8"))
        same = found["format"] == FORMAT and found["identity"] == identity
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if same else None
