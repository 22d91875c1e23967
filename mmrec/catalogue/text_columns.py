"""A column of texts that changes: an immutable base and one small delta segment (see `mmrec.catalogue.segments`).

Unit of work: one change of one column, which makes a new value. Knows nothing about catalogues and the meaning of
texts.
"""

# Axes: M texts that are replaced

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import eq, index
from typing import overload

from mmrec.catalogue.segments import most_in_delta
from mmrec.errors import InvalidArgumentError

_SHOWN = 3


class TextColumn(Sequence[str]):
    """Texts by row; immutable. Equal to a tuple of the same texts.

    Args:
        texts: One for each row.
    """

    __slots__ = ("_base", "_delta", "_length")

    def __init__(self, texts: Sequence[str]) -> None:
        self._base: tuple[str, ...] = tuple(texts)
        self._delta: Mapping[int, str] = {}
        self._length = len(self._base)

    @classmethod
    def of(cls, texts: Sequence[str]) -> TextColumn:
        """The texts as a column; the same object if they are one."""
        return texts if isinstance(texts, TextColumn) else cls(texts)

    def changed(self, rows: Sequence[int], texts: Sequence[str]) -> TextColumn:
        """A new column with some texts replaced or added.

        Args:
            rows: The rows; new ones follow the last row, ascending and without a gap. Length M.
            texts: Their texts. Length M.

        Raises:
            InvalidArgumentError: a row is negative, or leaves a gap after the end.
        """
        if not rows:
            return self
        length = self._length
        for row in rows:
            if not 0 <= row <= length:
                raise InvalidArgumentError(
                    f"row {row} of a column of {length} is set; set rows that are there, or the next one"
                )
            length = max(length, row + 1)
        made = TextColumn.__new__(TextColumn)
        made._base, made._length = self._base, length
        made._delta = {**self._delta, **dict(zip(rows, texts, strict=True))}
        return TextColumn(tuple(made)) if len(made._delta) > most_in_delta(len(self._base)) else made

    def changed_since(self, other: TextColumn) -> list[int] | None:
        """Rows that may differ between the two, ascending; None when they have different bases."""
        return sorted({*self._delta, *other._delta}) if self._base is other._base else None

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, row: int) -> str: ...

    @overload
    def __getitem__(self, row: slice) -> tuple[str, ...]: ...

    def __getitem__(self, row: int | slice) -> str | tuple[str, ...]:
        if isinstance(row, slice):
            return tuple(map(self.__getitem__, range(*row.indices(self._length))))
        row = index(row)
        place = row + self._length if row < 0 else row
        if not 0 <= place < self._length:
            raise IndexError(f"row {row} of a column of {self._length}")
        return self._delta[place] if place in self._delta else self._base[place]

    def __iter__(self) -> Iterator[str]:
        texts = [*self._base, *[""] * (self._length - len(self._base))]
        for row, text in self._delta.items():
            texts[row] = text
        return iter(texts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TextColumn | tuple):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:_SHOWN]))
        return f"TextColumn({shown}{', ...' if len(self) > _SHOWN else ''}; {len(self)} rows)"
