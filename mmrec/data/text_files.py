"""Reads the decompressed bytes of a text table in pieces of bounded size.

A byte order mark at the start is dropped, and lone carriage returns as line ends become line feeds. Knows nothing of
what is on the lines.
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
"""Longest line that is read as a row."""
_DECOMPRESSED_CHUNK = 2**18
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
        self._has_lone_returns = False
        try:
            with part.path.open("rb") as file:
                raw = file.read(HEAD_BYTES)
        except OSError as err:
            raise InvalidDatasetError(f"cannot be read: {err.strerror}") from err
        if raw and (problem := packing_problem(raw, part.path.name, part.packing)):
            raise InvalidDatasetError(problem)
        head = next(self._decompressed(HEAD_BYTES), b"") if part.packing else raw
        if problem := content_problem(head, part.path.name, part.format):
            raise InvalidDatasetError(problem)
        self._has_lone_returns = b"\n" not in head and b"\r" in head
        self.head = self._with_line_feeds(head.removeprefix(_MARK))

    def pieces(self, size: int) -> Iterator[bytes]:
        """All of it, in pieces of about `size` bytes, none of them empty.

        Raises:
            InvalidDatasetError: it is damaged after the pieces read so far.
        """
        first = True
        for piece in self._decompressed(size):
            piece = piece.removeprefix(_MARK) if first else piece
            first = False
            if piece:
                yield self._with_line_feeds(piece)

    def lines(self) -> int:
        """Number of lines. Reads the file once."""
        count, last = 0, b"\n"
        for piece in self.pieces(2**20):
            count += piece.count(b"\n")
            last = piece[-1:]
        return count + (last != b"\n")

    def _with_line_feeds(self, piece: bytes) -> bytes:
        return piece.replace(b"\r", b"\n") if self._has_lone_returns else piece

    def _decompressed(self, size: int) -> Iterator[bytes]:
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
                    # Data before an error is used, since its rows are good.
                    piece, error = bytearray(), None
                    while len(piece) < size and not ended:
                        try:
                            read = file.read(
                                min(size - len(piece), _DECOMPRESSED_CHUNK) if packing else size - len(piece)
                            )
                        except (OSError, EOFError, zlib.error, pa.ArrowException) as err:
                            error, read = err, b""
                        piece += read
                        ended = not read
                    if piece:
                        yield bytes(piece)
                    if error is not None:
                        raise error
        except (OSError, EOFError, zlib.error, pa.ArrowException) as err:
            # gzip and Arrow raise errors that carry no errno text.
            why = getattr(err, "strerror", None)
            if packing and not why:
                why = f"it is not a whole {PACKINGS[packing]} file; write it again"
            raise InvalidDatasetError(f"cannot be read: {why or 'it is damaged'}") from err
