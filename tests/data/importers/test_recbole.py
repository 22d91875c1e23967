"""RecBole atomic files, as its documentation lays them out."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmrec.data.dataset import read_dataset
from mmrec.data.importers.recbole import import_recbole
from mmrec.data.tables import read_table
from mmrec.errors import InvalidDatasetError, NotFoundError

INTER = (
    "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    "196\t242\t3\t881250949\n186\t302\t3\t891717742\n196\t302\t\t881250000.5\n"
)
ITEM = (
    "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\tvector:float_seq\n"
    '242\tKolya "x"\t1996\tComedy Drama\t0.5 1.5\n1\tToy Story\t1995\tAnimation\t\n'
)
USER = "user_id:token\tage:token\tgender:token\n196\t49\tM\n186\t39\tF\n"


def _write(folder: Path, **files: str) -> Path:
    folder.mkdir()
    for suffix, text in files.items():
        (folder / f"ml.{suffix}").write_text(text)
    return folder


def test_all_three_files(tmp_path: Path) -> None:
    done = import_recbole(_write(tmp_path / "ml", inter=INTER, item=ITEM, user=USER), tmp_path / "out")
    assert (done.items, done.users, done.events) == (3, 2, 3)
    assert done.notes == ("1 items have interactions and no row in ml.item",)
    data = read_dataset(done.out)
    assert data.catalogue.item_ids == ("242", "1", "302")
    assert data.catalogue.titles == ('Kolya "x"', "Toy Story", "")
    assert data.catalogue.attributes == {
        "release_year": ("1996", "1995", ""),
        "class": ("Comedy|Drama", "Animation", ""),
        "vector": ("0.5|1.5", "", ""),
    }
    assert data.interactions.history(0).tolist() == [2, 0]
    assert data.interactions.times_E.tolist() == [881250000, 881250949, 891717742]
    assert read_table(done.out / "users.parquet").text("age").to_pylist() == ["49", "39"]


def test_interactions_alone_and_without_times(tmp_path: Path) -> None:
    source = _write(tmp_path / "ml", inter="user_id:token\titem_id:token\nu\tb\nu\ta\nv\ta\n")
    done = import_recbole(source / "ml.inter", tmp_path / "out", table_format="tsv")
    assert (done.items, done.users, done.events) == (2, 2, 3)
    assert "no timestamp" in done.notes[0]
    data = read_dataset(done.out)
    assert data.catalogue.item_ids == ("b", "a")
    assert data.interactions.history(0).tolist() == [0, 1]


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    inter = (
        "user_id:token\titem_id:token\ttimestamp:token\tprice:float\tnote:token\n"
        "u\ta\t2020-01-02\t9.5\t\n\tb\t5\t\t\nu\tb\t\t8\t\n"
    )
    source = _write(tmp_path / "ml", inter=inter, item="item_id:token\na\na\n\nb\n", kg="head_id:token\n")
    done = import_recbole(source, tmp_path / "out", table_format="jsonl")
    assert (done.items, done.events, done.dropped) == (2, 2, 2)
    assert [(entry.kind, entry.what, entry.count) for entry in done.left_out] == [
        ("row", "rows of ml.inter without a user or an item", 1),
        ("row", "rows of ml.item whose item_id was there before", 1),
        ("value", "timestamps that are empty", 1),
        ("column", "price", 2),
        ("column", "note", 0),
        ("file", "ml.kg", 1),
    ]
    assert "left out column 'price' (2 values, the first: '9.5' at ml.inter)" in done.notes
    assert done.notes[-2:] == ("left out columns without values: note", "left out files: ml.kg")
    assert '"timestamp": 1577923200.0' in (done.out / "events.jsonl").read_text()


def test_a_benchmark_of_sequences_becomes_histories(tmp_path: Path) -> None:
    inter = (
        "session_id:token\titem_id_list:token_seq\titem_id:token\tlength:float\n"
        "s1\ta b c\td\t3\ns1\ta b\tc\t2\ns1\ta\tb\t1\ns2\tx\ta\t1\ns2\t\t\t0\n"
    )
    source = _write(tmp_path / "ml", item="item_id:token\na\nx\n")
    (source / "ml.train.inter").write_text(inter)
    done = import_recbole(source, tmp_path / "out")
    assert (done.items, done.users, done.events, done.dropped) == (5, 2, 6, 3)
    data = read_dataset(done.out)
    ids = data.catalogue.item_ids
    assert [[ids[row] for row in data.interactions.history(user).tolist()] for user in range(2)] == [
        ["a", "b", "c", "d"],
        ["x", "a"],
    ]
    assert [(entry.what, entry.count) for entry in done.left_out] == [
        ("rows that are part of a longer sequence of the same user", 2),
        ("rows without a user or without items", 1),
        ("length", 5),
    ]
    assert "its session_id became the user" in done.notes[0]


@pytest.mark.parametrize(
    ("inter", "message"),
    [
        ("item_id_list:token_seq\titem_id:token\n\t\n", "has no rows with items"),
        ("user_id:token\titem_id\n", "the header holds 'item_id'"),
        ("user_id:token\titem_id:tokens\n", "the header holds 'item_id:tokens'"),
        ("user_id:token\tsong:token\nu\ts\n", "has no column item_id"),
        ("user_id:token\titem_id:token\n", "has no rows"),
        ("user_id:token\titem_id:token\nu\ta\tb\n", "the row has 3 fields instead of 2"),
        ("user_id:token\titem_id:token\ttimestamp:float\nu\ta\tsoon\n", "timestamp is 'soon'"),
        ("user_id:token\tuser_id:token\n", "names a column twice"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, inter: str, message: str) -> None:
    with pytest.raises(InvalidDatasetError, match=message):
        import_recbole(_write(tmp_path / "ml", inter=inter), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_sources_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        import_recbole(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidDatasetError, match=r"no \.inter file"):
        import_recbole(tmp_path / "empty", tmp_path / "out")
