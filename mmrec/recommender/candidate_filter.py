"""Which items a request may be given and which it wishes for: its filter and lists as sets of catalogue rows.

Unit of work: one request. Knows nothing about models and scores. A filter is evaluated once per expression and made
ready for the search once; what is ruled out one by one (seen items, a deny list) stays a list of rows as long as it is
short, so that a request without a filter costs the search next to nothing.
"""

# Axes: N items

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.catalogue import Catalogue
from mmrec.contract.items import FilterMode
from mmrec.contract.requests import Promotion, RecommendRequest
from mmrec.errors import InvalidArgumentError, prefixed
from mmrec.filters.filter import CatalogueFilter
from mmrec.recommender.batch_eligibility import Tier
from mmrec.semantic_ids.decode_index import DecodeIndex
from mmrec.semantic_ids.eligibility import FEW, Passing, passing

Bitmap = npt.NDArray[np.bool_]

SETS_KEPT = 64
"""Filters that are kept ready for the search, 4 N bytes each; the ones used longest ago are forgotten."""
_DAY_SECONDS = 86_400.0


class Admission:
    """Sets of one catalogue's items. One thread at a time.

    Args:
        catalogue: The items.
        filters: Conditions over the catalogue's columns.
        index: The decode index of the same items.
        clock: Seconds since 1970; what "new for so many days" is counted from.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        filters: CatalogueFilter,
        index: DecodeIndex,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._catalogue = catalogue
        self._filters = filters
        self._index = index
        self._clock = clock
        self._sets: OrderedDict[tuple[str, bool], Passing] = OrderedDict()

    def tiers(
        self,
        request: RecommendRequest,
        seen: npt.NDArray[np.integer[Any]],
        rejected: npt.NDArray[np.integer[Any]] | None = None,
    ) -> tuple[Tier, ...]:
        """What a request may be given: what passes its filter, and where it is relaxed and that is too few, the rest.

        Args:
            request: Its filter, lists and `include_seen` are read.
            seen: Catalogue rows of the history.
            rejected: Catalogue rows of what the customer sent back or rated low; ruled out whatever the request says.

        Raises:
            InvalidArgumentError: the filter is not of the language, or not of this catalogue; the message points at the
                character.
        """
        inside_N = self._filters.bitmap(request.filter) if request.filter.strip() else None
        denied = self._rows(request.deny)
        if rejected is not None and len(rejected):
            denied = np.concatenate([denied, rejected])
        left_out = denied if request.include_seen else np.concatenate([denied, seen])
        allowed_N: Bitmap | None = None
        if request.allow:
            allowed_N = np.zeros(len(self._catalogue), np.bool_)
            allowed_N[self._rows(request.allow)] = True
        first = self._tier(request.filter, True, inside_N, allowed_N, left_out)
        enough = request.filter_mode is FilterMode.STRICT or np.count_nonzero(first.mask_N) >= request.k
        if inside_N is None or enough:
            return (first,)
        outside_N = self._filters.bitmap("") & ~inside_N
        return first, self._tier(request.filter, False, outside_N, allowed_N, left_out)

    def promoted(self, promotions: Sequence[Promotion]) -> list[Bitmap]:
        """The items of each promotion. Shape of each: (N,), bool.

        Raises:
            InvalidArgumentError: a filter is not of the language, or not of this catalogue.
        """
        found = []
        for i, promotion in enumerate(promotions):
            members_N = np.zeros(len(self._catalogue), np.bool_)
            if promotion.filter.strip():
                try:
                    members_N |= self._filters.bitmap(promotion.filter)
                except InvalidArgumentError as err:
                    raise prefixed(err, f"promotions[{i}]") from None
            members_N[self._rows(promotion.item_ids)] = True
            found.append(members_N)
        return found

    def young(self, request: RecommendRequest) -> Bitmap | None:
        """Items no older than a request's age limit; None where it has none. Shape: (N,), bool.

        Raises:
            InvalidArgumentError: there is no such column, or it holds other things than dates.
        """
        if not request.exploration_column:
            return None
        try:
            times_N = self._filters.times(request.exploration_column)
        except InvalidArgumentError as err:
            raise InvalidArgumentError(f"exploration_column: {err.message}", field="exploration_column") from None
        # What is missing is NaN, and not young.
        return np.asarray(times_N >= self._clock() - request.exploration_max_age_days * _DAY_SECONDS, np.bool_)

    def _rows(self, item_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        rows = (self._catalogue.row_of(item_id) for item_id in item_ids)
        return np.array([row for row in rows if row is not None], np.int64)

    def _tier(
        self,
        expression: str,
        inside: bool,
        passing_N: Bitmap | None,
        allowed_N: Bitmap | None,
        left_out: npt.NDArray[np.integer[Any]],
    ) -> Tier:
        mask_N = (self._filters.bitmap("") if passing_N is None else passing_N).copy()
        if allowed_N is not None:
            mask_N &= allowed_N
        mask_N[left_out] = False
        left_out = np.unique(left_out)
        if allowed_N is not None or len(left_out) > FEW:
            return Tier(mask_N, np.empty(0, np.int64), passing(mask_N, self._index))
        return Tier(mask_N, left_out, None if passing_N is None else self._set(expression, inside, passing_N))

    def _set(self, expression: str, inside: bool, passing_N: Bitmap) -> Passing:
        """What passes a filter, or what does not, ready for the search."""
        key = expression.strip(), inside
        found = self._sets.get(key)
        if found is None:
            # The filter's own bitmap may not be written to, which torch warns of.
            found = self._sets[key] = passing(passing_N.copy(), self._index)
        self._sets.move_to_end(key)
        while len(self._sets) > SETS_KEPT:
            self._sets.popitem(last=False)
        return found
