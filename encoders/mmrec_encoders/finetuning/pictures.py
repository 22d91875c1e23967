"""Sources of training pictures: a file of shrunk pictures, or the dataset, decoded on demand.

Memory use does not grow with the catalogue.
"""

# Axes: M pairs, B batch, H height, W width

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from mmrec.data.pictures import decode_picture
from mmrec.errors import FailedPreconditionError, InvalidImageError
from mmrec.runtime.files import new_array_file, replace_file
from mmrec.runtime.progress import Progress
from mmrec_encoders.picture_reading import PictureFailure, picture_batches

if TYPE_CHECKING:
    from mmrec.data.pictures import PictureStore
    from mmrec_encoders.protocols import Pixels, Preparation

_THREADS = 16
_CHECK_SIZE = 32
"""Side at which pictures are decoded to check that they are readable; JPEGs at an eighth of their size."""


class PictureSource(Protocol):
    """Pictures of pairs as uint8 arrays."""

    def read(self, rows_B: npt.NDArray[np.int64]) -> Pixels:
        """Pictures of these pairs, in this order. Shape: (B, 3, H, W), uint8."""
        ...

    def expect(self, rows_B: npt.NDArray[np.int64]) -> None:
        """Announce the pairs that will be read next."""
        ...


class KeptPictures:
    """Pictures in a memory-mapped file.

    Args:
        path: File written by `keep_pictures`.
        place_M: Place in the file of each pair's picture.
    """

    def __init__(self, path: Path, place_M: npt.NDArray[np.int64]) -> None:
        self._pixels: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
        self._place_M = place_M

    def read(self, rows_B: npt.NDArray[np.int64]) -> Pixels:
        """Pictures of these pairs, in this order. Shape: (B, 3, H, W), uint8."""
        return np.ascontiguousarray(self._pixels[self._place_M[rows_B]])

    def expect(self, rows_B: npt.NDArray[np.int64]) -> None:
        """Do nothing."""


class StreamedPictures:
    """Pictures decoded on demand by several threads, the next batch while the model computes.

    Args:
        refs: Reference of each pair's picture. Length M.
        store: Resolves the references.
        prepare: Converts a decoded picture to an array.
        threads: Number of threads; 0 to choose.
    """

    def __init__(self, refs: Sequence[str], store: PictureStore, prepare: Preparation, threads: int = 0) -> None:
        self._refs, self._store, self._prepare = refs, store, prepare
        self._pool = ThreadPoolExecutor(threads or min(_THREADS, os.cpu_count() or 1), thread_name_prefix="mmrec-adapt")
        self._coming: dict[bytes, list[Future[Pixels]]] = {}

    def read(self, rows_B: npt.NDArray[np.int64]) -> Pixels:
        """Pictures of these pairs, in this order. Shape: (B, 3, H, W), uint8.

        Raises:
            FailedPreconditionError: a picture has become unreadable since training began.
        """
        futures = self._coming.pop(rows_B.tobytes(), None) or self._begin(rows_B)
        return np.stack([future.result() for future in futures])

    def expect(self, rows_B: npt.NDArray[np.int64]) -> None:
        """Begin to decode these pairs' pictures."""
        if rows_B.tobytes() not in self._coming:
            self._coming[rows_B.tobytes()] = self._begin(rows_B)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _begin(self, rows_B: npt.NDArray[np.int64]) -> list[Future[Pixels]]:
        return [self._pool.submit(self._one, self._refs[row]) for row in rows_B.tolist()]

    def _one(self, ref: str) -> Pixels:
        try:
            data = self._store.read(ref)
            if data is not None:
                return self._prepare(decode_picture(data, size_hint=self._prepare.size))
        except InvalidImageError as err:
            raise FailedPreconditionError(
                f"the picture {ref!r} could be read when the training began and now cannot: {err.message}"
            ) from err
        raise FailedPreconditionError(f"the picture {ref!r} existed when training started and is missing now")


def keep_pictures(
    refs: Sequence[str],
    store: PictureStore,
    sides: Sequence[tuple[Path, Callable[[Any], Pixels], tuple[int, int], npt.NDArray[np.bool_]]],
    progress: Progress,
) -> tuple[PictureFailure, ...]:
    """Decode pictures once and write them into ``.npy`` files, one place per picture.

    Args:
        refs: Reference of each pair's picture. Length M.
        store: Resolves the references.
        sides: For each file: path, preparation, height and width, and which pairs it holds. The place of an unreadable
            picture stays zero.
        progress: Reports one unit per picture.

    Returns:
        Unreadable pictures, by pair; also written beside the first file, see `kept_failures`.
    """
    failures: list[PictureFailure] = []
    temporaries = [path.with_name(f".{path.name}.tmp") for path, _, _, _ in sides]
    files = [
        new_array_file(temporary, np.uint8, (int(holds.sum()), 3, *frame))
        for temporary, (_, _, frame, holds) in zip(temporaries, sides, strict=True)
    ]
    places = [np.cumsum(holds) - 1 for _, _, _, holds in sides]
    progress.start("reading pictures", len(refs), "pictures")
    largest = max(max(frame) for _, _, frame, _ in sides)
    for batch in picture_batches(refs, store, size=largest):
        for row, picture in batch:
            if isinstance(picture, PictureFailure):
                failures.append(picture)
                continue
            for file, place, (_, prepare, _, holds) in zip(files, places, sides, strict=True):
                if holds[row]:
                    file[place[row]] = prepare(picture)
        progress.advance(len(batch))
    for file, temporary, (path, _, _, _) in zip(files, temporaries, sides, strict=True):
        file.flush()
        temporary.replace(path)
    _write_failures(failures_file(sides[0][0]), failures)
    progress.finish(f"{len(refs) - len(failures):,} pictures read, {len(failures):,} unreadable")
    return tuple(failures)


def check_pictures(
    refs: Sequence[str], store: PictureStore, marker: Path, progress: Progress
) -> tuple[PictureFailure, ...]:
    """Decode every picture once at a small size, and write the unreadable ones to `marker`."""
    failures: list[PictureFailure] = []
    progress.start("checking pictures", len(refs), "pictures")
    for batch in picture_batches(refs, store, size=_CHECK_SIZE):
        failures += [found for _, found in batch if isinstance(found, PictureFailure)]
        progress.advance(len(batch))
    _write_failures(marker, failures)
    progress.finish(f"{len(refs) - len(failures):,} pictures can be read, {len(failures):,} cannot")
    return tuple(failures)


def failures_file(path: Path) -> Path:
    """Path of the list of unreadable pictures of a file; written last, so its presence marks the file as complete."""
    return path.with_suffix(".failures.json")


def kept_failures(marker: Path) -> tuple[PictureFailure, ...] | None:
    """Unreadable pictures found by an earlier `keep_pictures` or `check_pictures`; None if it did not finish."""
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
        return tuple(PictureFailure(int(row), str(message)) for row, message in found)
    except (OSError, ValueError, TypeError):
        return None


def _write_failures(marker: Path, failures: Sequence[PictureFailure]) -> None:
    text = json.dumps([[failure.row, failure.message] for failure in failures])
    replace_file(marker, lambda path: path.write_text(text, encoding="utf-8"))
