"""Promotions: items that a customer's list is to show more than they earn.

Unit of work: one promotion, or the promotions of one request. Knows nothing of protobuf, torch or files; see
`mmrec.contract.types`, which has all of these names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mmrec.contract.rules import (
    MAX_FILTER_CHARS,
    checked_ids,
    checked_list,
    checked_number,
    checked_share,
    checked_text,
)
from mmrec.errors import InvalidArgumentError

MAX_PROMOTIONS = 100
"""Most promotions in one request."""
MAX_PROMOTED_IDS = 10_000
"""Most ids in one promotion."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """Items that are to be shown more than they earn. What a request rules out stays out all the same.

    Attributes:
        item_ids: The items by id, at most `MAX_PROMOTED_IDS`; those of `filter` as well, where both are given.
        filter: The items by an AIP-160 condition over the columns; empty for those of `item_ids` alone.
        min_share: At least this share of the places, 0 to 1, as far as there are such items.
        boost: Added to the items' scores, in the score's own unit, of either sign.
    """

    item_ids: tuple[str, ...] = ()
    filter: str = ""
    min_share: float = 0.0
    boost: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "item_ids", checked_ids(self.item_ids, "item_ids", most=MAX_PROMOTED_IDS))
        checked_text(self.filter, "filter", MAX_FILTER_CHARS)
        object.__setattr__(self, "min_share", checked_share(self.min_share, "min_share"))
        object.__setattr__(self, "boost", checked_number(self.boost, "boost"))
        if not self.item_ids and not self.filter.strip():
            raise InvalidArgumentError(
                "item_ids and filter are both empty; name the promoted items by id or by a condition", field="filter"
            )


def checked_promotions(values: Iterable[Promotion], where: str) -> tuple[Promotion, ...]:
    """The promotions of one request.

    Raises:
        InvalidArgumentError: there are more than `MAX_PROMOTIONS`, an entry is none, or their shares sum to over 1.
    """
    promotions = checked_list(values, where, "mmrec.Promotion values")
    if len(promotions) > MAX_PROMOTIONS:
        raise InvalidArgumentError(
            f"{where} has {len(promotions):,} entries; at most {MAX_PROMOTIONS} are accepted", field=where
        )
    for i, promotion in enumerate(promotions):
        if not isinstance(promotion, Promotion):
            raise InvalidArgumentError(
                f"{where}[{i}] is a {type(promotion).__name__}; pass mmrec.Promotion values", field=f"{where}[{i}]"
            )
    total = sum(promotion.min_share for promotion in promotions)
    if total > 1 + 1e-9:
        raise InvalidArgumentError(
            f"the min_share values of {where} sum to {total:g}; a list has no more than all of its places, so lower "
            "them to a sum of at most 1",
            field=where,
        )
    return promotions
