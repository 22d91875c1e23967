import numpy as np
import pytest

from mmrec.evaluation.comparisons import compare
from mmrec.evaluation.metrics import Ranks
from mmrec.evaluation.slices import BY_HISTORY, BY_POPULARITY, COLD, slice_rows


def ranks(*above: int) -> Ranks:
    return Ranks(np.array(above), np.zeros(len(above), dtype=np.int64))


def test_questions_are_grouped_by_history_and_by_popularity_of_the_answer() -> None:
    found = slice_rows(
        {("fused", "removed"): ranks(0, 99, 0, 0), ("fused", "kept"): ranks(99, 99, 99, 99)},
        np.array([1, 4, 5, 50]),
        np.array([0, 0, 1, 400]),
        (5, 10),
    )
    assert [(part.by, part.name, part.questions, part.rows[0].recall) for part in found] == [
        (BY_HISTORY, "1-4", 2, {10: 0.5}),
        (BY_HISTORY, "5-9", 1, {10: 1.0}),
        (BY_HISTORY, "50+", 1, {10: 1.0}),
        (BY_POPULARITY, COLD, 2, {10: 0.5}),
        (BY_POPULARITY, "1-4", 1, {10: 1.0}),
        (BY_POPULARITY, "100+", 1, {10: 1.0}),
    ]
    assert {len(part.rows) for part in found} == {1}
    assert found[0].as_json()["slice"] == "1-4"


def test_a_clear_winner_stays_one_after_correction() -> None:
    good, bad = ranks(*[0] * 40), ranks(*[50] * 40)
    found = compare({"good": good, "bad": bad, "same": good}, [("good", "bad"), ("good", "same")], cutoff=10)
    assert [(one.name, one.against, one.metric, one.verdict) for one in found] == [
        ("good", "bad", "recall@10", "better"),
        ("good", "bad", "ndcg@10", "better"),
        ("good", "same", "recall@10", "no sure difference"),
        ("good", "same", "ndcg@10", "no sure difference"),
    ]
    assert found[0].test.difference == 1.0
    assert found[0].holm_permutation == pytest.approx(4 * found[0].test.p_permutation)


def test_the_worse_one_is_called_worse() -> None:
    _, found = compare({"a": ranks(*[9] * 40), "b": ranks(*[0] * 40)}, [("a", "b")], cutoff=10)
    assert found.metric == "ndcg@10"
    assert found.verdict == "worse"
    assert found.as_json()["interval"][1] < 0
