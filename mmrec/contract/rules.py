"""The rules that values of requests are held to: whole numbers, ids, texts, pictures, lists.

Unit of work: one value. Each check returns the value in its one exact form, or refuses it with the name of its field,
what was received, the rule and the mend. Knows nothing of requests.
"""

from __future__ import annotations

import math
import operator
import os
import re
from array import array
from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import TypeVar

from mmrec.errors import InvalidArgumentError, InvalidImageError, NotFoundError

E = TypeVar("E", bound=Enum)
T = TypeVar("T")

DEFAULT_K = 10
"""Items returned when the caller does not say how many."""
MAX_K = 1000
"""More than this is coerced down to it."""
MAX_HISTORY = 1000
"""Only the most recent this many history items are read."""
MAX_BEAM_WIDTH = 2000
"""More beams than this are coerced down to it."""
MAX_BATCH = 1000
"""Most items, ids or requests in one call that takes several."""
MAX_LIST_IDS = 100_000
"""Most ids in an allow or deny list."""
MAX_ID_CHARS = 512
MAX_TEXT_CHARS = 100_000
"""Longest text accepted, in characters. Encoders truncate much earlier; this guards memory."""
MAX_PICTURE_BYTES = 20 * 1024 * 1024
"""Largest encoded picture accepted, in bytes."""


DEFAULT_PAGE = 100
"""Groups or items a page when the caller does not say how many."""
DEFAULT_TAGS = 5
"""Labels returned per item when the caller does not say how many."""
MAX_LABELS = 10_000
"""Most labels in one question."""
MAX_LABEL_CHARS = 1_000
"""Longest label, and longest sentence around one, in characters."""
MAX_TEMPLATES = 32
"""Most sentences that labels are put into."""
MAX_FILTER_CHARS = 10_000
"""Longest condition over the columns, in characters."""
MAX_TOKEN_CHARS = 1_000_000
"""Longest page token that is looked at, in characters."""
MAX_VECTOR = 65_536
"""Most numbers in a vector to search by."""
MAX_REQUEST_ID_CHARS = 128
"""Longest id of a change, in characters."""
CONTROL_CHARACTERS = "[\\x00-\\x1f\\x7f-\\x9f]"
"""What the id of an item must not hold, as a regular expression."""
_CONTROL_CHARACTER = re.compile(CONTROL_CHARACTERS)


def whole_number(value: object, where: str) -> int:
    """A whole number of any kind, numpy's included."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)  # type: ignore[arg-type]  # numpy's whole numbers count as well
    except TypeError:
        raise InvalidArgumentError(
            f"{where} is {value!r:.80}; it must be a whole number, 0 or more", field=where
        ) from None


def checked_k(k: int) -> int:
    """How many items: 0 means `DEFAULT_K`, more than `MAX_K` is coerced to it."""
    return checked_size(k, "k", DEFAULT_K)


def checked_size(size: int, where: str, default: int) -> int:
    """Entries of a list or page: 0 means the default, more than `MAX_K` is coerced to it."""
    size = whole_number(size, where)
    if size < 0:
        raise InvalidArgumentError(
            f"{where} is {size}; it must be 0 or more (0 means the default of {default})", field=where
        )
    return min(size or default, MAX_K)


def checked_share(value: float, where: str, ends: str = "", *, low: float = 0.0, high: float = 1.0) -> float:
    """A number from `low` to `high`; `ends` says what these two mean."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InvalidArgumentError(
            f"{where} is {value!r:.80}; it must lie between {ends or f'{low:g} and {high:g}'}", field=where
        )
    return float(value)


def checked_number(value: float, where: str, rule: str = "a finite number", *, low: float = -math.inf) -> float:
    """A finite number from `low` upwards; `rule` says so in words."""
    try:
        fits = not isinstance(value, bool) and math.isfinite(value) and value >= low
    except (TypeError, OverflowError):
        fits = False
    if not fits:
        raise InvalidArgumentError(f"{where} is {value!r:.80}; it must be {rule}", field=where)
    return float(value)


def checked_choice(kind: type[E], value: E | str, where: str) -> E:
    """A member of an enum, given as itself or as its word."""
    try:
        return kind(value)
    except ValueError:
        words = ", ".join(str(member.value) for member in kind)
        raise InvalidArgumentError(f"{where} is {value!r:.80}; it must be one of {words}", field=where) from None


def checked_flag(value: bool, where: str) -> bool:
    """True or False, and nothing that is merely taken for one of them."""
    if not isinstance(value, bool):
        raise InvalidArgumentError(f"{where} is {value!r:.80}; it must be True or False", field=where)
    return value


def checked_list(values: Iterable[T], where: str, what: str) -> tuple[T, ...]:
    """The entries of a list of `what`; a single string is none."""
    if isinstance(values, str | bytes):
        raise InvalidArgumentError(
            f"{where} is the single string {values!r:.80}; pass a list of {what}, as in [{values!r:.80}]", field=where
        )
    try:
        return tuple(values)
    except TypeError:
        raise InvalidArgumentError(f"{where} is {values!r:.80}; pass a list of {what}", field=where) from None


def checked_vector(values: Iterable[float], where: str) -> tuple[float, ...]:
    """Numbers of a vector, each as near as 32 bits come, not all of them 0.

    Args:
        values: Shape: (D,), of anything that holds numbers.
        where: Name of the field.
    """
    try:
        numbers = tuple(array("f", [float(value) for value in values]))
    except (TypeError, ValueError, OverflowError):
        raise InvalidArgumentError(f"{where} is no list of numbers that fit into 32 bits", field=where) from None
    if len(numbers) > MAX_VECTOR:
        raise InvalidArgumentError(
            f"{where} has {len(numbers):,} numbers; at most {MAX_VECTOR:,} are accepted", field=where
        )
    if numbers and (not all(math.isfinite(number) for number in numbers) or not any(numbers)):
        raise InvalidArgumentError(
            f"{where} holds a number that is not finite, or nothing but zeros; it has no direction", field=where
        )
    return numbers


def checked_unicode(text: str, where: str) -> str:
    """Text that can be written down: no halves of surrogate pairs."""
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError as err:
        raise InvalidArgumentError(
            f"{where} holds half of a surrogate pair at character {err.start}, which is not text; mend its decoding",
            field=where,
        ) from None
    return text


def checked_id(value: object, where: str) -> str:
    """An id, possibly empty."""
    if not isinstance(value, str):
        raise InvalidArgumentError(
            f"{where} is {value!r:.80} ({type(value).__name__}); ids are strings, so pass {str(value)!r:.80}",
            field=where,
        )
    if len(value) > MAX_ID_CHARS:
        raise InvalidArgumentError(
            f"{where} has {len(value)} characters; an id has at most {MAX_ID_CHARS}", field=where
        )
    return checked_unicode(value, where)


def checked_new_id(value: object, where: str) -> str:
    """The id of an item or user that is described, possibly empty; one with control characters is refused."""
    checked = checked_id(value, where)
    found = None if checked.isprintable() else _CONTROL_CHARACTER.search(checked)
    if found is not None:
        raise InvalidArgumentError(
            f"{where} {checked!r:.80} has the control character U+{ord(found.group()):04X}, which can be neither shown "
            "nor typed; write the id without it",
            field=where,
        )
    return checked


def checked_ids(
    values: Sequence[str], where: str, *, last: int | None = None, most: int | None = None
) -> tuple[str, ...]:
    """Ids of a list: of all of it (refused when there are over `most`), or of its `last` so many entries."""
    if isinstance(values, str | bytes):
        raise InvalidArgumentError(
            f"{where} is the single string {values!r:.80}; pass a list of ids, as in [{values!r:.80}]", field=where
        )
    if not isinstance(values, Sequence):
        try:
            values = tuple(values)
        except TypeError:
            raise InvalidArgumentError(f"{where} is {values!r:.80}; pass a list of ids", field=where) from None
    if most is not None and len(values) > most:
        raise InvalidArgumentError(f"{where} has {len(values):,} ids; at most {most:,} are accepted", field=where)
    first = max(0, len(values) - last) if last is not None else 0
    return tuple(checked_id(value, f"{where}[{first + i}]") for i, value in enumerate(values[first:]))


def checked_item_ids(item_ids: Sequence[str]) -> tuple[str, ...]:
    """Ids of a look-up.

    Raises:
        InvalidArgumentError: an entry is no string, or there are more than `MAX_BATCH`.
    """
    return checked_ids(item_ids, "item_ids", most=MAX_BATCH)


def checked_text(text: str, where: str, most: int = MAX_TEXT_CHARS) -> str:
    """Text of at most `most` characters, possibly empty."""
    if not isinstance(text, str):
        raise InvalidArgumentError(f"{where} is a {type(text).__name__}; it must be a string", field=where)
    if len(text) > most:
        raise InvalidArgumentError(
            f"{where} has {len(text):,} characters; at most {most:,} are accepted: shorten it", field=where
        )
    return checked_unicode(text, where)


def checked_page_token(token: str) -> str:
    """A page token that is not longer than a list by pages can be."""
    if isinstance(token, str) and len(token) > MAX_TOKEN_CHARS:
        raise InvalidArgumentError(
            f"page_token has {len(token):,} characters and at most {MAX_TOKEN_CHARS:,} are accepted: a list that is "
            "not in the order of ids goes on for some 125,000 items; narrow the question down by a filter",
            field="page_token",
        )
    return checked_text(token, "page_token", MAX_TOKEN_CHARS)


def read_picture(picture: bytes | str | os.PathLike[str] | None, where: str = "image") -> bytes | None:
    """Encoded bytes of a picture given as bytes or as a path; None stays None.

    Raises:
        NotFoundError: the path does not exist or cannot be read.
        InvalidImageError: it is empty, or larger than `MAX_PICTURE_BYTES`.
        InvalidArgumentError: it is neither bytes nor a path.
    """
    if picture is None:
        return None
    if isinstance(picture, str | os.PathLike):
        path = Path(picture)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_PICTURE_BYTES + 1)
        except OSError as err:
            raise NotFoundError(f"{where}: cannot read the picture file {str(path)!r}: {err.strerror}") from err
    elif isinstance(picture, bytes | bytearray | memoryview):
        data = bytes(picture)
    else:
        raise InvalidArgumentError(
            f"{where} is a {type(picture).__name__}; pass the encoded bytes of a picture file or its path", field=where
        )
    if not data:
        raise InvalidImageError(f"{where} is empty (0 bytes); pass a JPEG, PNG, WebP, GIF or BMP file", field=where)
    if len(data) > MAX_PICTURE_BYTES:
        raise InvalidImageError(
            f"{where} has more than {MAX_PICTURE_BYTES // 2**20} MiB; scale it down before sending", field=where
        )
    return data
