"""Reads the bytes of a text file of a table, unpacked, in pieces of a bounded size.

A byte order mark at the start is left out, and in a file whose lines end in carriage returns alone these become line
feeds. Knows nothing of what is on the lines.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pyarrow as pa

from mmrec.data.file_signatures import HEAD_BYTES, content_problem, packing_problem
from mmrec.data.table_files import PACKINGS, Part
from mmrec.errors import InvalidDatasetError

MAX_LINE_BYTES = 2**24
"""A longer line is no row."""
_UNPACKED_AT_ONCE = 2**18
_MARK = b"\xef\xbb\xbf"


class TextFile:
    """The bytes of one part of a table; may be read any number of times.

    Args:
        part: CSV, TSV or JSON lines.

    Attributes:
        head: The first bytes, at most `HEAD_BYTES` of them, as `pieces` gives them.

    Raises:
        InvalidDatasetError: it cannot be read, or has another format than its name. The message lacks the file's name.
    """

    def __init__(self, part: Part) -> None:
        self._part = part
        self._returns = False
        try:
            with part.path.open("rb") as file:
                raw = file.read(HEAD_BYTES)
        except OSError as err:
            raise InvalidDatasetError(f"cannot be read: {err.strerror}") from err
        if raw and (problem := packing_problem(raw, part.path.name, part.packing)):
            raise InvalidDatasetError(problem)
        head = next(self._unpacked(HEAD_BYTES), b"") if part.packing else raw
        if problem := content_problem(head, part.path.name, part.format):
            raise InvalidDatasetError(problem)
        self._returns = b"\n" not in head and b"\r" in head
        self.head = self._mended(head.removeprefix(_MARK))

    def pieces(self, size: int) -> Iterator[bytes]:
        """All of it, in pieces of about `size` bytes, none of them empty.

        Raises:
            InvalidDatasetError: behind what could be read, it is damaged.
        """
        first = True
        for piece in self._unpacked(size):
            piece = piece.removeprefix(_MARK) if first else piece
            first = False
            if piece:
                yield self._mended(piece)

    def lines(self) -> int:
        """How many lines there are. Reads the file once."""
        count, last = 0, b"\n"
        for piece in self.pieces(2**20):
            count += piece.count(b"\n")
            last = piece[-1:]
        return count + (last != b"\n")

    def _mended(self, piece: bytes) -> bytes:
        return piece.replace(b"\r", b"\n") if self._returns else piece

    def _unpacked(self, size: int) -> Iterator[bytes]:
        packing = self._part.packing
        try:
            with ExitStack() as stack:
                file: Any = stack.enter_context(self._part.path.open("rb", buffering=0 if not packing else -1))
                if packing == ".gz":
                    file = stack.enter_context(gzip.GzipFile(fileobj=file))
                elif packing:
                    file = stack.enter_context(pa.CompressedInputStream(file, PACKINGS[packing]))
                ended = False
                while not ended:
                    # What was read before an error is used: the rows in it are good.
                    piece, broken = bytearray(), None
                    while len(piece) < size and not ended:
                        try:
                            read = file.read(
                                min(size - len(piece), _UNPACKED_AT_ONCE) if packing else size - len(piece)
                            )
                        except (OSError, EOFError, zlib.error, pa.ArrowException) as err:
                            broken, read = err, b""
                        piece += read
                        ended = not read
                    if piece:
                        yield bytes(piece)
                    if broken is not None:
                        raise broken
        except (OSError, EOFError, zlib.error, pa.ArrowException) as err:
            # gzip and Arrow raise errors that carry no errno text.
            why = getattr(err, "strerror", None)
            if packing and not why:
                why = f"it is not a whole {PACKINGS[packing]} file; write it again"
            raise InvalidDatasetError(f"cannot be read: {why or 'it is damaged'}") from err
