"""Pictures whose names are written in another way than the references to them."""

from __future__ import annotations

import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmrec.data.pictures import PictureStore
from mmrec.errors import InvalidImageError

NFC, NFD = unicodedata.normalize("NFC", "Hüte.jpg"), unicodedata.normalize("NFD", "Hüte.jpg")
Make = Callable[[Path, dict[str, bytes]], PictureStore]


def in_folder(root: Path, files: dict[str, bytes]) -> PictureStore:
    for name, data in files.items():
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return PictureStore(root)


def in_archive(root: Path, files: dict[str, bytes]) -> PictureStore:
    with zipfile.ZipFile(root / "images.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return PictureStore(root)


both = pytest.mark.parametrize("make", [in_folder, in_archive])


@both
@pytest.mark.parametrize(
    ("file", "ref"),
    [
        (NFC, NFD),
        (NFD, NFC),
        ("red hat.jpg", "red%20hat.jpg"),
        ("red%20hat.jpg", "red hat.jpg"),
        (NFC, "H%C3%BCte.jpg"),
        ("q.jpg", "q.jpg?v=1"),
        ("q.JPG", "images/q.JPG?v=1&w=200#top"),
        ("q.jpg?v=1", "q.jpg"),
        ("q.jpg", "/q.jpg"),
        ("q.jpg", "/images/q.jpg"),
        ("deep/q.jpg", "\\deep\\q.jpg"),
        ("photos/q.jpg", "q.jpg"),
        ("a/b/q.jpg", "./q.jpg"),
        ("images/q.jpg", "q.jpg"),
        ("images/deep/q.jpg", "deep/q.jpg"),
    ],
)
def test_a_name_that_is_written_otherwise_is_found(tmp_path: Path, make: Make, file: str, ref: str) -> None:
    with make(tmp_path, {file: b"x"}) as store:
        assert store.has(ref)
        assert store.read(ref) == b"x"


@both
def test_what_is_there_as_it_stands_is_meant(tmp_path: Path, make: Make) -> None:
    files = {NFC: b"1", NFD: b"2", "a b.jpg": b"3", "a%20b.jpg": b"4", "q.jpg": b"5", "q.jpg?v=1": b"6"}
    with make(tmp_path, files) as store:
        assert {name: store.read(name) for name in files} == files
        assert [store.read(name) for name in ("a%20b.jpg", "images/q.jpg?v=1")] == [b"4", b"6"]


@both
def test_a_reference_that_can_mean_two_files_is_told(tmp_path: Path, make: Make) -> None:
    with make(tmp_path, {"a b.jpg": b"3", "a%20b.jpg": b"4"}) as store:
        assert not store.has("a%20b.jpg?v=2")
        with pytest.raises(
            InvalidImageError, match=r"can be 'a b.jpg' and 'a%20b.jpg', which differ in how their names"
        ):
            store.read("a%20b.jpg?v=2")


@both
def test_a_name_in_another_case_is_told_and_not_used(tmp_path: Path, make: Make) -> None:
    with make(tmp_path, {"Red/Hat.JPG": b"x", "y.png": b"y"}) as store:
        assert not store.has("red/hat.jpg")
        message = r"'red/hat.jpg' is not there, but 'Red/Hat.JPG' is, which differs in the case of letters alone; write"
        with pytest.raises(InvalidImageError, match=message):
            store.read("red/hat.jpg")
        assert store.read("blue.jpg") is None


@both
@pytest.mark.parametrize("ref", ["a.jpg|b.jpg", '["a.jpg"]', "a.jpg, b.png", '["a.jpg", "b.jpg"]', "a.jpg;b.jpg"])
def test_a_list_says_that_one_path_is_wanted(tmp_path: Path, make: Make, ref: str) -> None:
    with make(tmp_path, {"a.jpg": b"x"}) as store:
        assert not store.has(ref)
        with pytest.raises(InvalidImageError, match=r"is a list; one path is wanted, as in 'a.jpg'"):
            store.read(ref)


@both
def test_a_file_whose_name_looks_like_a_list_is_a_file(tmp_path: Path, make: Make) -> None:
    with make(tmp_path, {"a.jpg,b.jpg": b"x"}) as store:
        assert store.read("a.jpg,b.jpg") == b"x"


def test_an_archive_whose_utf8_names_are_not_marked_as_such(tmp_path: Path) -> None:
    in_archive(tmp_path, {"H\u00fcte/\u6a5f.jpg": b"x"})
    data = (tmp_path / "images.zip").read_bytes()
    # The flag of UTF-8 names, in the local header and in the directory.
    at = data.index(b"PK\1\2")
    assert (data[7], data[at + 9]) == (8, 8)
    data = data[:7] + b"\0" + data[8 : at + 9] + b"\0" + data[at + 10 :]
    (tmp_path / "images.zip").write_bytes(data)
    with PictureStore(tmp_path) as store:
        assert store.has("H\u00fcte/\u6a5f.jpg")
        assert store.read("H\u00fcte/\u6a5f.jpg") == b"x"


def test_an_archive_packed_with_backslashes(tmp_path: Path) -> None:
    with in_archive(tmp_path, {"images\\deep\\q.jpg": b"x"}) as store:
        assert store.read("deep/q.jpg") == b"x"


def test_what_macos_packs_beside_the_pictures_is_passed_over(tmp_path: Path) -> None:
    with in_archive(
        tmp_path, {"photos/q.jpg": b"x", "__MACOSX/photos/._q.jpg": b"no", "photos/.DS_Store": b""}
    ) as store:
        assert store.read("q.jpg") == b"x"


def test_a_folder_around_some_of_the_pictures_is_part_of_their_names(tmp_path: Path) -> None:
    with in_folder(tmp_path, {"red/q.jpg": b"x", "blue/q.jpg": b"y"}) as store:
        assert store.read("q.jpg") is None
        assert not store.has("q.jpg")


def test_a_name_that_no_file_can_have_is_not_there(tmp_path: Path) -> None:
    with in_folder(tmp_path, {"q.jpg": b"x"}) as store:
        assert store.read("x" * 5000) is None
        assert not store.has("x" * 5000)


NAMES = st.text(st.sampled_from("aüu\u0308 %20/\\.?=|[]\"'A#"), min_size=1, max_size=8)


@given(st.lists(NAMES, max_size=4, unique=True), NAMES)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_there_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, names: list[str], ref: str) -> None:
    root = tmp_path_factory.mktemp("names")
    with zipfile.ZipFile(root / "images.zip", "w") as archive:
        for name in names:
            archive.writestr(f"{name}.jpg", name)
    with PictureStore(root) as store:
        for asked in (ref, f"{ref}.jpg", *(f"{name}.jpg" for name in names)):
            try:
                there = store.read(asked) is not None
            except InvalidImageError:
                there = False
            assert store.has(asked) == there
