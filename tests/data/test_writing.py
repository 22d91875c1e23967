"""A dataset folder appears whole or not at all, and never in the place of something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmrec.data.writing import dataset_folder
from mmrec.errors import InvalidDatasetError


def _fill(folder: Path, text: str = "item_id\n1\n") -> None:
    (folder / "items.csv").write_text(text)


def test_the_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with dataset_folder(out) as folder:
        _fill(folder)
        assert not out.exists()
    assert [path.name for path in (tmp_path / "deep").rglob("*")] == ["out", "items.csv"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with dataset_folder(tmp_path / "out") as folder:
        _fill(folder)
    assert (tmp_path / "out" / "items.csv").is_file()


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with dataset_folder(tmp_path / "out") as folder:
            _fill(folder)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    _fill(tmp_path)
    with pytest.raises(InvalidDatasetError, match="not empty"), dataset_folder(tmp_path):
        pass


def test_overwriting_replaces_tables_and_leaves_pictures(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "images").mkdir(parents=True)
    (out / "images" / "1.png").write_bytes(b"x")
    (out / "events.tsv").write_text("old")
    _fill(out, "old")
    with dataset_folder(out, overwrite=True) as folder:
        _fill(folder, "new")
    assert sorted(path.name for path in out.iterdir()) == ["images", "items.csv"]
    assert (out / "items.csv").read_text() == "new"
    assert (out / "images" / "1.png").is_file()
    assert list(tmp_path.iterdir()) == [out]


def test_overwriting_never_touches_what_is_no_dataset(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InvalidDatasetError, match="no dataset"), dataset_folder(tmp_path, overwrite=True):
        pass


def test_a_file_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(InvalidDatasetError, match="is a file"), dataset_folder(tmp_path / "out"):
        pass
