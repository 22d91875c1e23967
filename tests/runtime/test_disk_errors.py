"""A disk that is full or cannot be written to, as each library that writes for us says it."""

import errno
import sqlite3
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch_file

from mmrec.errors import FailedPreconditionError
from mmrec.runtime.disk_errors import naming_file, refusals_as_errors, underlying_os_error
from mmrec.runtime.event_file import EventFile
from mmrec.runtime.files import new_array_file, replace_file
from mmrec.understanding.index_files import IndexDescription, write_index
from mmrec_encoders.weights import write_weights
from tests.conftest import fill_disk

NOISE = np.random.default_rng(0).integers(0, 255, (400, 400, 3), dtype=np.uint8)

WRITERS: dict[str, Callable[[Path], object]] = {
    "safetensors": lambda path: save_file({"a": np.zeros(200_000)}, path),
    "safetensors of torch": lambda path: save_torch_file({"a": torch.zeros(200_000)}, path),
    "pyarrow": lambda path: pq.write_table(pa.table({"a": np.random.default_rng(0).random(200_000)}), path),
    "Pillow": lambda path: Image.fromarray(NOISE).save(path, format="PNG"),
    "text": lambda path: path.write_text("word " * 400_000),
    "memory map": lambda path: new_array_file(path, np.float32, (200_000,)),
    "weights": lambda path: write_weights(path, {"a": torch.zeros(400_000)}, {}),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_found_in_what_every_writer_raises(writer: str, small_disk: Path) -> None:
    fill_disk(small_disk / "filler")
    with pytest.raises(Exception, match=r"(?i)space left|os error") as raised:
        WRITERS[writer](small_disk / "file")
    found = underlying_os_error(raised.value)
    assert found is not None
    assert found.errno == errno.ENOSPC


def test_a_replaced_file_names_its_path_and_stays_what_it_was(small_disk: Path) -> None:
    path = small_disk / "file.safetensors"
    path.write_bytes(b"before")
    fill_disk(small_disk / "filler")
    with (
        pytest.raises(FailedPreconditionError, match=r"cannot write '.*file\.safetensors': No space left on device"),
        refusals_as_errors(),
    ):
        replace_file(path, lambda temporary: save_file({"a": np.zeros(200_000)}, temporary))
    assert sorted(entry.name for entry in small_disk.iterdir()) == ["file.safetensors", "filler"]
    assert path.read_bytes() == b"before"
    with pytest.raises(OSError, match="No space left") as raised:
        replace_file(path, lambda temporary: temporary.write_bytes(b"x" * 100_000))
    assert raised.value.filename == str(path)


def test_a_vector_index_that_finds_no_room(small_disk: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(3000, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = faiss.IndexHNSWFlat(64, 8)
    index.add(vectors)
    fill_disk(small_disk / "filler")
    with pytest.raises(OSError, match="No space left on device") as raised:
        write_index(small_disk, "fused", IndexDescription("hnsw", 3000, 64), index)
    assert underlying_os_error(raised.value) is raised.value


def test_event_files_that_find_no_room_end_the_training_and_do_not_block_it(small_disk: Path) -> None:
    events = EventFile(small_disk / "runs")
    fill_disk(small_disk / "filler")

    def train() -> None:
        for number in range(2000):
            events.add(number, {"epoch/item_loss": 1.0, "epoch/seconds": 1.0})
            events.flush()

    with pytest.raises(OSError, match="No space left on device") as raised:
        train()
    assert raised.value.filename == str(small_disk / "runs")


def test_a_database_on_a_full_disk(small_disk: Path) -> None:
    database = sqlite3.connect(small_disk / "a.sqlite")
    database.execute("CREATE TABLE t (x)")
    fill_disk(small_disk / "filler")
    with pytest.raises(sqlite3.OperationalError) as raised, database:
        database.execute("INSERT INTO t VALUES (zeroblob(100000))")
    database.close()
    assert str(underlying_os_error(raised.value)) == "[Errno 28] No space left on device"


def test_a_disk_that_is_read_only(small_disk: Path, remount: Callable[[str], None]) -> None:
    remount("ro")
    with (
        pytest.raises(FailedPreconditionError, match=r"cannot use '.*/file': Read-only file system; .*\. Go on$"),
        refusals_as_errors("Go on"),
    ):
        (small_disk / "file").write_bytes(b"x")
    remount("rw")


def test_the_cause_of_a_failure_counts_and_what_merely_went_before_does_not() -> None:
    try:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")
    except OSError as err:
        full = err
    wrapped, unrelated = RuntimeError("it failed"), RuntimeError("a bug")
    wrapped.__cause__, unrelated.__context__ = full, full
    assert underlying_os_error(wrapped) is full
    assert underlying_os_error(unrelated) is None
    assert underlying_os_error(FileNotFoundError(errno.ENOENT, "No such file")) is None
    said = FailedPreconditionError("it was said")
    said.__cause__ = full
    assert underlying_os_error(said) is None
    assert underlying_os_error(ValueError("[Errno 28] in a text of ours")) is None


def test_what_is_no_refusal_goes_by_unchanged(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bug"), refusals_as_errors(), naming_file(tmp_path):
        raise ValueError("bug")
