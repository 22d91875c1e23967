import numpy as np
import pytest

from mmrec.contract.items import ChannelShare, HistoryShare, ScoredItem
from mmrec.contract.requests import Promotion, RecommendRequest
from mmrec.recommender.explain import divide_shares, explain_ranking
from tests.recommender.small_shop import ranking_model, recommended


def shares(item: ScoredItem) -> dict[str, float]:
    return {share.channel: pytest.approx(share.share) for share in item.shares}


def test_a_share_is_divided_in_proportion_to_what_speaks_for_it() -> None:
    parts = divide_shares(np.array([6.0]), np.array([[1.0], [2.0], [-5.0]]))
    assert parts[:, 0].tolist() == pytest.approx([2.0, 4.0, 0.0])


def test_a_share_below_zero_is_divided_over_what_speaks_against() -> None:
    parts = divide_shares(np.array([-6.0]), np.array([[1.0], [-2.0], [-1.0]]))
    assert parts[:, 0].tolist() == pytest.approx([0.0, -4.0, -2.0])


def test_where_nothing_speaks_for_a_share_it_is_divided_evenly() -> None:
    parts = divide_shares(np.array([3.0, -3.0]), np.array([[-1.0, 0.0], [0.0, 0.0], [-2.0, 0.5]]))
    assert parts.T.tolist() == [pytest.approx([1.0, 1.0, 1.0]), pytest.approx([-1.0, -1.0, -1.0])]


def test_the_share_of_a_channel_is_divided_over_the_history() -> None:
    first, second = recommended(RecommendRequest(("a", "b"), k=2, explain=True), {"transitions": 2.0}).items
    assert (first.item_id, second.item_id) == ("f", "e")
    assert first.shares == (ChannelShare("transitions", 20.0, "b", (HistoryShare("a", 4.0), HistoryShare("b", 16.0))),)
    assert second.shares == (ChannelShare("transitions", 13.0, "b", (HistoryShare("a", 5.0), HistoryShare("b", 8.0))),)


def test_an_item_that_is_there_twice_is_named_once_at_its_last_place() -> None:
    (item,) = recommended(RecommendRequest(("a", "b", "a"), k=1, allow=("e",), explain=True)).items
    assert item.shares == (
        ChannelShare("transitions", 8.25, "a", (HistoryShare("b", 2.0), HistoryShare("a", 1.25 + 5.0))),
    )


def test_shares_of_channels_and_rules_come_largest_first_and_add_up_to_the_score() -> None:
    asked = RecommendRequest(
        ("a", "b"), k=2, explain=True, popularity_damping=0.5, promotions=(Promotion(("e",), boost=50.0),)
    )
    first, second = recommended(asked, {"transitions": 1.0, "popularity": 3.0}).items
    assert (first.item_id, second.item_id) == ("e", "f")
    assert [share.channel for share in first.shares] == ["promotion", "transitions", "popularity", "popularity-damping"]
    assert [share.share for share in first.shares[:3]] == pytest.approx([50.0, 6.5, 1.0])
    assert first.shares[3].share < 0
    assert sum(share.share for share in first.shares) == pytest.approx(first.score)
    assert sum(share.share for share in second.shares) == pytest.approx(second.score)


def test_what_a_quota_added_has_its_own_share() -> None:
    asked = RecommendRequest(
        ("a",), k=4, explain=True, exploration=0.25, promotions=(Promotion(("f",), min_share=0.25),)
    )
    found = recommended(asked)
    assert found.item_ids == ("b", "c", "f", "g")
    assert [shares(item) for item in found.items] == [
        {"transitions": 8.0},
        {"transitions": 7.0},
        {"transitions": 4.0, "promotion": 2.0},
        {"exploration": 6.0},
    ]


def test_the_list_of_a_stranger_is_explained_by_popularity() -> None:
    first, second = recommended(RecommendRequest(k=2, explain=True, popularity_damping=0.5)).items
    assert shares(first) == {"popularity": 1.0, "popularity-damping": -0.5}
    assert shares(second) == {"popularity": 2 / 3, "popularity-damping": -1 / 3}


def test_what_lifted_new_items_is_told_of_these_alone() -> None:
    ranker = ranking_model({"transitions": 1.0})
    history, rows = np.array([0], np.int32), np.array([1, 6])
    known, new = explain_ranking(ranker, history, rows, {"transitions": np.array([8, 0], np.float32)}, lift=9.0)
    assert known == (ChannelShare("transitions", 8.0, "a", (HistoryShare("a", 8.0),)),)
    assert new == (ChannelShare("new-item", 9.0),)


@pytest.mark.parametrize("channel", ["item-head", "semantic-id"])
def test_what_the_llm_says_is_divided_by_what_is_lost_without_each_history_item(channel: str) -> None:
    ranker, rows = ranking_model({channel: 1.0}), np.array([4, 6])

    def scores(*history: int) -> np.ndarray:
        return ranker.features([np.array(history, np.int32)], channels=[channel]).by_channel[channel][0][rows]

    lost = ranker.support(channel, np.array([0, 1, 2], np.int32), rows)
    assert lost is not None
    without = np.stack([scores(1, 2), scores(0, 2), scores(0, 1)])
    np.testing.assert_allclose(lost, scores(0, 1, 2) - without, atol=1e-5)
    assert np.abs(lost).max() > 0.01


def test_one_history_item_bears_all_that_the_llm_says() -> None:
    found = recommended(RecommendRequest(("a",), k=3, explain=True), {"item-head": 1.0, "semantic-id": 1.0})
    for item in found.items:
        assert {share.channel for share in item.shares} == {"item-head", "semantic-id"}
        assert all(share.history == (HistoryShare("a", pytest.approx(share.share)),) for share in item.shares)
