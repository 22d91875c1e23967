"""Dataset folders as users write them: what is read, what is dropped, and what is refused in which words."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmrec.data.dataset import read_dataset
from mmrec.data.summary import TableSummary
from mmrec.errors import InvalidArgumentError, InvalidDatasetError, NotFoundError

Folder = Callable[..., Path]


def test_a_plain_dataset(folder: Folder) -> None:
    data = read_dataset(folder())
    assert data.name == "dataset"
    assert data.catalogue.item_ids == ("007", "8", "9")
    assert data.catalogue.titles == ("Bond", "Hat", "Shoe")
    assert data.catalogue.descriptions == ("", "", "")
    assert data.catalogue.attributes == {"colour": ("black", "", "red")}
    assert data.interactions.user_ids == ("ann", "bob")
    assert data.interactions.history(0).tolist() == [0, 1]
    assert data.interactions.times_E.tolist() == [100, 200, 50]
    assert data.interactions.ratings_E is not None
    np.testing.assert_array_equal(data.interactions.ratings_E, [5, 4, np.nan])


def test_without_events_there_are_no_users(folder: Folder) -> None:
    data = read_dataset(folder({"items.tsv": "item_id\n1\n2\n"}))
    assert len(data.catalogue) == 2
    assert data.interactions.users == 0
    assert data.interactions.ratings_E is None


def test_an_empty_position_comes_first_and_keeps_its_event(folder: Folder) -> None:
    events = "user_id\titem_id\tposition\nann\t9\t2\nann\t8\t\nann\t007\t1\n"
    data = read_dataset(folder({"items.tsv": "item_id\n007\n8\n9\n", "events.tsv": events}))
    assert data.interactions.history(0).tolist() == [1, 0, 2]
    assert data.interactions.times_E.tolist() == [1, 1, 2]


def test_ties_keep_the_order_of_the_file(folder: Folder) -> None:
    rows = "".join(f"ann\t{i % 10}\t5\n" for i in range(50))
    items = "item_id\n" + "".join(f"{i}\n" for i in range(10))
    data = read_dataset(folder({"items.tsv": items, "events.tsv": "user_id\titem_id\ttimestamp\n" + rows}))
    assert data.interactions.history(0).tolist() == [i % 10 for i in range(50)]


def test_positions_break_ties_of_timestamps(folder: Folder) -> None:
    events = "user_id,item_id,timestamp,position\nann,1,5,2\nann,2,5,1\nann,3,4,9\n"
    data = read_dataset(folder({"items.csv": "item_id\n1\n2\n3\n", "events.csv": events}))
    assert data.interactions.history(0).tolist() == [2, 1, 0]


def test_events_that_break_a_rule_are_dropped(folder: Folder) -> None:
    events = (
        "user_id\titem_id\ttimestamp\trating\n"
        "ann\t8\t1\t3\nann\tnobody\t2\t3\nann\t8\tsoon\t3\nann\t8\t4\tgood\n\t8\t5\t3\nann\t9\t6\t3\n"
    )
    root = folder({"items.tsv": "item_id\n8\n9\n", "events.tsv": events})
    data = read_dataset(root, max_left_out=0.7)
    assert data.interactions.history(0).tolist() == [0, 1]
    assert data.interactions.users == 1
    left_out = {"bad timestamp": 1, "bad rating": 1, "empty user id": 1, "unknown item": 1}
    assert data.summary.tables == (TableSummary("items.tsv", 2, 2), TableSummary("events.tsv", 6, 2, left_out))
    assert data.notes[0] == (
        "events.tsv: 2 of 6 rows are used; left out are 4 (66.7%): 1 bad timestamp, 1 bad rating, 1 empty user id, "
        "1 unknown item"
    )
    assert data.notes[-1] == f"`mmrec check {root}` shows more"


def _half_bad(folder: Folder, settings: str = "") -> Path:
    events = "user_id,item_id,timestamp\n" + "ann,1,2024-05-31\nann,gone,2024-05-31\n" * 10
    return folder({"items.csv": "item_id\n1\n", "events.csv": events, "dataset.toml": settings})


def test_when_too_many_rows_are_left_out_the_dataset_is_refused(folder: Folder) -> None:
    with pytest.raises(InvalidDatasetError) as refused:
        read_dataset(_half_bad(folder))
    assert "10 of the 20 rows of events.csv (50.0%) would be left out: 10 unknown item" in refused.value.message
    assert "at most 10.0% may be" in refused.value.message
    assert "max_left_out = 0.51 below [events] in dataset.toml" in refused.value.message


def test_the_share_that_may_be_left_out_can_be_set(folder: Folder) -> None:
    root = _half_bad(folder, "[events]\nmax_left_out = 0.5\n")
    assert read_dataset(root).interactions.events == 10
    with pytest.raises(InvalidDatasetError, match=r"at most 49\.0% may be"):
        read_dataset(root, max_left_out=0.49)
    with pytest.raises(InvalidArgumentError, match=r"max_left_out is 1\.5"):
        read_dataset(root, max_left_out=1.5)


def test_items_that_no_request_could_name_are_left_out_with_their_events(folder: Folder) -> None:
    long = "i" * 513
    items = f"item_id,title\n{long},x\n2,{'t' * 100_001}\nb\x07c,x\n4,x\n"
    events = f"user_id,item_id,timestamp\nann,4,2024-05-31\nann,{long},2024-05-31\nann,2,2024-05-31\nann,5,2024-05-31\n"
    data = read_dataset(folder({"items.csv": items, "events.csv": events}), max_left_out=1.0)
    assert data.catalogue.item_ids == ("4",)
    assert data.summary.tables == (
        TableSummary("items.csv", 4, 1, {"unusable item id": 2, "long text": 1}),
        TableSummary("events.csv", 4, 1, {"item left out": 2, "unknown item": 1}),
    )


def test_items_without_a_picture_are_set_aside_and_told(folder: Folder, encoded: Callable[..., bytes]) -> None:
    root = folder()
    (root / "images").mkdir()
    (root / "images" / "9.png").write_bytes(encoded())
    assert [str(table) for table in read_dataset(root, require="picture").summary.tables] == [
        "items.tsv: 1 of 3 rows are used; excluded are 2: 2 without a picture",
        "events.tsv: 1 of 3 rows are used; excluded are 2: 2 without a picture",
    ]


def test_returns_and_low_ratings_are_negative(folder: Folder) -> None:
    events = (
        "user_id,item_id,timestamp,event_type,rating\n"
        "ann,1,2024-05-01,purchase,5\nann,2,2024-05-02,purchase,\nann,2,2024-05-03,RETURN,\nann,3,2024-05-04,view,2\n"
        "bob,3,2024-05-01,refunded,\nbob,3,2024-05-02,purchase,4\neve,1,2024-05-01,Removed-From-Cart,5\n"
    )
    data = read_dataset(folder({"items.csv": "item_id\n1\n2\n3\n", "events.csv": events}))
    assert {user: data.interactions.history(u).tolist() for u, user in enumerate(data.interactions.user_ids)} == {
        "ann": [0, 1],
        "bob": [2],
    }
    assert data.rejected_below == 3.0
    # Bob took it again after he had sent it back.
    assert {user: data.rejected.history(u).tolist() for u, user in enumerate(data.rejected.user_ids)} == {
        "ann": [1, 2],
        "eve": [0],
    }
    assert data.summary.tables[1] == TableSummary(
        "events.csv",
        7,
        3,
        {},
        {
            "by event_type RETURN": 1,
            "by event_type Removed-From-Cart": 1,
            "by event_type refunded": 1,
            "by rating below 3": 1,
        },
    )


def test_dataset_toml_says_which_events_are_positive(folder: Folder) -> None:
    events = (
        "user_id,item_id,timestamp,event_type,rating\n"
        "ann,1,2024-05-01,return,1\nann,2,2024-05-02,view,5\nann,3,2024-05-02,buy,3\n"
    )
    settings = '[events]\nignore_types = ["View", "wishlist"]\nmin_rating = 0\n'
    root = folder({"items.csv": "item_id\n1\n2\n3\n", "events.csv": events, "dataset.toml": settings})
    data = read_dataset(root)
    assert data.interactions.history(0).tolist() == [0, 2]
    (group,) = data.problems
    assert (group.kind, group.severity) == ("unknown event type", "warning")
    assert "ignore_types has 'wishlist', which no event has" in group.examples[0].message
    (root / "dataset.toml").write_text("[events]\nignore_types = []\nmin_rating = 2.5\n")
    assert read_dataset(root).interactions.history(0).tolist() == [1, 2]


def test_an_item_that_was_only_shown_was_neither_taken_nor_rejected(folder: Folder) -> None:
    events = (
        "user_id,item_id,timestamp,event_type,rating\n"
        "ann,1,2024-05-01,view,\nann,2,2024-05-02,impression,\nann,3,2024-05-03,return,\nann,3,2024-05-04,Impression,1\n"
    )
    data = read_dataset(folder({"items.csv": "item_id\n1\n2\n3\n", "events.csv": events}))
    assert data.interactions.history(0).tolist() == [0]
    # That it was shown again does not undo the return.
    assert data.rejected.history(0).tolist() == [2]
    assert data.summary.tables[1] == TableSummary(
        "events.csv",
        4,
        1,
        {},
        {"by event_type Impression": 1, "by event_type impression": 1, "by event_type return": 1},
    )


def test_quotes_in_tsv_are_plain_characters(folder: Folder) -> None:
    items = 'item_id\ttitle\n1\t"Great" Expectations\n2\t6" ruler\n3\t"open\n'
    data = read_dataset(folder({"items.tsv": items}))
    assert data.catalogue.titles == ('"Great" Expectations', '6" ruler', '"open')


def test_quoted_csv_with_line_breaks(folder: Folder) -> None:
    items = 'item_id,title\n1,"one, ""two""\nthree"\n2,plain\n'
    assert read_dataset(folder({"items.csv": items})).catalogue.titles == ('one, "two"\nthree', "plain")


def test_words_that_look_like_missing_values_stay_words(folder: Folder) -> None:
    items = "item_id,title,size\n1,NA,null\n2,None,nan\n3,,N/A\n"
    catalogue = read_dataset(folder({"items.csv": items})).catalogue
    assert catalogue.titles == ("NA", "None", "")
    assert catalogue.attributes["size"] == ("null", "nan", "N/A")


def test_a_byte_order_mark_windows_line_ends_and_blank_lines(folder: Folder) -> None:
    items = b"\xef\xbb\xbfitem_id,title\r\n1,one\r\n\r\n2,two\r\n\r\n"
    catalogue = read_dataset(folder({"items.csv": items})).catalogue
    assert (catalogue.item_ids, catalogue.titles) == (("1", "2"), ("one", "two"))


def test_a_lone_carriage_return_in_tsv_is_no_line_end(folder: Folder) -> None:
    assert read_dataset(folder({"items.tsv": b"item_id\ttitle\n1\ta\rb\n"})).catalogue.titles == ("a\rb",)


def test_jsonl_values_of_any_kind_become_text(folder: Folder) -> None:
    rows = [
        {"item_id": 7, "title": None, "tags": ["a", "b"], "new": True, "price": 2.5},
        {"item_id": "007", "size": {"w": 1}, "date": "2024-01-01"},
    ]
    catalogue = read_dataset(folder({"items.jsonl": "\n".join(map(json.dumps, rows))})).catalogue
    assert catalogue.item_ids == ("7", "007")
    assert catalogue.titles == ("", "")
    assert catalogue.attributes == {
        "tags": ("a|b", ""),
        "new": ("true", ""),
        "price": ("2.5", ""),
        "size": ("", '{"w": 1}'),
        "date": ("", "2024-01-01"),
    }


def test_parquet_integers_become_decimal_text(folder: Folder) -> None:
    root = folder({})
    items = {
        "item_id": pa.array([10, 2]),
        "title": pa.array([None, "x"]),
        "tags": pa.array([["a", "b"], None]),
    }
    pq.write_table(pa.table(items), root / "items.parquet")
    events = {
        "user_id": pa.array(["u", "u"]).dictionary_encode(),
        "item_id": pa.array([2, 10]),
        "timestamp": pa.array([1_700_000_001_000_000_000, 1_700_000_000_000_000_000], pa.timestamp("ns")),
        "rating": pa.array([None, 3.5]),
    }
    pq.write_table(pa.table(events), root / "events.parquet")
    data = read_dataset(root)
    assert data.catalogue.item_ids == ("10", "2")
    assert data.catalogue.attributes == {"tags": ("a|b", "")}
    assert data.interactions.history(0).tolist() == [0, 1]
    assert data.interactions.times_E.tolist() == [1_700_000_000, 1_700_000_001]


def test_bytes_in_parquet_that_are_no_utf8(folder: Folder) -> None:
    root = folder({})
    titles = pa.array([b"fine", b"caf\xe9"]).view(pa.string())
    pq.write_table(pa.table({"item_id": ["1", "2"], "title": titles}), root / "items.parquet")
    with pytest.raises(InvalidDatasetError, match=r"items.parquet:2: byte 0xe9 in 'title' is not UTF-8"):
        read_dataset(root)


def test_gzipped_tables(folder: Folder) -> None:
    root = folder({"items.tsv.gz": gzip.compress(b"item_id\ttitle\n1\tone\n")})
    assert read_dataset(root).catalogue.titles == ("one",)


def test_only_items_with_a_picture(folder: Folder, encoded: Callable[..., bytes]) -> None:
    root = folder()
    (root / "images").mkdir()
    (root / "images" / "9.png").write_bytes(encoded())
    data = read_dataset(root, require="picture")
    assert data.catalogue.item_ids == ("9",)
    assert data.interactions.user_ids == ("bob",)
    assert data.interactions.items_E.tolist() == [0]


def test_only_items_with_words(folder: Folder) -> None:
    data = read_dataset(folder({"items.tsv": "item_id\ttitle\tcolour\n1\t\t\n2\t \tred\n3\tHat\t\n"}), require="words")
    assert data.catalogue.item_ids == ("2", "3")


def test_no_item_has_a_picture(folder: Folder) -> None:
    with pytest.raises(InvalidDatasetError, match=r"no item of .* has a picture"):
        read_dataset(folder(), require="picture")


def test_a_requirement_that_does_not_exist(folder: Folder) -> None:
    with pytest.raises(InvalidArgumentError, match="'sound'; it must be"):
        read_dataset(folder(), require="sound")  # type: ignore[arg-type]


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        read_dataset(tmp_path / "nowhere")


REFUSED = {
    "no items table": ({"events.tsv": "user_id\titem_id\ttimestamp\n"}, "there is no items table"),
    "two items tables": (
        {"items.tsv": "item_id\n1\n", "items.csv": "item_id\n1\n"},
        "items.csv and items.tsv are both there",
    ),
    "no item_id": (
        {"items.tsv": "id\ttitle\n1\tx\n"},
        "items.tsv:1: there is no column 'item_id'; the columns are 'id'",
    ),
    "no rows": ({"items.tsv": "item_id\n"}, "items.tsv: the table has no rows"),
    "empty file": ({"items.tsv": ""}, "items.tsv:1: the file is empty"),
    "repeated id": ({"items.tsv": "item_id\n1\n2\n1\n"}, "items.tsv:4: item_id '1' was there before, at 2"),
    "empty id": ({"items.tsv": "item_id\ttitle\n1\tx\n\ty\n"}, "items.tsv:3: item_id is empty"),
    "repeated column": (
        {"items.csv": "item_id,a,a\n1,2,3\n"},
        "items.csv:1: the column 'a' is there 2 times",
    ),
    "ragged row": (
        {"items.csv": "item_id,t\n1,a\n2,b,c\n"},
        "items.csv:3: the row has 3 fields, the header has 2",
    ),
    "open quote": ({"items.csv": 'item_id,t\n1,a\n2,"b\n3,c\n'}, "items.csv:3: the quotes of the row"),
    "latin-1": (
        {"items.tsv": b"item_id\ttitle\n1\tok\n2\tcaf\xe9\n"},
        "items.tsv:3: byte 0xe9 at position 6",
    ),
    "utf-16": ({"items.csv": "item_id\n1\n".encode("utf-16")}, "items.csv: is UTF-16; tables are UTF-8"),
    "no json": (
        {"items.jsonl": '{"item_id": "1"}\n{item_id: 2}\n'},
        "items.jsonl:2: '{item_id: 2}' is not JSON",
    ),
    "json list": ({"items.jsonl": "[1]\n"}, "items.jsonl:1: '[1]' is no object"),
    "float ids": ({"items.jsonl": '{"item_id": 1.5}\n'}, "items.jsonl:1: item_id is a number with a decimal point"),
    "surrogate": (
        {"items.jsonl": '{"item_id": "\\ud800"}\n'},
        "items.jsonl:1: 'item_id' holds half of a surrogate",
    ),
    "not parquet": ({"items.parquet": b"PAR1 no"}, "items.parquet: is not a readable Parquet file"),
    "not gzip": (
        {"items.csv.gz": b"item_id\n1\n"},
        "items.csv.gz: cannot be read: it is not a whole gzip file",
    ),
    "no user column": (
        {"items.tsv": "item_id\n1\n", "events.tsv": "who\titem_id\ttimestamp\n"},
        "events.tsv:1: there is no column 'user_id'",
    ),
    "no order": (
        {"items.tsv": "item_id\n1\n", "events.tsv": "user_id\titem_id\nu\t1\n"},
        "neither a column 'timestamp' nor 'position'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_with_file_and_row(folder: Folder, case: str) -> None:
    files, message = REFUSED[case]
    with pytest.raises(InvalidDatasetError) as refused:
        read_dataset(folder(files))
    assert message in refused.value.message
    assert "mmrec check" in refused.value.message


def test_a_long_list_of_problems_is_cut(folder: Folder) -> None:
    with pytest.raises(InvalidDatasetError, match="and 15 more"):
        read_dataset(folder({"items.tsv": "item_id\n" + "1\n" * 21}))
