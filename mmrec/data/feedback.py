"""Sorts events into positive feedback (taken or liked), negative (sent back, removed, rated low) and none (only shown).

Unit of work: one column of event types or of ratings. Knows nothing of tables and users.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_NEGATIVE_TYPE_LIST = """
return returned return_request return_requested refund refunded chargeback exchange_return cancel canceled cancelled
cancellation order_cancelled order_canceled cancel_order remove removed remove_from_cart removed_from_cart
remove_from_basket removed_from_basket cart_remove remove_from_wishlist removed_from_wishlist remove_from_favorites
remove_from_favourites delete deleted unfavorite unfavourite unlike unliked unsave dislike disliked thumbs_down
thumb_down downvote downvoted hide hidden block blocked not_interested reject rejected skip skipped complaint dismiss
dismissed
"""
NEGATIVE_TYPES = tuple(_NEGATIVE_TYPE_LIST.split())
"""Types of events that are negative feedback where ``dataset.toml`` names none; case and separators do not matter."""
SHOWN_TYPES = ("impression", "impressions", "shown", "exposure", "displayed")
"""Types of events that say that an item was shown to a customer, and nothing of what the customer did with it."""
_NEGATIVE_WORD_LIST = """
returned refund refunds refunded cancelled canceled cancellation chargeback dislike disliked removed unliked rückgabe
retoure retouren storno storniert retour remboursement remboursé annulé annulée devolución devuelto reembolso
reembolsado cancelado reso rimborso annullato
"""
_NEGATIVE_WORDS = frozenset(_NEGATIVE_WORD_LIST.split())
"""A type of several words is negative where one of them is one of these: ``Item Returned``, ``order_refunded``."""
_RETURN = frozenset({"return", "returns"})
_RETURN_CONTEXT_LIST = """
item items order orders product purchase request requested initiated created processed completed received approved
"""
_RETURN_CONTEXT = frozenset(_RETURN_CONTEXT_LIST.split())
"""Words that, beside ``return``, mean that goods are sent back; ``return visit`` does not."""

_COUNT_LIKE = ("a scale of 5", "a scale of 10", "a scale of 100")
"""Scales whose ratings could also be numbers of purchases or plays, of which most are small."""
_SEPARATORS = re.compile(r"[\W_]+")
_CAPITAL = re.compile(r"(?<=[^\W\dA-Z_])(?=[A-Z])")
_MAX_LISTED = 6
_MAX_VALUES = 400


@dataclass(frozen=True, slots=True)
class FeedbackRule:
    """How a dataset's events are read: what its bundle learned from is what a server takes up.

    Attributes:
        ignore_types: Types that are negative; None for `NEGATIVE_TYPES`, and those of several words that name a return,
            a refund, a cancellation or a dislike.
        rejected_below: Ratings below it are negative, as `ByRating.below` says; None: every rating is positive.
    """

    ignore_types: tuple[str, ...] | None = None
    rejected_below: float | None = None

    def takes(self, event_type: str, rating: float | None = None) -> bool | None:
        """Whether a customer with an event took the item; False: rejected it; None: was only shown it.

        Args:
            event_type: May be empty.
            rating: None: the event has none.
        """
        took = _took(event_type, self.ignore_types)
        if took and rating is not None and self.rejected_below is not None:
            return not rating < self.rejected_below
        return took


@dataclass(frozen=True, slots=True)
class ByType:
    """Feedback by event type.

    Attributes:
        negative_R: Rows that are negative feedback. Shape: (R,), bool.
        shown_R: Rows that say only that an item was shown, which is no feedback. Shape: (R,), bool.
        counts: Rows of each negative type, the most frequent first.
        words: How the column is read, as a sentence for the report.
        unmatched: Names in `ignored` that no event has as its type.
    """

    negative_R: npt.NDArray[np.bool_]
    shown_R: npt.NDArray[np.bool_]
    counts: dict[str, int]
    words: str
    unmatched: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ByRating:
    """Feedback by rating.

    Attributes:
        negative_R: Rows that are negative feedback. Shape: (R,), bool.
        below: Ratings below it are negative; None: every rating is positive.
        words: How the column is read, as a sentence for the report.
    """

    negative_R: npt.NDArray[np.bool_]
    below: float | None
    words: str


def judge_types(types: Any, ignored: tuple[str, ...] | None) -> ByType:
    """Classify events by their type.

    Args:
        types: '' where an event has none, which is then positive. Shape: (R,), pyarrow strings.
        ignored: As `FeedbackRule.ignore_types`.
    """
    encoded = types.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    names: list[str] = encoded.dictionary.to_pylist()
    codes = np.asarray(encoded.indices, dtype=np.int64)
    rows_T = np.bincount(codes, minlength=len(names))
    took = [_took(name, ignored) for name in names]
    by_size = sorted(range(len(names)), key=lambda code: (-int(rows_T[code]), names[code]))
    counts = {names[code]: int(rows_T[code]) for code in by_size if took[code] is False}
    matched = {_normalised(name) for name in counts}
    unmatched = tuple(name for name in ignored or () if _normalised(name) not in matched)
    positive, negative, shown = (
        [f"{names[code] or 'empty'} ({rows_T[code]:,})" for code in by_size if took[code] is kind]
        for kind in (True, False, None)
    )
    words = f"counted as positive: {_listed(positive)}" if positive else "nothing is counted as positive"
    words += f"; as negative: {_listed(negative)}" if negative else "; as negative: none"
    words += f"; only shown, which counts for nothing: {_listed(shown)}" if shown else ""
    negative_R, shown_R = (
        np.array([one is kind for one in took], dtype=np.bool_)[codes] if names else np.zeros(len(codes), np.bool_)
        for kind in (False, None)
    )
    return ByType(negative_R, shown_R, counts, words, unmatched)


def judge_ratings(ratings_R: npt.NDArray[np.float32], min_rating: float | None) -> ByRating:
    """Classify events by their rating.

    Args:
        ratings_R: nan where an event has none, which is then positive. Shape: (R,).
        min_rating: Ratings below it are negative; 0: every rating is positive; None: the middle of the scale, where
            the ratings are on a known one.
    """
    none_R = np.zeros(len(ratings_R), dtype=np.bool_)
    values = np.unique(ratings_R[np.isfinite(ratings_R)].astype(np.float64))
    if not len(values):
        return ByRating(none_R, None, "no event has one, so it has no effect")
    span = f"{values[0]:g} to {values[-1]:g}"
    remedy = "set min_rating below [events] in dataset.toml to leave low ones out"
    if min_rating == 0:
        return ByRating(none_R, None, f"{span}: every rating counts, as min_rating = 0 says")
    if min_rating is not None:
        below, scale = min_rating, "as min_rating says"
    else:
        scale, below = _scale(values)
        if not scale:
            return ByRating(none_R, None, f"{span}: on no known scale, so it has no effect; {remedy}")
    with np.errstate(invalid="ignore"):
        negative_R = ratings_R < below  # nan is below nothing
    if min_rating is None and scale in _COUNT_LIKE and 2 * int(negative_R.sum()) > int(np.isfinite(ratings_R).sum()):
        words = f"{span}: more than half are below {below:g}, as counts would be, so it has no effect; {remedy}"
        return ByRating(none_R, None, words)
    return ByRating(negative_R, below, f"{span} ({scale}): events below {below:g} are counted as negative")


def _scale(values: npt.NDArray[np.float64]) -> tuple[str, float]:
    """Name and middle of the rating scale; '' for an unknown one.

    The highest rating, which real logs always contain, identifies the scale. Scales from 0 are unknown except for yes
    and no, because in some logs 0 means that there is no rating.
    """
    if len(values) > _MAX_VALUES:
        return "", 0.0
    low, high = float(values[0]), float(values[-1])
    halves = bool((values * 2 == np.floor(values * 2)).all())
    if (low, high) == (0.0, 1.0) and len(values) == 2:
        return "yes or no", 0.5
    if (low, high) == (-1.0, 1.0) and len(values) <= 3:
        return "for or against", 0.0
    if halves and low >= 0.5 and high == 5:
        return "a scale of 5", 3.0
    if halves and low >= 0.5 and high == 10:
        return "a scale of 10", 5.5
    if low >= 1 and high == 100 and len(values) >= 10 and bool((values == np.floor(values)).all()):
        return "a scale of 100", 50.5
    return "", 0.0


def _took(event_type: str, ignored: tuple[str, ...] | None) -> bool | None:
    """As `FeedbackRule.takes`, by the type alone."""
    name = _normalised(event_type)
    if ignored is not None:
        rejected = bool(event_type) and name in _normalised_names(ignored)
    else:
        rejected = name in _NEGATIVE or _has_negative_word(event_type)
    if rejected:
        return False
    return None if name in _SHOWN else True


def _has_negative_word(name: str) -> bool:
    words = {word for word in _SEPARATORS.split(_CAPITAL.sub(" ", name).casefold()) if word}
    return bool(words & _NEGATIVE_WORDS) or bool(words & _RETURN and words & _RETURN_CONTEXT)


def _normalised(name: str) -> str:
    return _SEPARATORS.sub("", name.casefold())


@cache
def _normalised_names(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(_normalised, names))


_SHOWN, _NEGATIVE = map(_normalised_names, (SHOWN_TYPES, NEGATIVE_TYPES))


def _listed(names: list[str]) -> str:
    more = len(names) - _MAX_LISTED
    return ", ".join(names[:_MAX_LISTED]) + (f" and {more:,} more" if more > 0 else "")
