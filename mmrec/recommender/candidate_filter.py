"""The candidate filter: a request's filter, lists and business rules as sets of catalogue rows.

Unit of work: one request. Knows nothing about models and scores. The mask of a filter is cached with everything that
the search derives from it. Single excluded items (seen items, a deny list) stay a list of rows while it is short, so
that a request without a filter costs the search almost nothing.
"""

# Axes: N items

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.catalogue import Catalogue
from mmrec.contract.items import FilterMode
from mmrec.contract.requests import Promotion, RecommendRequest
from mmrec.errors import InvalidArgumentError, prefixed
from mmrec.filters.filter import CatalogueFilter
from mmrec.filters.mask import Bitmap, EligibilityMask
from mmrec.semantic_ids.eligibility import FEW

_DAY_SECONDS = 86_400.0


_NO_ROWS = np.empty(0, np.int64)


class Tier(NamedTuple):
    """Items that one customer may be shown, as a mask, and as a shared set with exceptions.

    Attributes:
        mask_N: The items, by catalogue row. Shape: (N,), bool.
        within: The set that the search is limited to; None for the whole catalogue.
        left_out: Catalogue rows that are excluded from `within`.
    """

    mask_N: Bitmap
    within: EligibilityMask | None
    left_out: npt.NDArray[np.integer[Any]] = _NO_ROWS

    @classmethod
    def of(cls, mask_N: Bitmap) -> Tier:
        """The items of a mask that is not shared."""
        return cls(mask_N, EligibilityMask(mask_N))


class CandidateFilter:
    """Sets of one catalogue's items.

    Args:
        catalogue: The items.
        filters: Conditions over the catalogue's columns.
        clock: Seconds since 1970, from which the age of items is measured.
    """

    def __init__(self, catalogue: Catalogue, filters: CatalogueFilter, clock: Callable[[], float] = time.time) -> None:
        self._catalogue = catalogue
        self._filters = filters
        self._clock = clock
        self._standardised: dict[str, npt.NDArray[np.float32]] = {}

    def tiers(
        self,
        request: RecommendRequest,
        seen: npt.NDArray[np.integer[Any]],
        rejected: npt.NDArray[np.integer[Any]] | None = None,
        places: int | None = None,
    ) -> tuple[Tier, ...]:
        """Items that pass the filter of a request; in relaxed mode the others too if these are fewer than the places.

        Args:
            request: Its filter, lists, `k` and `include_seen` are read.
            seen: Catalogue rows of the history.
            rejected: Catalogue rows that the customer rejected; always excluded.
            places: Length of the list; None for `k` of the request.

        Raises:
            InvalidArgumentError: the filter has a syntax error or does not fit the columns; the message names the
                position.
        """
        inside = self._filters.mask(request.filter) if request.filter.strip() else None
        denied = self._rows(request.deny)
        if rejected is not None and len(rejected):
            denied = np.concatenate([denied, rejected])
        left_out = np.unique(denied if request.include_seen else np.concatenate([denied, seen]))
        allowed_N: Bitmap | None = None
        if request.allow:
            allowed_N = np.zeros(len(self._catalogue), np.bool_)
            allowed_N[self._rows(request.allow)] = True
        first = self._tier(inside, allowed_N, left_out)
        wanted = request.k if places is None else places
        enough = request.filter_mode is FilterMode.STRICT or np.count_nonzero(first.mask_N) >= wanted
        if inside is None or enough:
            return (first,)
        return first, self._tier(inside.others(self._filters.mask("")), allowed_N, left_out)

    def promoted(self, promotions: Sequence[Promotion]) -> list[Bitmap]:
        """The items of each promotion. Shape of each: (N,), bool.

        Raises:
            InvalidArgumentError: a filter has a syntax error or does not fit the columns.
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
            InvalidArgumentError: there is no such column, or its values are not dates.
        """
        if not request.exploration_column:
            return None
        try:
            times_N = self._filters.times(request.exploration_column)
        except InvalidArgumentError as err:
            raise InvalidArgumentError(f"exploration_column: {err.message}", field="exploration_column") from None
        # A missing date is NaN, which is not young.
        return np.asarray(times_N >= self._clock() - request.exploration_max_age_days * _DAY_SECONDS, np.bool_)

    def standardised(self, column: str) -> npt.NDArray[np.float32]:
        """Standard deviations by which each value of a column of numbers lies above the mean; 0 without a value.

        Mean and deviation are those of the catalogue, so that they do not depend on a request. Shape: (N,), float32.

        Raises:
            InvalidArgumentError: there is no such column, or its values are not numbers.
        """
        found_N = self._standardised.get(column)
        if found_N is None:
            try:
                values_N = self._filters.numbers(column)
            except InvalidArgumentError as err:
                raise InvalidArgumentError(f"attribute_weights: {err.message}", field="attribute_weights") from None
            known_N = np.isfinite(values_N) & self._filters.bitmap("")
            known = values_N[known_N]
            spread = float(known.std()) if len(known) else 0.0
            found_N = np.zeros(len(values_N), np.float32)
            if spread > 0:
                found_N[known_N] = (known - known.mean()) / spread
            self._standardised[column] = found_N
        return found_N

    def _rows(self, item_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        return np.array(self._catalogue.rows_of(item_ids), np.int64)

    def _tier(
        self, within: EligibilityMask | None, allowed_N: Bitmap | None, left_out: npt.NDArray[np.integer[Any]]
    ) -> Tier:
        mask_N = (within or self._filters.mask("")).rows_N.copy()
        if allowed_N is not None:
            mask_N &= allowed_N
        mask_N[left_out] = False
        if allowed_N is not None or len(left_out) > FEW:
            return Tier.of(mask_N)
        return Tier(mask_N, within, left_out)
