"""Converts a column of any Arrow type to text, so that each type keeps its meaning.

Unit of work: one column. Numbers are the shortest decimal text of their own width (a 32-bit 12.99 is ``12.99``),
decimals are written out, NaN is no value and an infinity is ``inf``. Dates and timestamps are ISO 8601 with at most six
digits of a second, in UTC with ``Z`` where the type has a time zone and without a zone where it has none; durations
are seconds. Lists are joined by ``|``, structs and maps are JSON, fixed-size bytes are hexadecimal, other bytes are
UTF-8. Needs numpy and pyarrow alone. Knows nothing of files.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import islice, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

TEXT = pa.large_string()
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY_MS = 86_400_000


def as_text(column: Any) -> Any:
    """A pyarrow column as text, '' where there is no value. Shape: (rows,), large strings.

    Raises:
        pa.ArrowException, UnicodeDecodeError: a value holds bytes that are not UTF-8.
    """
    array = plain_array(column)
    return pc.fill_null(_text(array), "")


def plain_array(column: Any) -> Any:
    """A column as one plain array: not chunked, and without dictionary, run-end or extension encoding.

    Of an unknown extension type, the storage is the value.
    """
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], type=column.type)
    kind = column.type
    if pa.types.is_dictionary(kind):
        if not len(column.dictionary):
            # Indices below a null parent may point anywhere.
            return plain_array(pa.nulls(len(column), kind.value_type))
        return plain_array(column.dictionary).take(column.indices)
    if pa.types.is_run_end_encoded(kind):
        return plain_array(pc.run_end_decode(column))
    if isinstance(kind, pa.BaseExtensionType):
        storage = column.storage
        if kind.extension_name == "arrow.uuid":
            return _map_values(storage, lambda value: str(uuid.UUID(bytes=value)))
        if kind.extension_name == "arrow.bool8":
            return pc.not_equal(storage, 0)
        return plain_array(storage)
    return column


def value_text(value: object) -> str:
    """A JSON value as text: lists are joined by ``|``, mappings stay JSON, null and NaN are ''."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    if isinstance(value, list):
        return "|".join(filter(None, (value_text(entry) for entry in value)))
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _text(array: Any) -> Any:
    """Large strings, null where there is no value."""
    kind = array.type
    if pa.types.is_floating(kind):
        return _floats(array)
    if pa.types.is_decimal(kind):
        return _map_values(array, lambda value: format(value, "f"))
    if pa.types.is_date(kind):
        days = _stored_numbers(array) // (1 if pa.types.is_date32(kind) else _DAY_MS)
        return _from_numpy(np.datetime_as_string(days.astype("datetime64[D]")), array)
    if pa.types.is_timestamp(kind):
        return _timestamps(array)
    if pa.types.is_time(kind):
        return _without_zeros(array.cast(TEXT))
    if pa.types.is_duration(kind):
        scale = _PER_SECOND[kind.unit]
        return _without_zeros(_map_values(array.cast(pa.int64()), lambda value: format(Decimal(value) / scale, "f")))
    if pa.types.is_fixed_size_binary(kind):
        return _map_values(array, bytes.hex)
    if _is_list(kind):
        return _lists(array)
    if pa.types.is_struct(kind) or pa.types.is_map(kind):
        return _text_array(
            [None if value is None else json.dumps(value, ensure_ascii=False) for value in json_values(array)]
        )
    try:
        return array.cast(TEXT)
    except pa.ArrowNotImplementedError:
        return _map_values(array, str)


def _floats(array: Any) -> Any:
    numbers = array.to_numpy(zero_copy_only=False)  # NaN where there is none
    texts = _text_array(numbers.astype(str))
    return pc.if_else(pa.array(np.isnan(numbers)), pa.scalar(None, TEXT), texts)


def _timestamps(array: Any) -> Any:
    unit = array.type.unit
    numbers = _stored_numbers(array)
    if unit == "ns":
        numbers, unit = numbers // 1000, "us"  # at most six digits of a second
    times = numbers.astype(f"datetime64[{unit}]")
    texts = _without_zeros(_from_numpy(np.datetime_as_string(times), array))
    return (
        texts
        if array.type.tz is None
        else pc.binary_join_element_wise(texts, pa.scalar("Z", TEXT), pa.scalar("", TEXT))
    )


def _lists(array: Any) -> Any:
    entries = iter(as_text(pc.list_flatten(array)).to_pylist())
    lengths = pc.list_value_length(array).to_pylist()
    return _text_array([None if n is None else "|".join(filter(None, islice(entries, n))) for n in lengths])


def json_values(column: Any) -> list[Any]:
    """The values of a column as JSON values; types that JSON lacks become text. Length: rows."""
    array = plain_array(column)
    kind = array.type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return list(array.to_pylist())
    if pa.types.is_floating(kind):
        numbers = [None if text is None else float(text) for text in _floats(array).to_pylist()]
        return [str(number) if number is not None and math.isinf(number) else number for number in numbers]
    if _is_list(kind):
        entries = iter(json_values(pc.list_flatten(array)))
        lengths = pc.list_value_length(array).to_pylist()
        return [None if n is None else list(islice(entries, n)) for n in lengths]
    valid = array.is_valid().to_pylist()
    if pa.types.is_struct(kind):
        names = [field.name for field in kind]
        columns = [json_values(array.field(index)) for index in range(kind.num_fields)]
        rows = zip(*columns, strict=True) if columns else iter([()] * len(array))
        return [
            dict(zip(names, row, strict=True)) if is_valid else None for row, is_valid in zip(rows, valid, strict=True)
        ]
    if pa.types.is_map(kind):
        # Not cast to a list of pairs: Arrow ends the process where rows are a slice and a value has a field of nulls.
        begins = array.offsets.to_pylist() or [0]
        used = slice(begins[0], begins[-1])
        pairs = list(zip(as_text(array.keys[used]).to_pylist(), json_values(array.items[used]), strict=True))
        places = [(begin - used.start, end - used.start) for begin, end in pairwise(begins)]
        return [dict(pairs[begin:end]) if has else None for (begin, end), has in zip(places, valid, strict=True)]
    return list(_text(array).to_pylist())


def _stored_numbers(array: Any) -> Any:
    """The stored integers of dates and timestamps, 0 for null. Shape: (rows,), int64."""
    bits = pa.int32() if array.type.bit_width == 32 else pa.int64()
    return pc.fill_null(array.cast(bits), 0).to_numpy(zero_copy_only=False).astype(np.int64)


def _map_values(array: Any, write: Callable[[Any], str]) -> Any:
    return _text_array([None if value is None else write(value) for value in array.to_pylist()])


def _text_array(values: Sequence[str | None] | npt.NDArray[np.str_]) -> Any:
    return pa.array(values, TEXT)


def _from_numpy(texts: npt.NDArray[np.str_], array: Any) -> Any:
    """Texts with the nulls of another array."""
    return pc.if_else(array.is_valid(), _text_array(texts), pa.scalar(None, TEXT))


def _without_zeros(texts: Any) -> Any:
    """Times and numbers without trailing zeros in the fraction."""
    return pc.replace_substring_regex(pc.replace_substring_regex(texts, r"\.0+$", ""), r"(\.[0-9]*[1-9])0+$", r"\1")


def _is_list(kind: Any) -> bool:
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )
