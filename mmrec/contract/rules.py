"""The rules that fields of requests declare, and the one piece of code that checks them.

Unit of work: one value under the path of its field. A rule returns the value in its one exact form, or refuses it with
its path, what was received, the rule and the remedy. Knows nothing of any particular request.
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
"""More than this is coerced down to it."""
MAX_HISTORY = 1000
"""Only the most recent this many history items are read."""
MAX_BEAM_WIDTH = 2000
"""More beams than this are coerced down to it."""
MAX_BATCH = 1000
"""Most items, ids or requests in one call that takes several."""
MAX_LIST_IDS = 100_000
"""Most ids in an allow or deny list."""
MAX_PROMOTIONS = 100
"""Most promotions in one request."""
MAX_PROMOTED_IDS = 10_000
"""Most ids in one promotion."""
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
MAX_RESOLVED = 100_000
"""Most items in one reply to a `ResolveRequest`, over all of its paths."""
MAX_CODE = 2**32 - 1
"""Largest code of a semantic ID that travels."""
CONTROL_CHARACTERS = "[\\x00-\\x1f\\x7f-\\x9f]"
"""What the id of an item must not hold, as a regular expression."""
_CONTROL_CHARACTER = re.compile(CONTROL_CHARACTERS)


# --- declaring and checking -----------------------------------------------------------------------------------------


class Doc(NamedTuple):
    """What a field is for, in a sentence or two: for the SDK's documentation and the help of the command line."""

    text: str


class Rule(Protocol):
    """What the value of a field is held to."""

    def check(self, value: Any, where: str) -> Any:
        """The value in its one exact form.

        Args:
            value: As the caller gave it.
            where: Path of the field, as in ``items[17].image``.

        Raises:
            InvalidArgumentError: it breaks the rule.
        """
        ...


class FieldRule(NamedTuple):
    """A field of a dataclass with what it declares.

    Attributes:
        name: Name of the field.
        rule: What its values are held to; None: nothing.
        doc: What it is for; empty where that is not said.
        optional: Whether None is a value of it.
    """

    name: str
    rule: Rule | None
    doc: str
    optional: bool


@cache
def field_rules(kind: Any) -> tuple[FieldRule, ...]:
    """What the fields of a dataclass declare, in order."""
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
    """A frozen dataclass whose values are checked, and brought into their one exact form, when it is made.

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
        """Rules between fields, for a class that has some; each value is in its exact form by then."""


# --- numbers, flags and choices -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number of any kind, numpy's included.

    Attributes:
        low: The least one.
        high: The largest one; None: there is none.
        rule: What it must be, in words, where the two do not say it.
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
        return operator.index(value)  # type: ignore[arg-type]  # numpy's whole numbers count as well
    except TypeError:
        raise InvalidArgumentError(
            f"{where} is {value!r:.80}; it must be a whole number, 0 or more", field=where
        ) from None


@dataclass(frozen=True, slots=True)
class Size:
    """How many of something: 0 means the default, and more than there may be is coerced down.

    Attributes:
        default: What 0 means; 0 where that is up to the server.
        most: What larger values are coerced to.
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
    """A number between two others.

    Attributes:
        ends: What these two mean, as in ``0 (picture alone) and 1 (words alone)``; empty: they speak for themselves.
        low: The least one.
        high: The largest one.
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
        rule: What it must be, in words.
        low: The least one.
    """

    rule: str = "a finite number"
    low: float = -math.inf

    def check(self, value: Any, where: str) -> float:
        """See `Rule.check`."""
        try:
            fits = not isinstance(value, bool) and math.isfinite(value) and value >= self.low
        except (TypeError, OverflowError):
            fits = False
        if not fits:
            raise InvalidArgumentError(f"{where} is {value!r:.80}; it must be {self.rule}", field=where)
        return float(value)


class Flag:
    """True or False, and nothing that is merely taken for one of them."""

    def check(self, value: object, where: str) -> bool:
        """See `Rule.check`."""
        if not isinstance(value, bool):
            raise InvalidArgumentError(f"{where} is {value!r:.80}; it must be True or False", field=where)
        return value


@dataclass(frozen=True, slots=True)
class Choice:
    """A member of an enum, given as itself or as its word."""

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
        most: Characters it may have.
        remedy: What to do about a longer one.
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


PAGE_TOKEN = Text(
    MAX_TOKEN_CHARS,
    "a list that is not in the order of ids goes on for some 125,000 items; narrow the question down by a filter",
)
"""A page token that is not longer than a list by pages can be."""


@dataclass(frozen=True, slots=True)
class Id:
    """An id, possibly empty.

    Attributes:
        new: Whether it is given to something here: then it has no control characters.
        empty: What to do about an empty one; empty: it is accepted.
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
                f"{where} {value!r:.80} has the control character U+{ord(found.group()):04X}, which can be neither "
                "shown nor typed; write the id without it",
                field=where,
            )
        return _unicode(value, where)


_ID = Id()


def _unicode(text: str, where: str) -> str:
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError as err:
        raise InvalidArgumentError(
            f"{where} holds half of a surrogate pair at character {err.start}, which is not text; mend its decoding",
            field=where,
        ) from None
    return text


# --- lists ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ids:
    """A list of ids.

    Attributes:
        most: How many it may have; None: any number.
        last: How many of its last entries are read; None: all of them.
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
    """A list whose entries are held to a rule.

    Attributes:
        rule: What each entry is held to.
        what: What the entries are, as in ``names of fields``.
        most: How many there may be; None: any number.
        remedy: What to do about more of them; empty where there is nothing but to send fewer.
        distinct: Whether an entry that is there again is left out.
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
    """A value of one of some classes, which has checked itself.

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
    """The entries of a list of `what`; a single string is none."""
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
    """A word out of some."""

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
            _TEXT.check(text, f"{where}[{i}].value")
        return value


_TEXT = Text()


# --- vectors and pictures -------------------------------------------------------------------------------------------


class Vector:
    """Numbers, each as near as 32 bits come, not all of them 0; possibly none."""

    def check(self, value: Any, where: str) -> tuple[float, ...]:
        """See `Rule.check`."""
        try:
            numbers = tuple(array("f", [float(number) for number in (() if value is None else value)]))
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


class Picture:
    """An encoded picture, given as its bytes or as the path of its file.

    Raises:
        NotFoundError: the path does not exist or cannot be read.
        InvalidImageError: it is empty, or larger than `MAX_PICTURE_BYTES`.
        InvalidArgumentError: it is neither bytes nor a path.
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
