"""Parquet of any type: as attributes of items that filters take, and as times, positions and ratings of events."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmrec.data.check import check_dataset
from mmrec.data.dataset import read_dataset
from mmrec.data.streaming import ItemStream
from mmrec.filters.filter import CatalogueFilter

Folder = Callable[..., Path]
NOON = 1_717_156_800  # 2024-05-31T12:00:00Z


def test_filters_take_what_a_typed_table_holds(folder: Folder) -> None:
    root = folder({})
    items = {
        "item_id": pa.array(["1", "2"], pa.string_view()),
        "price": pa.array([12.99, 50], pa.float32()),
        "cost": pa.array([Decimal("12.99"), None], pa.decimal128(10, 2)),
        "added": pa.array([NOON * 10**9 + 1, None], pa.timestamp("ns")),
        "sold": pa.array([NOON * 10**9 + 1, 0], pa.timestamp("ns", "Europe/Berlin")),
        "colour": pa.array(["red", "blue"]).dictionary_encode(),
        "new": pa.array([True, False]),
        "length": pa.array([90, 10], pa.duration("s")),
    }
    pq.write_table(pa.table(items), root / "items.parquet", store_schema=True)
    filters = CatalogueFilter(read_dataset(root).catalogue)
    for condition in (
        "price = 12.99",
        "price < 50",
        "cost >= 12.99",
        "added > '2024-05-31T11:59:59Z'",
        "added < '2024-06-01'",
        "sold > '2024-05-31'",
        "colour = 'red'",
        "new = true",
        "length > 60",
    ):
        assert filters.bitmap(condition).tolist() == [True, False], condition
    (window,) = ItemStream(root, 9).windows()
    assert dict(window.items[0].attributes) == {
        "price": "12.99",
        "cost": "12.99",
        "added": "2024-05-31T12:00:00",
        "sold": "2024-05-31T12:00:00Z",
        "colour": "red",
        "new": "true",
        "length": "90",
    }


TIMES: dict[str, Any] = {
    "seconds": pa.array([NOON + 1, NOON]),
    "milliseconds in a dictionary": pa.array([NOON * 1000 + 1000, NOON * 1000]).dictionary_encode(),
    "decimals": pa.array([Decimal(NOON + 1), Decimal(NOON)], pa.decimal128(20, 3)),
    "doubles": pa.array([NOON + 1.0, NOON + 0.0]),
    "strings": pa.array([str(NOON + 1), "2024-05-31T12:00:00Z"], pa.string_view()),
    "bytes": pa.array([str(NOON + 1).encode(), b"2024-05-31 12:00:00"], pa.binary()),
    "moments in ns": pa.array([(NOON + 1) * 10**9, NOON * 10**9], pa.timestamp("ns")),
    "moments in a zone": pa.array([(NOON + 1) * 10**9, NOON * 10**9], pa.timestamp("ns", "America/New_York")),
    "moments in s": pa.array([NOON + 1, NOON], pa.timestamp("s", "UTC")),
    "moments in a dictionary": pa.array([NOON + 1, NOON], pa.timestamp("s")).dictionary_encode(),
}


@pytest.mark.parametrize("case", TIMES)
def test_times_of_events_of_any_type(folder: Folder, case: str) -> None:
    root = folder({"items.tsv": "item_id\n7\n8\n"})
    columns = {"user_id": ["ann", "ann"], "item_id": ["7", "8"], "timestamp": TIMES[case]}
    pq.write_table(pa.table(columns), root / "events.parquet")
    assert [problem for problem in check_dataset(root).examples if problem.severity == "error"] == []
    interactions = read_dataset(root).interactions
    assert interactions.times_E.tolist() == [NOON, NOON + 1]
    assert interactions.history(0).tolist() == [1, 0]


@pytest.mark.parametrize(
    "array",
    [
        pa.array([datetime.date(2024, 5, 31), datetime.date(2024, 5, 30)]),
        pa.array([datetime.date(2024, 5, 31), datetime.date(2024, 5, 30)], pa.date64()),
        pa.array([datetime.date(2024, 5, 31), datetime.date(2024, 5, 30)]).dictionary_encode(),
    ],
    ids=["date32", "date64", "dictionary"],
)
def test_dates_of_events(folder: Folder, array: Any) -> None:
    root = folder({"items.tsv": "item_id\n7\n8\n"})
    pq.write_table(
        pa.table({"user_id": ["a", "a"], "item_id": ["7", "8"], "timestamp": array}), root / "events.parquet"
    )
    assert read_dataset(root).interactions.history(0).tolist() == [1, 0]


@pytest.mark.parametrize(
    "kind",
    [pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.decimal128(9, 2), pa.decimal256(40, 1), pa.string_view()],
)
def test_positions_and_ratings_of_any_type(folder: Folder, kind: Any) -> None:
    root = folder({"items.tsv": "item_id\n7\n8\n"})
    values = pa.array([2, 1]).cast(pa.string()).cast(kind) if kind == pa.string_view() else pa.array([2, 1], kind)
    for numbers in (values, values.dictionary_encode()) if kind not in (pa.float16(), pa.string_view()) else (values,):
        columns = {"user_id": ["a", "a"], "item_id": ["7", "8"], "position": numbers, "rating": numbers}
        pq.write_table(pa.table(columns), root / "events.parquet")
        assert [problem for problem in check_dataset(root).examples if problem.severity == "error"] == []
        assert read_dataset(root).interactions.history(0).tolist() == [1, 0]


def test_bytes_that_are_no_text_name_their_rows(folder: Folder) -> None:
    root = folder({})
    title = pa.array([b"good", b"\xffbad", b"fine"], pa.binary())
    for column in (title, title.cast(pa.string(), safe=False), title.cast(pa.string(), safe=False).dictionary_encode()):
        pq.write_table(pa.table({"item_id": ["1", "2", "3"], "title": column}), root / "items.parquet")
        (problem,) = check_dataset(root).examples
        assert (problem.row, problem.column, problem.kind) == (2, "title", "bad encoding")
        (window,) = ItemStream(root, 9).windows()
        assert [item.item_id for item in window.items] == ["1", "3"]
    tags = pa.ListArray.from_arrays([0, 1, 3], title.cast(pa.string(), safe=False))
    pq.write_table(pa.table({"item_id": ["1", "2"], "tags": tags}), root / "items.parquet")
    (problem,) = check_dataset(root).examples
    assert (problem.row, problem.column) == (2, "tags")


def test_ids_that_are_decimal_numbers_are_refused(folder: Folder) -> None:
    root = folder({})
    pq.write_table(pa.table({"item_id": [1.0, 2.0]}), root / "items.parquet")
    (problem,) = check_dataset(root).examples
    assert (problem.kind, problem.message[:28]) == ("id type", "item_id holds decimal number")


VALUES = [
    (pa.float32(), st.floats(width=32, allow_nan=False, allow_infinity=False), lambda v: float(v)),
    (pa.int32(), st.integers(-(2**31), 2**31 - 1), str),
    (pa.bool_(), st.booleans(), lambda v: "true" if v else "false"),
    (pa.date32(), st.dates(), datetime.date.isoformat),
    (pa.decimal128(12, 3), st.decimals(-(10**8), 10**8, places=3), lambda v: format(v, "f")),
    (pa.string(), st.text(st.characters(exclude_categories=["Cs"]), min_size=1), str),
    (pa.binary(4), st.binary(min_size=4, max_size=4), bytes.hex),
]


@given(st.data(), st.sampled_from(range(len(VALUES))), st.booleans(), st.booleans())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_written_to_parquet_and_read_every_value_is_its_text(
    tmp_path: Path, data: st.DataObject, number: int, listed: bool, large: bool
) -> None:
    kind, values, text = VALUES[number]
    column = data.draw(
        st.lists(st.none() | (st.lists(values, min_size=1, max_size=3) if listed else values), min_size=1, max_size=9)
    )
    array = pa.array(column, (pa.large_list if large else pa.list_)(kind) if listed else kind)
    ids = pa.array([str(n) for n in range(len(column))])
    pq.write_table(pa.table({"item_id": ids, "x": array}), tmp_path / "items.parquet")
    found = [item.attributes["x"] for window in ItemStream(tmp_path, 4).windows() for item in window.items]
    catalogue = read_dataset(tmp_path).catalogue
    assert tuple(found) == tuple(catalogue.attributes["x"])
    for value, got in zip(column, found, strict=True):
        expected = "" if value is None else [text(v) for v in value] if listed else text(value)
        if number == 0 and value is not None:
            assert [float(part) for part in got.split("|")] == pytest.approx(
                expected if listed else [expected], rel=1e-6
            )
        else:
            assert got == ("|".join(expected) if listed and value is not None else expected)
