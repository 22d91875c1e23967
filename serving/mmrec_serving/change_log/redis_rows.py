"""Changes and requests as bytes, and the members of the sorted sets that a Redis finds them by.

Unit of work: one change, or one request. Numbers are written with `NUMBER_CHARS` digits, so that they are in order as
texts. Knows nothing about connections.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import NamedTuple

from mmrec_serving.change_log.changes import Change, RecordedRequest, Sequenced, Upsert
from mmrec_serving.change_log.rows import COLUMNS, Row, from_microseconds, unpack

NUMBER_CHARS = 20
WHOLE, PARTIAL = "w", "p"
"""With which a member of `changes:items` ends: a whole item or a delete, or a partial update."""
LENGTH_CHARS = 4
"""Digits (hexadecimal) of the length of an item's id in bytes, before the id."""

_BINARY = ("picture", "payload")
_TEXTS = [name for name in COLUMNS if name not in _BINARY]
_HEADER = struct.Struct(">I")
_REQUEST = struct.Struct(">IqB")
"""Checksum of what follows it, microseconds since 1970, bytes of the digest."""


class Member(NamedTuple):
    """A member of `changes:items`: which change an item has.

    Attributes:
        item: The id of the item behind its length, with which all members of the item begin.
        number: Number of the change.
        whole: Whether it is no partial update.
    """

    item: bytes
    number: int
    whole: bool

    @classmethod
    def of(cls, text: bytes) -> Member:
        """The member of a text of Redis."""
        end = LENGTH_CHARS + int(text[:LENGTH_CHARS], 16)
        return cls(text[:end], int(text[end:-1]), text[-1:] == WHOLE.encode())

    @property
    def kind(self) -> str:
        """`WHOLE` or `PARTIAL`."""
        return WHOLE if self.whole else PARTIAL

    @property
    def text(self) -> bytes:
        """The text of Redis."""
        return self.item + f"{digits(self.number)}{self.kind}".encode()


def digits(number: int) -> str:
    """A number as it is written in members and as a field."""
    return f"{number:0{NUMBER_CHARS}d}"


def kind_of(change: Change) -> str:
    """`WHOLE` or `PARTIAL`."""
    return PARTIAL if isinstance(change, Upsert) and change.fields else WHOLE


def pack_row(row: Row, recorded_us: int) -> bytes:
    """The bytes of a row of a change: what is text as JSON behind its length, then the picture and the payload."""
    values = dict(zip(COLUMNS, row, strict=True))
    binary = [values[name] for name in _BINARY]
    lengths = [None if data is None else len(data) for data in binary]
    text = json.dumps([recorded_us, *lengths, *(values[name] for name in _TEXTS)], ensure_ascii=False).encode()
    return b"".join((_HEADER.pack(len(text)), text, *(data or b"" for data in binary)))


def unpack_row(number: int, data: bytes) -> Sequenced:
    """The change of bytes of `pack_row`.

    Raises:
        ValueError: they are damaged; the message says how.
    """
    try:
        (length,) = _HEADER.unpack_from(data)
        end = _HEADER.size + length
        recorded_us, *rest = json.loads(data[_HEADER.size : end])
        values = dict(zip(_TEXTS, rest[len(_BINARY) :], strict=True))
        for name, size in zip(_BINARY, rest, strict=False):
            values[name] = None if size is None else data[end : end + size]
            end += size or 0
        return Sequenced(number, from_microseconds(recorded_us), unpack([values[name] for name in COLUMNS]))
    except (struct.error, TypeError, OverflowError) as err:
        raise ValueError(f"it cannot be read: {err}") from err


def pack_request(digest: bytes, reply: bytes, recorded_us: int) -> bytes:
    """The bytes of a request behind the number of its last change."""
    data = _REQUEST.pack(0, recorded_us, len(digest)) + digest + reply
    return _HEADER.pack(zlib.crc32(data[_HEADER.size :])) + data[_HEADER.size :]


def unpack_request(data: bytes) -> tuple[RecordedRequest, int]:
    """A request, and when it was recorded, in microseconds since 1970.

    Raises:
        ValueError: it is damaged; the message says how.
    """
    last, content = data[:NUMBER_CHARS], data[NUMBER_CHARS:]
    if len(content) < _REQUEST.size or zlib.crc32(content[_HEADER.size :]) != _HEADER.unpack_from(content)[0]:
        raise ValueError("its checksum is another")
    _, recorded_us, length = _REQUEST.unpack_from(content)
    end = _REQUEST.size + length
    return RecordedRequest(content[_REQUEST.size : end], int(last), content[end:]), recorded_us
