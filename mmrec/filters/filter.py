"""Filters: conditions over the columns of a catalogue, evaluated to a bitmap over its rows.

Unit of work: one filter. Knows nothing about embeddings and ranking. The language is in `mmrec.filters.grammar`. The
meaning of a comparison depends on the kind of the column, which ``dataset.toml`` names or all its values agree on:

=======  =============================================================  ===============================================
kind     every value that is not empty is                               operators
=======  =============================================================  ===============================================
number   a number of at most 15 digits, also with thousands apart, with  all, by value: ``7``, ``7.0`` and ``"007"`` are
         a decimal comma, and in one currency or percent: ``12.99 USD``  equal
boolean  true or false, yes or no                                       ``=``, ``!=``, ``:``, ``IN``
date     a date or time (without a zone: UTC), ISO 8601 or one of the   all, by time
         ways in which people write it: ``31/05/2024``
text     anything else, lists among it; always item_id, title,          all; ``=`` compares every character, with ``*``
         description                                                    for any characters, and a plain number or day
                                                                        without quotes by value; ``<`` and the like
                                                                        compare with a value in quotes, by code points
=======  =============================================================  ===============================================

The accepted ways of writing are in `mmrec.catalogue.written_values`; how a column that can be read in two ways is
decided, in `mmrec.catalogue.column_kinds`. A number in a filter is written plainly
(``price < 1299.5``) or, in quotes, as the column writes it (``price < "1.299,50 €"``), a date as ISO 8601 or as the
column writes it.

Comparing a text by ``<``, ``<=``, ``>`` or ``>=`` with a number without quotes, or with a date, is an error, because
texts are compared by code points, where ``"129" < "5"``. So is comparing a number without quotes, or an ISO date, by
``=``, ``!=`` or ``IN`` with a text column in which numbers or dates are written in other ways (``12.99 USD`` beside
``ask us``): it would equal none of them. Where all of them are written plainly, ``price = 12.5`` without quotes
holds for ``12.50`` too, and ``added = 2024-05-31`` for ``2024-05-31T00:00:00``, as in a column of nothing else; not in
one that is always text or that ``dataset.toml`` says is text.

``:`` on a text asks whether the value occurs in it as a whole word or phrase, in any case of letters, which on a list
separated by ``|`` asks for an entry or for words of one. ``column:*`` holds where there is any value.

An empty value is missing, and so is one that does not fit the kind that ``dataset.toml`` names. A comparison with a
missing value is false, whichever it is, so ``price != 5`` is false and ``NOT price = 5`` true for an item without a
price. ``column = ""`` is true where the value is missing, ``column != ""`` where it is not.
"""

# Axes: N items

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.catalogue import Catalogue
from mmrec.catalogue.column_kinds import EXAMPLES, FAMILIES, NAMES, TEXT_ALWAYS, Tally, tally_of
from mmrec.catalogue.text_columns import TextColumn
from mmrec.catalogue.written_values import read_value
from mmrec.contract.engine import CacheUse
from mmrec.errors import InvalidArgumentError
from mmrec.filters.cache import CachedMask, FilterCache
from mmrec.filters.columns import FilterColumn, read_column
from mmrec.filters.evaluation import Evaluation, instead
from mmrec.filters.grammar import parse_filter
from mmrec.filters.mask import Bitmap, EligibilityMask
from mmrec.runtime.limits import check_number

Rows = npt.NDArray[np.int64]


class CatalogueFilter:
    """Filters over one catalogue. Safe to call from several threads.

    Args:
        catalogue: The items.
        cache_size: Most masks in the least-recently-used cache, up to 10 N bytes each.

    Raises:
        InvalidArgumentError: the cache size is negative.
    """

    def __init__(self, catalogue: Catalogue, *, cache_size: int = 64) -> None:
        check_number("cache_size", cache_size, low=0)
        own = {"item_id": catalogue.item_ids, "title": catalogue.titles, "description": catalogue.descriptions}
        self._texts = {name: TextColumn.of(texts) for name, texts in {**own, **catalogue.attributes}.items()}
        self._kinds = {**catalogue.kinds, **dict.fromkeys(TEXT_ALWAYS, "text")}
        # Of the columns without a configured kind, as they were before the first change: these decide their kinds.
        self._tallies: dict[str, Tally] = {}
        self._items = len(catalogue)
        alive_N = catalogue.alive_N
        self._every = EligibilityMask(np.ones(self._items, np.bool_) if alive_N is None else alive_N.copy())
        self._columns: dict[str, FilterColumn] = {}
        self._cache = FilterCache(cache_size)

    def with_changes(self, catalogue: Catalogue, rows_M: Rows) -> CatalogueFilter:
        """The filters of a changed catalogue, in which every value is read as its column was before.

        Every column keeps its kind. Columns that were read are updated, and a cached mask is when it is next used, by
        evaluating the rows of the delta segments only.

        Args:
            catalogue: The changed catalogue.
            rows_M: Rows that were replaced or added. Shape: (M,), int64.
        """
        made = CatalogueFilter(catalogue, cache_size=self._cache.size)
        self.fix_kinds()
        made._cache, made._tallies = self._cache, self._tallies
        rows = np.unique(rows_M).tolist()
        for name in self._texts:
            column = self._known(name)
            if column is not None:
                made._remember(name, column.changed(rows, made._texts[name]))
        return made

    def fix_kinds(self) -> None:
        """Find the kind of every column, which changes of the catalogue do not change; the first change does it too."""
        for name in self._texts:
            self._kind(name)

    @property
    def cache_use(self) -> CacheUse:
        """How often the mask of a filter was found, by this catalogue and those that it was changed from."""
        return self._cache.use

    def column(self, name: str) -> FilterColumn:
        """A column, one of `columns`, with the kind that it has in filters."""
        found = self._known(name)
        if found is None:
            # Two threads may both read it, with the same result.
            found = read_column(self._texts[name], self._kind(name), configured=name in self._kinds)
            self._remember(name, found)
        return found

    def check_value(self, column: str, text: str) -> None:
        """Check a value that is to be added to a column; a blank one is none, and fits.

        Raises:
            InvalidArgumentError: the column holds numbers, dates or booleans, and this is none; or an amount in another
                currency, or one that can be read in two ways.
        """
        kind = self._kind(column)
        if FAMILIES[kind] == "text" or not text.strip():
            return
        tally = self._tallies.get(column)
        if not (tally.accepts(text) if tally is not None else read_value(kind, text, configured=True) is not None):
            units = " and ".join(filter(None, tally.units)) if tally is not None else ""
            raise InvalidArgumentError(
                f"attributes has {text!r:.60} for column {column!r:.60}, which holds {NAMES[kind]}"
                f"{units and f' in {units}'}; give {EXAMPLES[kind]}{units and ' in that unit'}, or leave it empty",
                field="attributes",
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names that a filter may use."""
        return tuple(self._texts)

    def times(self, column: str) -> npt.NDArray[np.float64]:
        """Moments in a column of dates, in seconds since 1970 (UTC).

        Returns:
            NaN for a missing value. Shape: (N,), float64.

        Raises:
            InvalidArgumentError: there is no such column, or not every value of it is a date.
        """
        return self._values(column, "date", "dates such as 2024-05-31")

    def numbers(self, column: str) -> npt.NDArray[np.float64]:
        """Values of a column of numbers.

        Returns:
            NaN for a missing value. Shape: (N,), float64.

        Raises:
            InvalidArgumentError: there is no such column, or not every value of it is a number.
        """
        return self._values(column, "number", "numbers such as 12.5")

    def _values(self, column: str, family: str, what: str) -> npt.NDArray[np.float64]:
        if column not in self._texts:
            raise InvalidArgumentError(f"there is no column {column!r:.60}; {instead(column, self._texts)}")
        found = self.column(column)
        if found.family != family:
            raise InvalidArgumentError(
                f"column {column!r:.60} holds {NAMES[found.kind]}; it must hold nothing but {what}"
            )
        return found.numbers()

    def check(self, expression: str) -> None:
        """Check a filter.

        Raises:
            InvalidArgumentError: see `mask`.
        """
        self.mask(expression)

    def bitmap(self, expression: str) -> Bitmap:
        """Which items pass; see `mask`. Must not be written to. Shape: (N,), bool."""
        return self.mask(expression).rows_N

    def mask(self, expression: str) -> EligibilityMask:
        """The items that pass.

        Args:
            expression: The filter; blank: every item passes. A deleted row never does.

        Raises:
            InvalidArgumentError: it is too long, has a syntax error, names a missing column, or compares a column with
                a value of another kind. The message points at the character.
        """
        if not isinstance(expression, str):
            raise InvalidArgumentError(
                f"filter is a {type(expression).__name__}; it must be text such as price < 50", field="filter"
            )
        key = expression.strip()
        if not key:
            return self._every
        kept = self._cache.mask(key)
        if kept is not None and kept.every is self._every:
            return kept.mask
        found_N = None if kept is None else self._updated(kept, key)
        if kept is not None and found_N is not None:
            return self._keep(key, found_N, kept.used)
        used = dict[str, FilterColumn]()

        def read(name: str) -> FilterColumn:
            return used.setdefault(name, self.column(name))

        found_N = Evaluation(key, self._texts, read).rows(parse_filter(key))
        return self._keep(key, found_N, tuple(map(_meaning, used, used.values())))

    def _updated(self, kept: CachedMask, key: str) -> Bitmap | None:
        """Which rows pass now, deleted rows included; None when all rows must be evaluated again."""
        before = np.unpackbits(kept.packed, count=len(kept.item_ids)).view(np.bool_)
        if kept.item_ids is self._item_ids:
            return before
        rows = self._item_ids.changed_since(kept.item_ids)
        # If a column has other units or spellings, the filter may mean something else, or be an error.
        if rows is None or any(_meaning(name, self.column(name)) != (name, *meaning) for name, *meaning in kept.used):
            return None
        found_N = np.zeros(self._items, np.bool_)
        found_N[: len(before)] = before[: self._items]
        rows_X = np.array([row for row in rows if row < self._items], np.int64)
        delta = Evaluation(key, self._texts, lambda name: self.column(name).taken(rows_X))
        found_N[rows_X] = delta.rows(parse_filter(key))
        return found_N

    def _keep(self, key: str, found_N: Bitmap, used: tuple[tuple[str, ...], ...]) -> EligibilityMask:
        mask = EligibilityMask(found_N & self._every.rows_N)
        self._cache.keep_mask(key, CachedMask(self._item_ids, np.packbits(found_N), used, self._every, mask))
        return mask

    @property
    def _item_ids(self) -> TextColumn:
        return self._texts["item_id"]

    def _kind(self, name: str) -> str:
        if name in self._kinds:
            return self._kinds[name]
        if name not in self._tallies:
            self._tallies[name] = tally_of(self._texts[name])
        return self._tallies[name].kind

    def _known(self, name: str) -> FilterColumn | None:
        """A column that was read, or that can be updated from another version of the catalogue; else None."""
        found, texts = self._columns.get(name), self._texts[name]
        if found is None and (kept := self._cache.columns.get(name)) is not None and len(kept.texts) <= len(texts):
            rows = texts.changed_since(kept.texts)
            if rows is not None:
                self._columns[name] = found = kept.changed(rows, texts)
        return found

    def _remember(self, name: str, column: FilterColumn) -> None:
        self._columns[name] = self._cache.columns[name] = column


def _meaning(name: str, column: FilterColumn) -> tuple[str, ...]:
    return name, *column.meaning
