"""Replies as pandas data frames, one row an entry.

Unit of work: one reply. pandas is imported when a frame is asked for; it comes with the extra ``pandas``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, get_origin, get_type_hints

from mmrec.contract.items import ChannelShare
from mmrec.errors import MissingExtraError, MmrecError

if TYPE_CHECKING:
    import pandas as pd


class Framed:
    """A reply with entries, which are the rows of a table."""

    __slots__ = ()
    _entry: ClassVar[type[Any]]
    """Class of an entry."""
    _entries: ClassVar[str] = "items"
    """Name of the field with the entries."""

    def to_pandas(self) -> pd.DataFrame:
        """The entries as a data frame, one row each, in their order.

        A column has the name of its field. Further columns of an item are ``attributes.NAME``, parts of a score
        ``shares.CHANNEL``, and ``error`` says why an entry failed. A list that is empty in every entry has no column.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise MissingExtraError(
                "to_pandas needs pandas, which is not installed; run: pip install 'mmrec[pandas]'"
            ) from None
        rows = [dict(_cells(entry)) for entry in self._rows()]
        columns = dict.fromkeys([*_columns(self._entry), *(name for row in rows for name in row)])
        return pd.DataFrame(rows, columns=list(columns))

    def _rows(self) -> Iterable[Any]:
        rows: Iterable[Any] = getattr(self, self._entries)
        return rows


def _columns(entry: Any) -> Iterator[str]:
    """The columns that every table of these entries has."""
    for name, hint in get_type_hints(entry).items():
        if is_dataclass(hint):
            yield from _columns(hint)
        elif get_origin(hint) not in (tuple, Mapping, ClassVar):
            yield name


def _cells(entry: Any) -> Iterator[tuple[str, Any]]:
    for field in fields(entry):
        value = getattr(entry, field.name)
        if isinstance(value, MmrecError):
            yield field.name, f"{value.code}: {value.message}"
        elif is_dataclass(value):
            yield from _cells(value)
        elif isinstance(value, Mapping):
            yield from ((f"{field.name}.{name}", one) for name, one in value.items())
        elif isinstance(value, tuple) and value and isinstance(value[0], ChannelShare):
            yield from ((f"{field.name}.{share.channel}", share.share) for share in value)
        elif value is not None and not (isinstance(value, tuple) and not value):
            yield field.name, value
