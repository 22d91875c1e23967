"""Reads the entries of a product feed in XML, RSS 2.0 or Atom with Google's attributes, one by one.

Unit of work: one entry, as attributes and their values; memory does not grow with the feed. A feed is untrusted
text: a document type definition is refused before it is read, so no entity can be declared and nothing external is
loaded. Knows nothing of what the attributes mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat

from mmrec.data.importers.delimited_rows import opened_text
from mmrec.errors import InvalidDatasetError

_GOOGLE = "http://base.google.com/ns/1.0"
_ENTRIES = ("item", "entry")
_CHUNK = 2**16
_MAX_CHARS = 2**22
"""Characters of one entry."""


class FeedEntry(NamedTuple):
    """One entry.

    Attributes:
        place: File and line, for messages.
        values: Values by attribute, in order; an attribute may have several. Google's namespace replaces attributes of
            RSS and Atom with the same name.
        nested: Attributes that consist of others, such as ``shipping``.
    """

    place: str
    values: dict[str, list[str]]
    nested: tuple[str, ...]


def read_feed(path: Path) -> Iterator[FeedEntry]:
    """The entries of a feed.

    Args:
        path: XML, gzipped or not.

    Raises:
        NotFoundError: there is no such file.
        InvalidDatasetError: it is no well-formed XML, has a document type definition, or an entry of over 4 million
            characters.
    """
    reader = _Reader(path)
    with opened_text(path) as file:
        while chunk := file.read(_CHUNK):
            reader.feed(chunk)
            yield from reader.completed()
    reader.feed(b"", last=True)
    yield from reader.completed()


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._completed: list[FeedEntry] = []
        self._depth = 0
        """Depth: 0 outside of an entry, 1 in it, 2 in an attribute, 3 and more in nested elements."""
        self._chars = 0
        self._text_parts: list[str] = []
        self._link = ""
        self._is_nested = False
        self._place = ""
        self._google: dict[str, list[str]] = {}
        self._plain: dict[str, list[str]] = {}
        self._nested: dict[str, None] = {}

    def feed(self, data: bytes, *, last: bool = False) -> None:
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as err:
            why = expat.errors.messages[err.code]
            raise InvalidDatasetError(f"{self._path.name}:{err.lineno}: this is no well-formed XML: {why}") from err

    def completed(self) -> list[FeedEntry]:
        completed, self._completed = self._completed, []
        return completed

    def _doctype(self, *_: object) -> None:
        raise InvalidDatasetError(
            f"{self._path.name}:{self._parser.CurrentLineNumber}: the feed has a document type definition (<!DOCTYPE), "
            "which product feeds do not need and which can be made to harm; remove it"
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._depth:
            self._depth += 1
        if self._depth == 2:
            self._text_parts, self._is_nested = [], False
            self._link = attributes.get("href", "") if name.endswith("link") else ""
            if attributes.get("rel", "alternate") != "alternate":
                self._link, self._is_nested = "", True  # Atom's links to something else
        elif self._depth > 2:
            self._is_nested = True
        elif not self._depth and name.rpartition(" ")[2] in _ENTRIES:
            self._depth, self._chars = 1, 0
            self._place = f"{self._path.name}:{self._parser.CurrentLineNumber}"
            self._google, self._plain, self._nested = {}, {}, {}

    def _text(self, data: str) -> None:
        if self._depth < 2:
            return
        self._chars += len(data)
        if self._chars > _MAX_CHARS:
            raise InvalidDatasetError(
                f"{self._place}: the entry that begins here has more than {_MAX_CHARS:,} characters; shorten it"
            )
        if self._depth == 2:
            self._text_parts.append(data)

    def _end(self, name: str) -> None:
        if self._depth == 2:
            space, _, attribute = name.rpartition(" ")
            value = "".join(self._text_parts).strip() or self._link
            if self._is_nested:
                self._nested.setdefault(attribute)
            elif value:
                of = self._google if space == _GOOGLE else self._plain
                of.setdefault(attribute, []).append(value)
        elif self._depth == 1:
            self._completed.append(FeedEntry(self._place, {**self._plain, **self._google}, tuple(self._nested)))
        self._depth = max(self._depth - 1, 0)
