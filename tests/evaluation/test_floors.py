import numpy as np

from mmrec.data.interactions import Interactions
from mmrec.evaluation.floors import item_knn, last_item_transitions, pair_counts, popularity


def histories(*rows: list[int]) -> Interactions:
    users = [f"u{u}" for u, row in enumerate(rows) for _ in row]
    return Interactions.from_columns(
        users, [i for row in rows for i in row], [t for row in rows for t in range(len(row))]
    )


TRAIN = histories([0, 1, 2], [0, 1, 3], [1, 2])


def asked(*items: int) -> list[np.ndarray]:
    return [np.array(items, dtype=np.int32)]


def test_popularity_counts_training_events() -> None:
    assert popularity(TRAIN, 5)(asked(0)).tolist() == [[2.0, 3.0, 2.0, 1.0, 0.0]]


def test_transitions_count_what_came_directly_after_the_last_item() -> None:
    scores = last_item_transitions(TRAIN, 5)(asked(0, 1))[0]
    assert scores.argsort()[::-1].tolist()[:2] == [2, 3]
    assert np.floor(scores).tolist() == [0.0, 0.0, 2.0, 1.0, 0.0]


def test_transitions_break_ties_by_popularity() -> None:
    scores = last_item_transitions(TRAIN, 5)(asked(4))[0]
    assert scores.argmax() == 1


def test_item_knn_is_the_cosine_of_user_sets() -> None:
    scores = item_knn(TRAIN, 5)(asked(0))[0]
    assert np.allclose(scores, [0.0, 2 / np.sqrt(2 * 3), 1 / 2, 1 / np.sqrt(2), 0.0], atol=1e-6)


def test_item_knn_reads_the_recent_items_only() -> None:
    assert np.array_equal(item_knn(TRAIN, 5, recent=1)(asked(3, 0)), item_knn(TRAIN, 5)(asked(0)))


def test_pair_counts_are_summed_logs_of_pairs_that_weigh_less_with_their_distance() -> None:
    score = pair_counts(histories([0, 1, 2], [0, 2]), 4, tau=1.0, popularity_power=0.0)
    # Item 1 follows 0 once at distance 1; item 2 once at distance 1 and once at distance 2.
    assert np.allclose(score(asked(0))[0], [0.0, np.log(1 + 4), np.log(1 + 4 * 1.7), 0.0])
    assert np.allclose(score(asked(0, 1))[0], [0.0, 0.7 * np.log(5), 0.7 * np.log(7.8) + np.log(5), 0.0])


def test_pair_counts_of_popular_items_count_less_and_only_the_strongest_pairs_are_kept() -> None:
    train = histories([0, 1], [0, 2], [3, 2], [3, 2], [3, 2])
    scores = pair_counts(train, 4, tau=1.0, popularity_power=1.0)(asked(0))[0]
    assert np.allclose(scores, [0.0, np.log(1 + 4 / 1), np.log(1 + 4 / 4), 0.0])
    one = pair_counts(train, 4, tau=1.0, popularity_power=1.0, neighbours=1)(asked(0))[0]
    assert np.flatnonzero(one).tolist() == [1]
