from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmrec.data.pictures import PictureStore
from mmrec.errors import FailedPreconditionError, InvalidDatasetError
from mmrec_encoders.embedding.cache import VectorCache, content_of, vector_key
from mmrec_encoders.embedding.pictures import DecodeSetup, PictureTask
from mmrec_encoders.embedding.pool import DecodedChunk, DecodePool
from mmrec_encoders.preparation import Squeeze
from tests.encoders.embedding.killers import DiesAtRed

HEAVY = ("torch", "transformers", "open_clip", "sentence_transformers", "pyarrow", "scipy", "multiprocessing.pool")


def png(colour: tuple[int, int, int], size: int = 12) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(sink, "PNG")
    return sink.getvalue()


def tasks(count: int, first: int = 0) -> tuple[PictureTask, ...]:
    """Pictures in the table, each of a grey of its own."""
    return tuple(PictureTask(row, "", png((row % 256, row // 256, 7))) for row in range(first, first + count))


def greys(chunk: DecodedChunk) -> list[int]:
    return [int(chunk.pixels_M3HW[result.place, 0, 0, 0]) for result in chunk.results]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_chunks_come_back_in_order_with_their_pixels(tmp_path: Path, workers: int) -> None:
    setup = DecodeSetup(PictureStore(tmp_path), Squeeze(8), "")
    chunks = [(number, tasks(number % 4, 10 * number)) for number in range(23)]
    with DecodePool(setup, workers, 4) as pool:
        assert len(pool.pids) == workers
        found = list(pool.map(iter(chunks)))
    assert [key for key, _ in found] == list(range(23))
    for number, chunk in found:
        assert [result.row for result in chunk.results] == [10 * number + i for i in range(number % 4)]
        assert greys(chunk) == [(10 * number + i) % 256 for i in range(number % 4)]
        assert chunk.pixels_M3HW.shape == (number % 4, 3, 8, 8)


def test_pictures_are_read_only_so_far_ahead(tmp_path: Path) -> None:
    taken = 0

    def chunks():  # type: ignore[no-untyped-def]
        nonlocal taken
        for number in range(200):
            taken += 1
            yield number, tasks(2)

    with DecodePool(DecodeSetup(PictureStore(tmp_path), Squeeze(8), ""), 1, 2) as pool:
        stream = pool.map(chunks())
        next(stream)
        assert taken <= 8
        assert sum(1 for _ in stream) == 199


def test_a_picture_twice_in_a_chunk_is_decoded_once_and_a_known_one_not_at_all(tmp_path: Path) -> None:
    known, new = png((1, 2, 3)), png((4, 5, 6))
    with VectorCache(tmp_path / "cache") as cache:
        cache.put([(vector_key(content_of(known), "model"), np.ones(4, np.float32))])
        for workers in (0, 1):
            setup = DecodeSetup(PictureStore(tmp_path), Squeeze(8), "model", tmp_path / "cache")
            with DecodePool(setup, workers, 4) as pool:
                ((_, chunk),) = pool.map([(0, tuple(PictureTask(i, "", d) for i, d in enumerate([new, known, new])))])
            assert [result.place for result in chunk.results] == [0, -1, 0]
            assert [result.content for result in chunk.results] == [
                content_of(new),
                content_of(known),
                content_of(new),
            ]
            assert len(chunk.pixels_M3HW) == 1


def test_a_worker_that_is_killed_is_replaced_and_nothing_is_lost(tmp_path: Path) -> None:
    with DecodePool(DecodeSetup(PictureStore(tmp_path), Squeeze(8), ""), 2, 4) as pool:
        before = pool.pids
        found = []
        for key, chunk in pool.map((number, tasks(4, 4 * number)) for number in range(60)):
            if key in (5, 20):
                os.kill(pool.pids[0], signal.SIGKILL)
            found.append((key, greys(chunk)))
        assert found == [(number, [(4 * number + i) % 256 for i in range(4)]) for number in range(60)]
        assert pool.deaths == 2
        assert len(pool.pids) == 2
        assert pool.pids[0] != before[0]


def test_a_picture_at_which_the_decoder_dies_twice_is_given_up_and_the_others_are_not(tmp_path: Path) -> None:
    chunks = [(number, tasks(3, 3 * number)) for number in range(4)]
    chunks[1] = (1, (*tasks(1, 3), PictureTask(4, "", png((255, 0, 0))), *tasks(1, 5)))
    with DecodePool(DecodeSetup(PictureStore(tmp_path), DiesAtRed(), ""), 1, 3) as pool:
        found = dict(pool.map(chunks))
        assert pool.deaths == 2
    results = found[1].results
    assert [result.row for result in results] == [3, 4, 5]
    assert [bool(result.reason) for result in results] == [False, True, False]
    assert results[1].reason == (
        "the process that decodes pictures died 2 times at this one (signal 9); replace the picture with a file that "
        "opens elsewhere"
    )
    assert [greys(found[number]) for number in (0, 2, 3)] == [[0, 1, 2], [6, 7, 8], [9, 10, 11]]


def test_a_picture_at_which_the_decoder_dies_once_is_decoded_after_all(tmp_path: Path) -> None:
    setup = DecodeSetup(PictureStore(tmp_path), DiesAtRed(once=str(tmp_path / "died")), "")
    with DecodePool(setup, 1, 3) as pool:
        ((_, chunk),) = pool.map([(0, (PictureTask(0, "", png((255, 0, 0))),))])
        assert pool.deaths == 1
    assert (greys(chunk), chunk.results[0].reason) == ([255], "")


def test_workers_that_cannot_start_are_an_error_and_not_a_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with DecodePool(DecodeSetup(PictureStore(tmp_path), Squeeze(8), ""), 1, 2) as pool:
        monkeypatch.setattr(sys, "executable", "/bin/false")
        os.kill(pool.pids[0], signal.SIGKILL)
        with pytest.raises(FailedPreconditionError, match="cannot be started: they end with status 1"):
            list(pool.map([(0, tasks(2))]))


def test_a_damaged_archive_ends_the_job_with_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "images.zip").write_bytes(b"PK\3\4 or not")
    for workers in (0, 1):
        with (
            DecodePool(DecodeSetup(PictureStore(tmp_path), Squeeze(8), ""), workers, 2) as pool,
            pytest.raises(InvalidDatasetError, match="is not a readable zip archive"),
        ):
            list(pool.map([(0, (PictureTask(0, "a.png"),))]))


def test_a_worker_is_small_and_gone_with_its_parent(tmp_path: Path, child_environment: dict[str, str]) -> None:
    code = (
        "import sys, mmrec_encoders.embedding.worker, mmrec_encoders.preparation, PIL.Image;"
        f"print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=child_environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
    program = (
        "import os, signal; from mmrec.data.pictures import PictureStore;"
        "from mmrec_encoders.embedding.pictures import DecodeSetup;"
        "from mmrec_encoders.embedding.pool import DecodePool;"
        "from mmrec_encoders.preparation import Squeeze;"
        f"pool = DecodePool(DecodeSetup(PictureStore({str(tmp_path)!r}), Squeeze(8), ''), 2, 2).__enter__();"
        "print(*pool.pids, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run([sys.executable, "-c", program], env=child_environment, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL
    pids = [int(word) for word in died.stdout.split()]
    assert len(pids) == 2
    assert all(_ends(pid) for pid in pids)


def _ends(pid: int) -> bool:
    """Whether a process that is nobody's child here is gone, or a zombie, within a minute."""
    import time

    for _ in range(600):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False
