import math

import numpy as np
import pytest

from mmrec.errors import InvalidArgumentError
from mmrec.evaluation.metrics import (
    Ranks,
    checked_cutoffs,
    main_cutoff,
    rank_targets,
    ranks_in_lists,
    summarise,
)


def ranks(above: int, tied: int = 0) -> Ranks:
    return Ranks(np.array([above]), np.array([tied]))


@pytest.mark.parametrize(
    ("above", "recall", "ndcg"),
    [(0, 1.0, 1.0), (1, 1.0, 1 / math.log2(3)), (9, 1.0, 1 / math.log2(11)), (10, 0.0, 0.0)],
)
def test_metrics_at_ten_without_ties(above: int, recall: float, ndcg: float) -> None:
    assert ranks(above).recall_at(10).tolist() == [recall]
    assert ranks(above).ndcg_at(10)[0] == pytest.approx(ndcg)


def test_a_tie_shares_its_places_fairly() -> None:
    # Places 9 to 12: two of four lie in the first ten.
    assert ranks(8, tied=3).recall_at(10).tolist() == [0.5]
    assert ranks(8, tied=3).ndcg_at(10)[0] == pytest.approx((1 / math.log2(10) + 1 / math.log2(11)) / 4)


def test_one_score_for_all_gets_what_chance_gets() -> None:
    scores = np.zeros((1, 100), dtype=np.float32)
    found = rank_targets(scores, np.array([42], dtype=np.int32), [np.array([], dtype=np.int32)], remove_seen=True)
    assert found.recall_at(10).tolist() == [0.1]


def test_seen_items_leave_the_ranking() -> None:
    scores = np.array([[5.0, 4.0, 3.0, 2.0]], dtype=np.float32)
    history = [np.array([0, 0, 1], dtype=np.int32)]
    target = np.array([2], dtype=np.int32)
    assert rank_targets(scores, target, history, remove_seen=True).above_Q.tolist() == [0]
    assert rank_targets(scores, target, history, remove_seen=False).above_Q.tolist() == [2]


def test_a_target_that_was_seen_is_never_found_when_seen_items_are_removed() -> None:
    scores = np.array([[5.0, 4.0]], dtype=np.float32)
    history = [np.array([0], dtype=np.int32)]
    found = rank_targets(scores, np.array([0], dtype=np.int32), history, remove_seen=True)
    assert found.recall_at(10).tolist() == [0.0]


def test_ranks_in_lists_that_end_early_or_lack_the_target() -> None:
    lists = np.array([[7, 3, -1], [1, 2, 3], [9, -1, -1]])
    found = ranks_in_lists(lists, np.array([3, 5, 9], dtype=np.int32))
    assert found.recall_at(10).tolist() == [1.0, 0.0, 1.0]
    assert found.above_Q[0] == 1


def test_mrr_is_the_expected_reciprocal_rank_inside_the_list() -> None:
    assert ranks(3).mrr_at(10).tolist() == pytest.approx([0.25])
    assert ranks(10).mrr_at(10).tolist() == [0.0]
    # Places 1 and 2 with equal chance.
    assert ranks(0, tied=1).mrr_at(10).tolist() == [0.75]


def test_a_row_as_json_has_the_documented_keys() -> None:
    row = summarise("fused", ranks(1), seen="removed").as_json()
    assert row == {
        "name": "fused",
        "seen": "removed",
        "recall@5": 1.0,
        "recall@10": 1.0,
        "recall@20": 1.0,
        "ndcg@5": pytest.approx(0.6309, abs=1e-4),
        "ndcg@10": pytest.approx(0.6309, abs=1e-4),
        "ndcg@20": pytest.approx(0.6309, abs=1e-4),
        "mrr@5": 0.5,
        "mrr@10": 0.5,
        "mrr@20": 0.5,
        "users": 1,
    }


def test_the_main_cut_off_is_ten_or_the_longest() -> None:
    assert main_cutoff((5, 10, 20)) == 10
    assert main_cutoff((1, 3)) == 3


@pytest.mark.parametrize("cutoffs", [(), (0, 5), (5, 13)])
def test_cut_offs_that_cannot_be_filled_are_refused(cutoffs: tuple[int, ...]) -> None:
    with pytest.raises(InvalidArgumentError, match="12 items"):
        checked_cutoffs(cutoffs, 12)
    assert checked_cutoffs((12, 5, 5), 12) == (5, 12)
