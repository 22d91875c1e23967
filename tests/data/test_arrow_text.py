"""What values of every Arrow type are as text, with literal expectations and without pandas."""

from __future__ import annotations

import datetime
import json
import math
import subprocess
import sys
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmrec.catalogue.catalogue import Catalogue
from mmrec.data.arrow_text import as_text, plain_array
from mmrec.filters.filter import CatalogueFilter

SECOND = 1_717_150_500  # 2024-05-31T10:15:00Z
KNOWN = uuid.UUID("12345678-1234-5678-1234-567812345678")

CASES: dict[str, tuple[Any, list[str]]] = {
    "half": (pa.array([0.1, 12, None, math.nan], pa.float16()), ["0.1", "12.0", "", ""]),
    "float": (pa.array([12.99, 1e-7, math.inf, None], pa.float32()), ["12.99", "1e-07", "inf", ""]),
    "double": (pa.array([12.99, 0.1 + 0.2, -math.inf]), ["12.99", "0.30000000000000004", "-inf"]),
    "decimal32": (pa.array([Decimal("1.20"), None], pa.decimal32(5, 2)), ["1.20", ""]),
    "decimal128": (
        pa.array([Decimal("12.50"), Decimal("0.0000000001")], pa.decimal128(20, 10)),
        ["12.5000000000", "0.0000000001"],
    ),
    "decimal256": (pa.array([Decimal("1e40")], pa.decimal256(60, 1)), ["1" + "0" * 40 + ".0"]),
    "negative scale": (pa.array([Decimal("1200")], pa.decimal128(5, -2)), ["1200"]),
    "int": (pa.array([7, None], pa.int8()), ["7", ""]),
    "uint64": (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
    "bool": (pa.array([True, False, None]), ["true", "false", ""]),
    "null": (pa.nulls(2), ["", ""]),
    "date32": (pa.array([datetime.date(2024, 5, 31), None], pa.date32()), ["2024-05-31", ""]),
    "date64": (pa.array([datetime.date(1969, 12, 31)], pa.date64()), ["1969-12-31"]),
    "timestamp s": (pa.array([SECOND, None], pa.timestamp("s")), ["2024-05-31T10:15:00", ""]),
    "timestamp ms": (pa.array([SECOND * 1000 + 50], pa.timestamp("ms")), ["2024-05-31T10:15:00.05"]),
    "timestamp us": (pa.array([SECOND * 10**6 + 1], pa.timestamp("us")), ["2024-05-31T10:15:00.000001"]),
    "timestamp ns": (pa.array([SECOND * 10**9 + 1999], pa.timestamp("ns")), ["2024-05-31T10:15:00.000001"]),
    "before 1970": (pa.array([-1], pa.timestamp("ns")), ["1969-12-31T23:59:59.999999"]),
    "timestamp in UTC": (pa.array([SECOND], pa.timestamp("s", "UTC")), ["2024-05-31T10:15:00Z"]),
    "timestamp in a zone": (
        pa.array([SECOND, None], pa.timestamp("us", "Europe/Berlin")),
        ["1970-01-01T00:28:37.1505Z", ""],
    ),
    "timestamp at an offset": (pa.array([0], pa.timestamp("ns", "+05:30")), ["1970-01-01T00:00:00Z"]),
    "time32": (pa.array([3661], pa.time32("s")), ["01:01:01"]),
    "time64": (pa.array([3_661_500_000_000], pa.time64("ns")), ["01:01:01.5"]),
    "duration": (pa.array([90, None, -5], pa.duration("s")), ["90", "", "-5"]),
    "duration ns": (pa.array([1_500_000_000, 10**10, 1], pa.duration("ns")), ["1.5", "10", "0.000000001"]),
    "uuid": (pa.array([KNOWN.bytes, None], pa.uuid()), [str(KNOWN), ""]),
    "bool8": (pa.array([1, 0, None], pa.bool8()), ["true", "false", ""]),
    "json": (pa.array(['{"a": 1}'], pa.json_()), ['{"a": 1}']),
    "fixed-size binary": (pa.array([b"\xff\x00", None], pa.binary(2)), ["ff00", ""]),
    "binary": (pa.array(["Hüt".encode(), None], pa.binary()), ["Hüt", ""]),
    "large binary": (pa.array([b"a"], pa.large_binary()), ["a"]),
    "binary view": (pa.array([b"a", None], pa.binary_view()), ["a", ""]),
    "string": (pa.array(["007", "", None]), ["007", "", ""]),
    "large string": (pa.array(["a"], pa.large_string()), ["a"]),
    "string view": (pa.array(["a", None], pa.string_view()), ["a", ""]),
    "dictionary": (pa.array(["a", None, "a"]).dictionary_encode(), ["a", "", "a"]),
    "dictionary of floats": (pa.array([12.99, None], pa.float32()).dictionary_encode(), ["12.99", ""]),
    "run-end encoded": (pa.RunEndEncodedArray.from_arrays([2, 3], ["a", "b"]), ["a", "a", "b"]),
    "list": (pa.array([["a", None, "b"], [], None]), ["a|b", "", ""]),
    "list of floats": (pa.array([[12.99, 1.5], None], pa.list_(pa.float32())), ["12.99|1.5", ""]),
    "large list": (pa.array([[1, 2], None], pa.large_list(pa.int8())), ["1|2", ""]),
    "fixed-size list": (pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2)), ["1|2", "", "3|4"]),
    "list view": (pa.array([[1, 2], None, [3]], pa.list_view(pa.int8())), ["1|2", "", "3"]),
    "large list view": (pa.array([[1], None], pa.large_list_view(pa.int8())), ["1", ""]),
    "list of dates": (pa.array([[datetime.date(2024, 5, 31)]]), ["2024-05-31"]),
    "list of dictionaries": (pa.array([["a", "b"]], pa.list_(pa.dictionary(pa.int8(), pa.string()))), ["a|b"]),
    "list of lists": (pa.array([[["a"], ["b", "c"]]]), ["a|b|c"]),
    "struct": (
        pa.array(
            [{"w": 12.99, "d": datetime.date(2024, 5, 31), "n": None}, None],
            pa.struct({"w": pa.float32(), "d": pa.date32(), "n": pa.int8()}),
        ),
        ['{"w": 12.99, "d": "2024-05-31", "n": null}', ""],
    ),
    "struct without fields": (pa.array([{}], pa.struct([])), ["{}"]),
    "map": (pa.array([[("a", 1), ("b", None)], None], pa.map_(pa.string(), pa.int8())), ['{"a": 1, "b": null}', ""]),
    "list of structs": (pa.array([[{"a": [True, None]}, {"a": None}]]), ['{"a": [true, null]}|{"a": null}']),
    "no rows": (pa.array([], pa.timestamp("us")), []),
}


@pytest.mark.parametrize("case", CASES)
def test_a_type_keeps_its_meaning(case: str) -> None:
    array, expected = CASES[case]
    assert as_text(array).to_pylist() == expected
    assert as_text(pa.chunked_array([array, array])).to_pylist() == expected * 2
    assert (
        as_text(pa.concat_arrays([array, array]).slice(1, len(array))).to_pylist() == (expected * 2)[1 : len(array) + 1]
    )
    assert as_text(pa.chunked_array([], array.type)).to_pylist() == []


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith(("date", "timestamp"))])
def test_dates_are_taken_by_the_filters(case: str) -> None:
    texts = as_text(CASES[case][0]).to_pylist()
    blank = ("",) * len(texts)
    ids = tuple(f"i{row}" for row in range(len(texts)))
    assert CatalogueFilter(Catalogue(ids, blank, blank, blank, {"x": texts})).column("x").kind == "date"


def test_moments_outside_the_calendar_do_not_stop_the_others() -> None:
    assert as_text(pa.array([2**40, 0], pa.timestamp("s"))).to_pylist() == [
        "36812-02-20T00:36:16",
        "1970-01-01T00:00:00",
    ]
    assert as_text(pa.array([-(2**62), 0], pa.timestamp("s"))).to_pylist()[1] == "1970-01-01T00:00:00"


def test_no_type_needs_pandas(tmp_path: Path, child_environment: dict[str, str]) -> None:
    kinds = {
        name: array
        for name, (array, _) in CASES.items()
        if name.startswith(("date", "timestamp", "duration", "time", "list of dates"))
    }
    columns = {name: pa.concat_arrays([array, pa.nulls(4 - len(array), array.type)]) for name, array in kinds.items()}
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as sink, pa.ipc.new_file(sink, pa.table(columns).schema) as writer:
        writer.write_table(pa.table(columns))
    code = (
        "import sys\n"
        "class NoPandas:\n"
        "    def find_spec(name, path, target=None):\n"
        "        if name.partition('.')[0] == 'pandas': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, NoPandas)\n"
        "import json, pyarrow as pa; from mmrec.data.arrow_text import as_text\n"
        f"table = pa.ipc.open_file({str(tmp_path / 't.arrow')!r}).read_all()\n"
        "print(json.dumps({name: as_text(table[name]).to_pylist() for name in table.column_names}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=child_environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = {name: CASES[name][1] + [""] * (4 - len(kinds[name])) for name in kinds}
    assert json.loads(done.stdout) == expected


FLOATS = st.floats(width=32)


@given(st.lists(FLOATS))
def test_a_float_read_back_at_its_width_is_the_same(values: list[float]) -> None:
    texts = as_text(pa.array(values, pa.float32())).to_pylist()
    for value, text in zip(values, texts, strict=True):
        assert text == "" if math.isnan(value) else np.float32(text) == np.float32(value)
        assert len(text) <= 15


ZONES = st.sampled_from([None, "UTC", "Europe/Berlin", "-03:00"])
MOMENTS = st.datetimes(min_value=datetime.datetime(1700, 1, 1), max_value=datetime.datetime(2200, 1, 1))


@given(st.lists(st.none() | MOMENTS), st.sampled_from(["s", "ms", "us", "ns"]), ZONES)
def test_a_moment_reads_back_as_itself(moments: list[datetime.datetime | None], unit: str, zone: str | None) -> None:
    digits = {"s": 10**6, "ms": 10**3, "us": 1, "ns": 1}[unit]
    whole = [m and m.replace(microsecond=m.microsecond // digits * digits) for m in moments]
    array = pa.array(whole, pa.timestamp("us")).cast(pa.timestamp(unit)).cast(pa.int64()).cast(pa.timestamp(unit, zone))
    utc = None if zone is None else datetime.UTC
    read = [datetime.datetime.fromisoformat(text) if text else None for text in as_text(array).to_pylist()]
    assert read == [m and m.replace(tzinfo=utc) for m in whole]


LEAVES = [pa.bool_(), pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.null(), pa.binary(3)]
LEAVES += [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
LEAVES += [pa.date32(), pa.date64(), pa.timestamp("s"), pa.timestamp("ns", "Asia/Tokyo"), pa.duration("ms")]
LEAVES += [pa.time32("ms"), pa.time64("us"), pa.decimal128(12, 3), pa.decimal256(50, 10)]


def _nested(inner: st.SearchStrategy[pa.DataType]) -> st.SearchStrategy[pa.DataType]:
    kinds = [
        pa.list_,
        pa.large_list,
        pa.list_view,
        lambda kind: pa.list_(kind, 2),
        lambda kind: pa.map_("string", kind),
    ]
    pairs = st.tuples(inner, inner).map(lambda pair: pa.struct(list(zip("ab", pair, strict=True))))
    return st.one_of(*(inner.map(kind) for kind in kinds), pairs)


TYPES = st.recursive(st.sampled_from(LEAVES), _nested, max_leaves=3)


@given(TYPES, st.integers(0, 4), st.integers(0, 2**32))
@example(pa.map_("string", pa.struct([("a", pa.null()), ("b", pa.date32())])), 2, 1035)
def test_every_type_becomes_text_of_as_many_rows(kind: pa.DataType, rows: int, seed: int) -> None:
    array = _filled(kind, rows, np.random.default_rng(seed))
    texts = as_text(array)
    assert (len(texts), texts.null_count, texts.type) == (rows, 0, pa.large_string())
    if pa.types.is_struct(kind) or pa.types.is_map(kind):
        for text in texts.to_pylist():
            assert text == "" or isinstance(json.loads(text), dict)
    assert [as_text(array.slice(row, 1))[0].as_py() for row in range(rows)] == texts.to_pylist()


def _filled(kind: pa.DataType, rows: int, rng: np.random.Generator) -> Any:
    """An array with a null here and there, made from plain Python values."""

    def value(kind: pa.DataType) -> Any:
        if pa.types.is_null(kind) or rng.random() < 0.2:
            return None
        if pa.types.is_boolean(kind):
            return bool(rng.integers(2))
        if pa.types.is_floating(kind):
            return np.dtype(kind.to_pandas_dtype()).type(rng.normal())
        if pa.types.is_decimal(kind):
            return Decimal(int(rng.integers(-999, 999))).scaleb(-kind.scale)
        if pa.types.is_struct(kind):
            return {field.name: value(field.type) for field in kind}
        if pa.types.is_map(kind):
            return [(f"k{n}", value(kind.item_type)) for n in range(rng.integers(3))]
        if hasattr(kind, "value_field"):
            return [value(kind.value_type) for _ in range(2)]
        if pa.types.is_fixed_size_binary(kind):
            return rng.bytes(3)
        if pa.types.is_dictionary(kind) or "string" in str(kind):
            return "é|x"[: rng.integers(4)]
        return int(rng.integers(100)) * (86_400_000 if pa.types.is_date64(kind) else 1)

    return pa.array([value(kind) for _ in range(rows)], kind)


def test_values_of_their_own_for_those_who_count_with_them() -> None:
    assert plain_array(pa.array([7, None, 7]).dictionary_encode()).type == pa.int64()
    assert plain_array(pa.chunked_array([pa.array([1]), pa.array([2])])).to_pylist() == [1, 2]
