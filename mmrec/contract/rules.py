"""Validation rules for the fields of requests.

Unit of work: one value and the path of its field. A rule returns the normalized value, or raises an error with the
path, the received value, the rule and the remedy. Knows nothing of any particular request.
"""

from __future__ import annotations

import math
import operator
import os
import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, get_args, get_type_hints

from mmrec.errors import InvalidArgumentError, InvalidImageError, NotFoundError

T = TypeVar("T")

DEFAULT_K = 10
"""Items returned when the caller does not say how many."""
MAX_K = 1000
"""Largest `k`; larger values are coerced to it."""
MAX_HISTORY = 1000
"""Number of most recent history items that are read."""
MAX_BOOST = 1e4
"""Largest boost: far over any score, and small enough that float32 still tells the scores beside it apart."""
MAX_WEIGHTS = 100
"""Most weights by name in one request."""
MAX_BEAM_WIDTH = 2000
"""Largest beam width; larger values are coerced to it."""
MAX_BATCH = 1000
"""Most items, ids or requests in one call."""
MAX_LIST_IDS = 100_000
"""Most ids in an allow or deny list."""
MAX_PROMOTIONS = 100
"""Most promotions in one request."""
MAX_RANKED = 10_000
"""Most items in one request to rank items."""
MAX_EXPLAINED = 100
"""Most items in one request to explain items."""
MAX_RATED = 1_000
"""Most items in one request to predict ratings."""
MAX_PROMOTED_IDS = 10_000
"""Most ids in one promotion."""
MAX_ID_CHARS = 512
MAX_TEXT_CHARS = 100_000
"""Longest text accepted, in characters. Encoders truncate much earlier; this guards memory."""
MAX_ATTRIBUTE_CHARS = 10_000
"""Longest value of a further column in a request, in characters."""
MAX_PICTURE_BYTES = 20 * 1024 * 1024
"""Largest encoded picture accepted, in bytes."""
DEFAULT_PAGE = 100
"""Groups or items per page when the caller does not say how many."""
DEFAULT_TAGS = 5
"""Labels returned per item when the caller does not say how many."""
MAX_LABELS = 10_000
"""Most labels in one request."""
MAX_LABEL_CHARS = 1_000
"""Longest label, and longest template, in characters."""
MAX_TEMPLATES = 32
"""Most templates in one request."""
MAX_FILTER_CHARS = 10_000
"""Longest condition over the columns, in characters."""
MAX_TOKEN_CHARS = 1_000_000
"""Longest page token, in characters."""
MAX_INSTRUCTION_CHARS = 10_000
"""Longest wish in words."""
MAX_IGNORED = 100
"""Most conditions of a wish that are ignored."""
MAX_VECTOR = 65_536
"""Most numbers in a query vector."""
MAX_REQUEST_ID_CHARS = 128
"""Longest id of a change, in characters."""
MAX_RESOLVED = 100_000
"""Most items in one reply to a `ResolveRequest`, over all paths."""
MAX_CODE = 2**32 - 1
"""Largest code of a semantic ID in a message."""
MAX_INT32 = 2**31 - 1
"""Largest place in a list."""
CONTROL_CHARACTERS = "[\\x00-\\x1f\\x7f-\\x9f]"
"""Characters that an item's id must not contain, as a regular expression."""
_CONTROL_CHARACTER = re.compile(CONTROL_CHARACTERS)


# --- declaring and checking -----------------------------------------------------------------------------------------


class Doc(NamedTuple):
    """Description of a field, for the SDK's documentation and the help of the command line."""

    text: str


class Rule(Protocol):
    """Validates the values of a field."""

    def check(self, value: Any, where: str) -> Any:
        """The normalized value.

        Args:
            value: The caller's value.
            where: Path of the field, as in ``items[17].image``.

        Raises:
            InvalidArgumentError: the value breaks the rule.
        """
        ...


class FieldRule(NamedTuple):
    """Declarations of a dataclass field.

    Attributes:
        name: Name of the field.
        rule: Its rule; None for no rule.
        doc: Its description; may be empty.
        optional: Whether its value may be None.
    """

    name: str
    rule: Rule | None
    doc: str
    optional: bool


@cache
def field_rules(kind: Any) -> tuple[FieldRule, ...]:
    """The declarations of a dataclass's fields, in order."""
    rules = []
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        hint = hints[field.name]
        declared = getattr(hint, "__metadata__", ())
        optional = type(None) in get_args(getattr(hint, "__origin__", hint))
        rule = next((entry for entry in declared if hasattr(entry, "check")), None)
        docs = [entry.text for entry in declared if isinstance(entry, Doc)]
        rules.append(FieldRule(field.name, rule, docs[-1] if docs else "", optional))
    return tuple(rules)


@cache
def _checks(kind: Any) -> tuple[tuple[str, Rule, bool], ...]:
    return tuple((field.name, field.rule, field.optional) for field in field_rules(kind) if field.rule is not None)


class Checked:
    """A frozen dataclass whose values are validated and normalized when it is created.

    Raises:
        InvalidArgumentError: a value breaks the rule of its field, or a rule between fields.
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        kind: Any = type(self)
        for name, rule, optional in _checks(kind):
            value = getattr(self, name)
            if optional and value is None:
                continue
            checked = rule.check(value, name)
            if checked is not value:
                object.__setattr__(self, name, checked)
        self._check_together()

    def _check_together(self) -> None:
        """Check rules between fields; the values are normalized by then."""


# --- numbers, flags and choices -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Whole:
    """An integer of any type, including numpy's.

    Attributes:
        low: Smallest value.
        high: Largest value; None for no limit.
        rule: The rule for the error message; empty: made from `low` and `high`.
    """

    low: int = 0
    high: int | None = None
    rule: str = ""

    def check(self, value: object, where: str) -> int:
        """See `Rule.check`."""
        number = _whole_number(value, where)
        if number < self.low or (self.high is not None and number > self.high):
            rule = self.rule or (
                f"be {self.low:,} or more" if self.high is None else f"lie between {self.low} and {self.high}"
            )
            raise InvalidArgumentError(f"{where} is {number!r:.40}; it must {rule}", field=where)
        return number


def _whole_number(value: object, where: str) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)  # type: ignore[arg-type]  # accepts numpy integers
    except TypeError:
        raise InvalidArgumentError(
            f"{where} is {value!r:.80}; it must be a whole number, 0 or more", field=where
        ) from None


@dataclass(frozen=True, slots=True)
class Size:
    """A number of results: 0 means the default, and too large values are coerced.

    Attributes:
        default: The value for 0; 0 if the server chooses it.
        most: Largest value; larger ones are coerced to it.
    """

    default: int
    most: int = MAX_K

    def check(self, value: object, where: str) -> int:
        """See `Rule.check`."""
        size = _whole_number(value, where)
        if size < 0:
            zero = f"0 means the default of {self.default}" if self.default else "0 means that the server chooses"
            raise InvalidArgumentError(f"{where} is {size!r:.40}; it must be 0 or more ({zero})", field=where)
        return min(size or self.default, self.most)


@dataclass(frozen=True, slots=True)
class Share:
    """A number in an interval.

    Attributes:
        ends: The two limits in words, as in ``0 (picture alone) and 1 (text alone)``, for the error message; empty:
            made from `low` and `high`.
        low: Smallest value.
        high: Largest value.
    """

    ends: str = ""
    low: float = 0.0
    high: float = 1.0

    def check(self, value: object, where: str) -> float:
        """See `Rule.check`."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            ends = self.ends or f"{self.low:g} and {self.high:g}"
            raise InvalidArgumentError(f"{where} is {value!r:.80}; it must lie between {ends}", field=where)
        return float(value)


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number.

    Attributes:
        rule: What it must be, for the error message.
        low: Smallest value.
        high: Largest value.
    """

    rule: str = "a finite number"
    low: float = -math.inf
    high: float = math.inf

    def check(self, value: Any, where: str) -> float:
        """See `Rule.check`."""
        try:
            fits = not isinstance(value, bool) and math.isfinite(value) and self.low <= value <= self.high
        except (TypeError, OverflowError):
            fits = False
        if not fits:
            raise InvalidArgumentError(f"{where} is {value!r:.80}; it must be {self.rule}", field=where)
        return float(value)


TIME = Number("seconds since 1970, from the year 1 to 9999", low=-62_135_596_800.0, high=253_402_300_799.0)
"""The rule of moments."""


class Flag:
    """True or False; other truthy or falsy values are refused."""

    def check(self, value: object, where: str) -> bool:
        """See `Rule.check`."""
        if not isinstance(value, bool):
            raise InvalidArgumentError(f"{where} is {value!r:.80}; it must be True or False", field=where)
        return value


@dataclass(frozen=True, slots=True)
class Choice:
    """A member of an enum, or its value."""

    kind: type[Enum]

    def check(self, value: object, where: str) -> Enum:
        """See `Rule.check`."""
        try:
            return self.kind(value)
        except ValueError:
            words = ", ".join(str(member.value) for member in self.kind)
            raise InvalidArgumentError(f"{where} is {value!r:.80}; it must be one of {words}", field=where) from None


# --- text and ids ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    """Text, possibly empty.

    Attributes:
        most: Most characters.
        remedy: What to do if it is longer, for the error message.
    """

    most: int = MAX_TEXT_CHARS
    remedy: str = "shorten it"

    def check(self, value: object, where: str) -> str:
        """See `Rule.check`."""
        if not isinstance(value, str):
            raise InvalidArgumentError(f"{where} is a {type(value).__name__}; it must be a string", field=where)
        if len(value) > self.most:
            raise InvalidArgumentError(
                f"{where} has {len(value):,} characters; at most {self.most:,} are accepted: {self.remedy}",
                field=where,
            )
        return _unicode(value, where)


@dataclass(frozen=True, slots=True)
class English:
    """A BCP 47 tag of a language that sentences are made in, possibly empty; only English is one."""

    def check(self, value: object, where: str) -> str:
        """See `Rule.check`."""
        tag = Text(most=100).check(value, where)
        if tag and not re.fullmatch(r"en(-[a-z0-9]{1,8})*", tag, re.ASCII | re.IGNORECASE):
            raise InvalidArgumentError(
                f"{where} is {tag!r:.80}; sentences are made in English only: pass 'en' or leave it empty", field=where
            )
        return tag


PAGE_TOKEN = Text(
    MAX_TOKEN_CHARS,
    "lists that are not in the order of ids have at most some 125,000 items; use a filter to get fewer",
)
"""The rule of page tokens, which grow with each page."""


@dataclass(frozen=True, slots=True)
class Id:
    """An id, possibly empty.

    Attributes:
        new: Whether the id is for a new item; then it must not contain control characters.
        empty: What to do if the id is empty, for the error message; '': an empty id is accepted.
    """

    new: bool = False
    empty: str = ""

    def check(self, value: object, where: str) -> str:
        """See `Rule.check`."""
        if not isinstance(value, str):
            raise InvalidArgumentError(
                f"{where} is {value!r:.80} ({type(value).__name__}); ids are strings, so pass {str(value)!r:.80}",
                field=where,
            )
        if len(value) > MAX_ID_CHARS:
            raise InvalidArgumentError(
                f"{where} has {len(value)} characters; an id has at most {MAX_ID_CHARS}", field=where
            )
        if self.empty and not value:
            raise InvalidArgumentError(f"{where} is empty; {self.empty}", field=where)
        found = _CONTROL_CHARACTER.search(value) if self.new and not value.isprintable() else None
        if found is not None:
            raise InvalidArgumentError(
                f"{where} {value!r:.80} has the control character U+{ord(found.group()):04X}, which cannot be "
                "displayed or typed; remove it",
                field=where,
            )
        return _unicode(value, where)


_ID = Id()


def _unicode(text: str, where: str) -> str:
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError as err:
        raise InvalidArgumentError(
            f"{where} holds half of a surrogate pair at character {err.start}, so it is not text; decode it correctly",
            field=where,
        ) from None
    return text


# --- lists ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ids:
    """A list of ids.

    Attributes:
        most: Most ids; None for no limit.
        last: Number of last entries that are read; None for all.
    """

    most: int | None = MAX_BATCH
    last: int | None = None

    def check(self, value: Any, where: str) -> tuple[str, ...]:
        """See `Rule.check`."""
        values = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else None
        if values is None:
            values = as_tuple(value, where, "ids")
        if self.most is not None and len(values) > self.most:
            raise InvalidArgumentError(
                f"{where} has {len(values):,} ids; at most {self.most:,} are accepted", field=where
            )
        first = max(0, len(values) - self.last) if self.last is not None else 0
        return tuple(_ID.check(entry, f"{where}[{first + i}]") for i, entry in enumerate(values[first:]))


@dataclass(frozen=True, slots=True)
class Each:
    """A list with a rule for its entries.

    Attributes:
        rule: The rule of each entry.
        what: What the entries are, as in ``field names``.
        most: Most entries; None for no limit.
        remedy: What to do if there are more, for the error message; may be empty.
        distinct: Whether repeated entries are removed.
    """

    rule: Rule
    what: str
    most: int | None = None
    remedy: str = ""
    distinct: bool = False

    def check(self, value: Any, where: str) -> tuple[Any, ...]:
        """See `Rule.check`."""
        entries = as_tuple(value, where, self.what)
        if self.most is not None and len(entries) > self.most:
            remedy = f": {self.remedy}" if self.remedy else ""
            raise InvalidArgumentError(
                f"{where} has {len(entries):,} entries; at most {self.most:,} are accepted{remedy}", field=where
            )
        checked = tuple(self.rule.check(entry, f"{where}[{i}]") for i, entry in enumerate(entries))
        return tuple(dict.fromkeys(checked)) if self.distinct else checked


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance of one of some classes, which validate themselves.

    Attributes:
        kinds: The classes.
        what: What to pass, as in ``mmrec.Promotion values``.
    """

    kinds: tuple[type[Any], ...]
    what: str

    def check(self, value: object, where: str) -> object:
        """See `Rule.check`."""
        if not isinstance(value, self.kinds):
            raise InvalidArgumentError(f"{where} is a {type(value).__name__}; pass {self.what}", field=where)
        return value


def as_tuple(values: Iterable[T], where: str, what: str) -> tuple[T, ...]:
    """The entries of a list of `what`; a single string is refused."""
    if isinstance(values, str | bytes):
        raise InvalidArgumentError(
            f"{where} is the single string {values!r:.80}; pass a list of {what}, as in [{values!r:.80}]", field=where
        )
    try:
        return tuple(values)
    except TypeError:
        raise InvalidArgumentError(f"{where} is {values!r:.80}; pass a list of {what}", field=where) from None


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of some words."""

    words: tuple[str, ...]

    def check(self, value: object, where: str) -> object:
        """See `Rule.check`."""
        if value not in self.words:
            raise InvalidArgumentError(
                f"{where} is {value!r:.80}; it must be one of {', '.join(self.words)}", field=where
            )
        return value


class Columns:
    """Further columns of an item: text by name."""

    def check(self, value: object, where: str) -> Mapping[str, str]:
        """See `Rule.check`."""
        if not isinstance(value, Mapping):
            raise InvalidArgumentError(
                f"{where} is a {type(value).__name__}; it must be a mapping of names to text", field=where
            )
        for i, (name, text) in enumerate(value.items()):
            _ID.check(name, f"{where}[{i}].name")
            _VALUE.check(text, f"{where}[{i}].value")
        return value


_VALUE = Text(MAX_ATTRIBUTE_CHARS)


@dataclass(frozen=True, slots=True)
class Weights:
    """Numbers by name.

    Attributes:
        rule: The rule of each number.
    """

    rule: Rule

    def check(self, value: object, where: str) -> dict[str, float]:
        """See `Rule.check`."""
        if not isinstance(value, Mapping):
            raise InvalidArgumentError(
                f"{where} is {value!r:.80}; it must be a mapping of names to numbers", field=where
            )
        if len(value) > MAX_WEIGHTS:
            raise InvalidArgumentError(
                f"{where} has {len(value):,} entries; at most {MAX_WEIGHTS:,} are accepted", field=where
            )
        return {
            _NAME.check(name, f"{where}[{name!r:.80}]"): self.rule.check(number, f"{where}[{name!r:.80}]")
            for name, number in value.items()
        }


_NAME = Id(empty="name what the number is for")


# --- vectors and pictures -------------------------------------------------------------------------------------------


class Vector:
    """A list of numbers, rounded to float32 and not all 0; may be empty."""

    def check(self, value: Any, where: str) -> tuple[float, ...]:
        """See `Rule.check`."""
        try:
            numbers = tuple(array("f", [float(number) for number in (() if value is None else value)]))
        except (TypeError, ValueError, OverflowError):
            raise InvalidArgumentError(
                f"{where} is not a list of numbers in the range of float32", field=where
            ) from None
        if len(numbers) > MAX_VECTOR:
            raise InvalidArgumentError(
                f"{where} has {len(numbers):,} numbers; at most {MAX_VECTOR:,} are accepted", field=where
            )
        if numbers and (not all(math.isfinite(number) for number in numbers) or not any(numbers)):
            raise InvalidArgumentError(
                f"{where} has a number that is not finite, or only zeros; pass a vector with a direction", field=where
            )
        return numbers


class Picture:
    """An encoded picture, given as bytes or as the path of a file.

    Raises:
        NotFoundError: the file does not exist or cannot be read.
        InvalidImageError: the picture is empty, or larger than `MAX_PICTURE_BYTES`.
        InvalidArgumentError: the value is neither bytes nor a path.
    """

    def check(self, value: object, where: str) -> bytes:
        """See `Rule.check`."""
        if isinstance(value, str | os.PathLike):
            path = Path(value)
            try:
                with path.open("rb") as file:
                    data = file.read(MAX_PICTURE_BYTES + 1)
            except OSError as err:
                raise NotFoundError(f"{where}: cannot read the picture file {str(path)!r}: {err.strerror}") from err
        elif isinstance(value, bytes | bytearray | memoryview):
            data = bytes(value)
        else:
            raise InvalidArgumentError(
                f"{where} is a {type(value).__name__}; pass the encoded bytes of a picture file or its path",
                field=where,
            )
        if not data:
            raise InvalidImageError(f"{where} is empty (0 bytes); pass a JPEG, PNG, WebP, GIF or BMP file", field=where)
        if len(data) > MAX_PICTURE_BYTES:
            raise InvalidImageError(
                f"{where} has more than {MAX_PICTURE_BYTES // 2**20} MiB; scale it down before sending", field=where
            )
        return data
