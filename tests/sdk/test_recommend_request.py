"""What a request for recommendations accepts, and how it refuses the rest: by field, value, rule and mend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmrec.contract.items import FilterMode, Versions
from mmrec.contract.requests import HistoryEvent, Promotion, RecommendRequest
from mmrec.errors import InvalidArgumentError


def test_values_get_their_one_exact_form() -> None:
    request = RecommendRequest(
        filter_mode="relaxed",  # type: ignore[arg-type]
        diversity=1,
        exploration=np.float64(0.5),
        exploration_column="added",
        exploration_max_age_days=np.float32(7),  # type: ignore[arg-type]
        promotions=[Promotion(["a"], boost=2)],  # type: ignore[arg-type]
    )
    assert request.filter_mode is FilterMode.RELAXED
    assert [type(value) for value in (request.diversity, request.exploration, request.exploration_max_age_days)] == [
        float
    ] * 3
    assert request.promotions == (Promotion(("a",), "", 0.0, 2.0),)


def test_shares_may_take_all_places() -> None:
    thirds = tuple(Promotion((name,), min_share=1 / 3) for name in "abc")
    assert len(RecommendRequest(promotions=thirds).promotions) == 3
    tenths = tuple(Promotion((str(n),), min_share=0.1) for n in range(10))
    assert len(RecommendRequest(promotions=tenths).promotions) == 10


@pytest.mark.parametrize(
    ("wishes", "field", "says"),
    [
        ({"filter": 7}, "filter", "filter is a int; it must be a string"),
        ({"filter": "x" * 10_001}, "filter", "10,001 characters; at most 10,000"),
        ({"filter_mode": "loose"}, "filter_mode", "'loose'; it must be one of strict, relaxed"),
        ({"diversity": 1.5}, "diversity", "diversity is 1.5; it must lie between 0"),
        ({"diversity": float("nan")}, "diversity", "diversity is nan"),
        ({"diversity": True}, "diversity", "diversity is True"),
        ({"exploration": -0.1}, "exploration", "exploration is -0.1; it must lie between 0"),
        ({"popularity_damping": "much"}, "popularity_damping", "popularity_damping is 'much'; it must lie between 0"),
        ({"exploration_max_age_days": 3}, "exploration_column", "name the column"),
        ({"exploration_column": "added"}, "exploration_max_age_days", "pass the number of days"),
        (
            {"exploration_column": "added", "exploration_max_age_days": -1},
            "exploration_max_age_days",
            "is -1; it must be a number of days",
        ),
        (
            {"exploration_column": "added", "exploration_max_age_days": float("inf")},
            "exploration_max_age_days",
            "is inf; it must be a number of days",
        ),
        ({"exploration_column": 5, "exploration_max_age_days": 3}, "exploration_column", "ids are strings"),
        ({"channel_weights": "abc"}, "channel_weights", "must be a mapping of names to numbers"),
        ({"channel_weights": {"lexical": -0.5}}, "channel_weights['lexical']", "must be a number from 0 to 10,000"),
        ({"channel_weights": {"lexical": float("nan")}}, "channel_weights['lexical']", "is nan"),
        ({"channel_weights": {str(n): 1.0 for n in range(101)}}, "channel_weights", "101 entries; at most 100"),
        ({"attribute_weights": {"": 1.0}}, "attribute_weights['']", "is empty; name what the number is for"),
        ({"attribute_weights": {7: 1.0}}, "attribute_weights[7]", "ids are strings"),
        ({"attribute_weights": {"margin": -1e5}}, "attribute_weights['margin']", "from -10,000 to 10,000"),
        ({"history_events": ["a"]}, "history_events[0]", "is a str; pass mmrec.HistoryEvent values"),
        ({"history_events": [HistoryEvent("a")] * 1001}, "history_events", "1,001 entries; at most 1,000"),
        ({"expected_versions": "m1"}, "expected_versions", "is a str; pass mmrec.Versions"),
        ({"expected_versions": Versions(model=7)}, "expected_versions.model", "ids are strings"),  # type: ignore[arg-type]
        ({"promotions": "abc"}, "promotions", "single string 'abc'"),
        ({"promotions": ["a"]}, "promotions[0]", "is a str; pass mmrec.Promotion values"),
        ({"promotions": [Promotion(("a",))] * 101}, "promotions", "101 entries; at most 100"),
        (
            {"promotions": [Promotion(("a",), min_share=0.6), Promotion(("b",), min_share=0.6)]},
            "promotions",
            "sum to 1.2",
        ),
    ],
)
def test_a_wish_that_breaks_a_rule_is_refused(wishes: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        RecommendRequest(**wishes)
    assert [violation.field for violation in refused.value.violations] == [field]
    assert says in refused.value.message


@pytest.mark.parametrize(
    ("values", "field", "says"),
    [
        ({}, "filter", "item_ids and filter are both empty"),
        ({"filter": "  "}, "filter", "item_ids and filter are both empty"),
        ({"item_ids": "abc"}, "item_ids", "single string"),
        ({"item_ids": ["a"] * 10_001}, "item_ids", "10,001 ids; at most 10,000"),
        ({"item_ids": ["a", 5]}, "item_ids[1]", "ids are strings"),
        ({"item_ids": ["a"], "min_share": 1.1}, "min_share", "min_share is 1.1; it must lie between 0 and 1"),
        (
            {"item_ids": ["a"], "boost": float("inf")},
            "boost",
            "boost is inf; it must be a number from -10,000 to",
        ),
        ({"item_ids": ["a"], "boost": "x"}, "boost", "boost is 'x'; it must be a number from -10,000 to"),
        ({"item_ids": ["a"], "boost": False}, "boost", "boost is False; it must be a number from -10,000 to"),
    ],
)
def test_a_promotion_that_breaks_a_rule_is_refused(values: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        Promotion(**values)
    assert [violation.field for violation in refused.value.violations] == [field]
    assert says in refused.value.message
