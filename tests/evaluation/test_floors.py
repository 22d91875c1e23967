import numpy as np

from mmrec.data.interactions import Interactions
from mmrec.evaluation.floors import item_knn, last_item_transitions, popularity


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
