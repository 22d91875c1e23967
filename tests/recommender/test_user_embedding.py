"""Customers as vectors: means of recommended items, mixed with words, over vectors that are written here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from mmrec.contract.items import Fallback, ItemRecord, ScoredItem, Versions
from mmrec.contract.replies import Recommendations, UserEmbedding
from mmrec.contract.requests import EmbedUserRequest, RecommendRequest
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, MmrecError
from mmrec.recommender.user_embedding import RECOMMENDED, UserEmbedder
from mmrec_encoders.fusion import Fusion
from mmrec_encoders.item_encoder import Query
from tests.recommender.small_shop import CATALOGUE, VECTORS

ROWS = {"": ("a", "d"), "after a": ("a", "d"), "flat": ("a", "e")}
WORDS = np.array([0.0, 1.0], np.float32)


class Vectors:
    """The shop's vectors, which have one length; every text is `WORDS`."""

    fused_ND = np.array(VECTORS, np.float32)
    fusion = Fusion(2, 2, dimension=2)

    def query(self, query: Query) -> np.ndarray:
        return WORDS


def recommend(requests: Sequence[RecommendRequest]) -> list[Recommendations | MmrecError]:
    """a with the score log 3 and d with 0, or what the user is called."""
    replies: list[Recommendations | MmrecError] = []
    for request in requests:
        assert request.k == RECOMMENDED
        if request.user_id == "broken":
            replies.append(InvalidArgumentError("no"))
            continue
        first, second = ROWS.get(request.user_id, ("a", "d"))
        score = float(np.log(3)) if request.user_id != "flat" else 0.0
        items = (ScoredItem(ItemRecord(first), score), ScoredItem(ItemRecord(second), 0.0))
        known = any(item_id in "abcdefgh" for item_id in request.history) or request.user_id
        missing = tuple(item_id for item_id in request.history if item_id not in "abcdefgh")
        fallback = Fallback.NONE if known else Fallback.POPULARITY
        replies.append(Recommendations("r", items, missing, fallback))
    return replies


def embedded(*requests: EmbedUserRequest) -> list[UserEmbedding | MmrecError]:
    return UserEmbedder(CATALOGUE, Vectors(), recommend, Versions("m1")).embed_many(requests)  # type: ignore[arg-type]


def vector(request: EmbedUserRequest) -> list[float]:
    (found,) = embedded(request)
    assert isinstance(found, UserEmbedding), found
    return [float(number) for number in found.vector]


def test_a_history_is_the_mean_of_what_would_be_recommended_weighted_by_the_softmax_of_scores() -> None:
    # a (1, 0) weighs three times as much as d (0, 1).
    assert vector(EmbedUserRequest(("b",))) == pytest.approx([3 / 10**0.5, 1 / 10**0.5])


def test_words_alone_are_their_own_vector_whatever_is_popular() -> None:
    (found,) = embedded(EmbedUserRequest(text="lamp"))
    assert isinstance(found, UserEmbedding)
    assert (found.vector.tolist(), found.fallback, found.versions) == ([0.0, 1.0], Fallback.NONE, Versions("m1"))


def test_words_are_mixed_with_a_history_by_their_weight() -> None:
    assert vector(EmbedUserRequest(("b",), text="lamp", text_weight=0.0)) == vector(EmbedUserRequest(("b",)))
    assert vector(EmbedUserRequest(("b",), text="lamp", text_weight=1.0)) == [0.0, 1.0]
    mixed = np.array([3 / 10**0.5, 1 / 10**0.5]) * 0.5 + np.array([0.0, 0.5])
    assert vector(EmbedUserRequest(("b",), text="lamp")) == pytest.approx((mixed / np.linalg.norm(mixed)).tolist())


def test_a_stranger_stands_for_popular_items_and_the_reply_says_so() -> None:
    (found,) = embedded(EmbedUserRequest(("unknown",)))
    assert isinstance(found, UserEmbedding)
    assert (found.fallback, found.missing_ids) == (Fallback.POPULARITY, ("unknown",))
    assert float(np.linalg.norm(found.vector)) == pytest.approx(1.0)


def test_requests_fail_alone() -> None:
    good, broken, flat, short = embedded(
        EmbedUserRequest(("b",)),
        EmbedUserRequest(user_id="broken"),
        EmbedUserRequest(user_id="flat"),
        EmbedUserRequest(("b",), dimension=1),
    )
    assert isinstance(good, UserEmbedding)
    assert isinstance(broken, InvalidArgumentError)
    # a (1, 0) and e (-1, 0) with equal scores point nowhere.
    assert isinstance(flat, FailedPreconditionError)
    assert isinstance(short, InvalidArgumentError)
    assert [violation.field for violation in short.violations] == ["dimension"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "history, user_id and text are all empty; pass at least one of them"),
        ({"text": "  "}, "history, user_id and text are all empty"),
        ({"history": ("a",), "text_weight": 1.5}, "text_weight is 1.5"),
        ({"history": "a"}, "history is the single string 'a'"),
        ({"history": ("a",), "dimension": -1}, "dimension is -1"),
    ],
)
def test_bad_requests_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        EmbedUserRequest(**fields)
