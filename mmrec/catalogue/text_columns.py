"""A column of texts of which a few can be changed without copying the others; whoever holds the old one goes on seeing
it as it was.

The unit of work is one change of one column. Knows nothing about catalogues and what the texts mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from operator import eq, index
from typing import overload

from mmrec.errors import InvalidArgumentError

CHUNK = 64
"""Texts that are copied when one of them changes. A million are then 16,000 chunks, whose table is copied as well."""
_SHOWN = 3


class TextColumn(Sequence[str]):
    """Texts by row, never written to. Equal to a tuple of the same texts.

    The texts that it was made of stay where they are; chunks that have changed lie over them.

    Args:
        texts: One for each row.
    """

    __slots__ = ("_base", "_chunks", "_length")

    def __init__(self, texts: Sequence[str]) -> None:
        self._base: tuple[str, ...] = tuple(texts)
        self._chunks: tuple[tuple[str, ...] | None, ...] = (None,) * -(-len(self._base) // CHUNK)
        self._length = len(self._base)

    @classmethod
    def of(cls, texts: Sequence[str]) -> TextColumn:
        """The texts as a column; they themselves if they are one."""
        return texts if isinstance(texts, TextColumn) else cls(texts)

    def changed(self, rows: Sequence[int], texts: Sequence[str]) -> TextColumn:
        """The column with some of its texts set; this one stays as it is.

        Args:
            rows: Which. Those past the end follow on it, ascending and without a gap. Length M.
            texts: Length M.

        Raises:
            InvalidArgumentError: a row is negative, or leaves a gap after the end.
        """
        if not rows:
            return self
        touched: dict[int, list[str]] = {}
        length = self._length
        for row, text in zip(rows, texts, strict=True):
            if not 0 <= row <= length:
                raise InvalidArgumentError(
                    f"row {row} of a column of {length} is set; set rows that are there, or the next one"
                )
            number, place = divmod(row, CHUNK)
            if number not in touched:
                if row < self._length and self[row] == text:
                    continue
                touched[number] = list(self._chunk(number))
            touched[number][place : place + 1] = [text]
            length = max(length, row + 1)
        if not touched:
            return self
        chunks = list(self._chunks)
        for number in sorted(touched):
            chunks[number : number + 1] = [tuple(touched[number])]
        made = TextColumn.__new__(TextColumn)
        made._base, made._chunks, made._length = self._base, tuple(chunks), length
        return made

    def take(self, rows: Sequence[int]) -> list[str]:
        """The texts of some rows, in their order; none of them is negative."""
        base, chunks = self._base, self._chunks
        found = []
        for row in rows:
            chunk = chunks[row // CHUNK]
            found.append(base[row] if chunk is None else chunk[row % CHUNK])
        return found

    def _chunk(self, number: int) -> tuple[str, ...]:
        chunk = self._chunks[number] if number < len(self._chunks) else ()
        return self._base[number * CHUNK : (number + 1) * CHUNK] if chunk is None else chunk

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, row: int) -> str: ...

    @overload
    def __getitem__(self, row: slice) -> tuple[str, ...]: ...

    def __getitem__(self, row: int | slice) -> str | tuple[str, ...]:
        if isinstance(row, slice):
            return tuple(self.take(range(*row.indices(self._length))))
        row = index(row)
        place = row + self._length if row < 0 else row
        if not 0 <= place < self._length:
            raise IndexError(f"row {row} of a column of {self._length}")
        chunk = self._chunks[place // CHUNK]
        return self._base[place] if chunk is None else chunk[place % CHUNK]

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(map(self._chunk, range(len(self._chunks))))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TextColumn | tuple):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:_SHOWN]))
        return f"TextColumn({shown}{', ...' if len(self) > _SHOWN else ''}; {len(self)} rows)"
