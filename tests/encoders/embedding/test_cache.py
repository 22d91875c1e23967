from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from mmrec.errors import FailedPreconditionError
from mmrec_encoders.embedding.cache import CACHE_FILE, VectorCache, content_of, vector_key


def filled(folder: Path, count: int = 600) -> list[bytes]:
    keys = [vector_key(content_of(b"%d" % n), "model") for n in range(count)]
    with VectorCache(folder) as cache:
        cache.put((key, np.full(3, n, np.float32)) for n, key in enumerate(keys))
    return keys


def test_what_is_put_is_had_again_and_known_to_be_from_before(tmp_path: Path) -> None:
    keys = filled(tmp_path)
    new = vector_key(content_of(b"new"), "model")
    with VectorCache(tmp_path) as cache:
        cache.put([(new, np.array([1, 2, 3], np.float32))])
        found = cache.get([*keys, new, b"unknown"], 3)
        assert len(cache) == 601
    assert len(found) == 601
    assert found[keys[599]].vector.tolist() == [599, 599, 599]
    assert found[keys[0]].earlier
    assert (found[new].earlier, found[new].vector.tolist()) == (False, [1, 2, 3])


def test_a_vector_of_another_length_or_that_is_damaged_is_not_known(tmp_path: Path) -> None:
    keys = filled(tmp_path, 3)
    with VectorCache(tmp_path) as cache:
        assert cache.get(keys, 4) == {}
    with sqlite3.connect(tmp_path / CACHE_FILE) as db:
        db.execute("UPDATE vectors SET vector = replace(vector, x'40', x'41') WHERE key = ?", (keys[2],))
        db.execute("UPDATE vectors SET vector = zeroblob(16) WHERE key = ?", (keys[1],))
    db.close()
    with VectorCache(tmp_path) as cache:
        assert list(cache.get(keys, 3)) == keys[:1]


def test_keys_differ_by_content_and_by_model() -> None:
    content = content_of(b"x")
    assert len(content) == 32
    assert len({vector_key(content, "a"), vector_key(content, "b"), vector_key(content_of(b"y"), "a")}) == 3


@pytest.mark.parametrize("damage", ["text", "header", "middle", "other", "empty"])
def test_a_damaged_file_is_set_aside_with_a_note_and_begun_anew(tmp_path: Path, damage: str) -> None:
    keys = filled(tmp_path)
    path = tmp_path / CACHE_FILE
    data = path.read_bytes()
    if damage == "other":
        path.unlink()
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE letters (text)")
        db.close()
    else:
        changed = {
            "text": b"this is no database at all, but it is long enough to be looked at " * 50,
            "header": b"\0" * 100 + data[100:],
            "middle": data[:8192] + b"\xff" * 40_000 + data[48_192:],
            "empty": b"",
        }[damage]
        path.write_bytes(changed)
    notes: list[str] = []
    with VectorCache(tmp_path, note=notes.append) as cache:
        lost = cache.get(keys, 3)
        cache.put([(keys[0], np.array([7, 7, 7], np.float32))])
        assert cache.get(keys[:1], 3)[keys[0]].vector.tolist() == [7, 7, 7]
    assert len(lost) < 600
    if damage == "empty":  # which SQLite takes for a new one
        assert notes == []
        return
    (note,) = notes
    assert "was renamed to cache.damaged-1.sqlite, and a new one is used" in note
    assert ("is not a cache" if damage == "other" else "is damaged") in note
    assert (tmp_path / "cache.damaged-1.sqlite").is_file()


def test_a_reader_knows_what_the_writer_put_and_nothing_where_there_is_no_file(tmp_path: Path) -> None:
    reader = VectorCache(tmp_path, read_only=True)
    assert not reader.contains(b"k" * 32)
    assert list(tmp_path.iterdir()) == []
    with VectorCache(tmp_path) as cache:
        cache.put([(b"k" * 32, np.ones(3, np.float32))])
        assert reader.contains(b"k" * 32)
        assert not reader.contains(b"l" * 32)
        assert reader.get([b"k" * 32], 3)[b"k" * 32].vector.tolist() == [1, 1, 1]
    reader.close()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(FailedPreconditionError, match="free disk space, or choose a folder that can be written to"):
        VectorCache(tmp_path / "file" / "cache")


def test_a_transaction_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError

    with VectorCache(tmp_path) as cache:
        with pytest.raises(RuntimeError):
            cache.put([(b"a" * 32, np.ones(3, np.float32)), (b"b" * 32, np.ones(3, np.float32))], fail)
        assert len(cache) == 0
