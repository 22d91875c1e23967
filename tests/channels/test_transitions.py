import numpy as np
import pytest

from mmrec.channels.transitions import TransitionConfig, count_transitions, history_weights
from mmrec.data.interactions import Interactions
from mmrec.errors import InvalidArgumentError

PLAIN = TransitionConfig(degree_power=0.0, popularity_power=0.0, two_hop=0.0)


def histories(*rows: list[int]) -> Interactions:
    users = [f"u{u}" for u, row in enumerate(rows) for _ in row]
    return Interactions.from_columns(
        users, [i for row in rows for i in row], [t for row in rows for t in range(len(row))]
    )


def test_edges_weaken_with_distance_and_backwards() -> None:
    edges = count_transitions(histories([0, 1, 2, 3, 4]), 5, PLAIN).edges.toarray()
    assert edges[0].tolist() == pytest.approx([0, 1, 1 / 2, 1 / 3, 0])
    assert edges[4].tolist() == pytest.approx([0, 0.7 / 3, 0.7 / 2, 0.7, 0])


def test_edges_do_not_cross_from_one_user_to_the_next() -> None:
    edges = count_transitions(histories([0, 1], [2, 3]), 4, PLAIN).edges.toarray()
    assert edges[1, 2] == edges[1, 3] == edges[0, 2] == 0


def test_an_item_does_not_follow_itself() -> None:
    assert count_transitions(histories([0, 0, 1, 0]), 2, PLAIN).edges.diagonal().tolist() == [0, 0]


def test_the_two_hop_product_reaches_items_that_never_met() -> None:
    train = histories([0, 1], [1, 2])
    config = TransitionConfig(window=1, degree_power=0, popularity_power=0, two_hop=0.5, backward=0.0)
    edges = count_transitions(train, 3, config).edges.toarray()
    assert edges[0].tolist() == pytest.approx([0, 1, 0.5])


def test_popular_columns_and_busy_rows_are_damped() -> None:
    train = histories([0, 1], [0, 1], [0, 2])
    config = TransitionConfig(window=1, degree_power=0.5, popularity_power=1.0, two_hop=0.0, backward=0.0)
    edges = count_transitions(train, 3, config).edges.toarray()
    assert edges[0].tolist() == pytest.approx([0, 2 / 2 / np.sqrt(3), 1 / 1 / np.sqrt(3)])


def test_only_the_strongest_neighbours_are_kept() -> None:
    train = histories([0, 1], [0, 2], [0, 2], [0, 3], [0, 3], [0, 3])
    config = TransitionConfig(window=1, degree_power=0, popularity_power=0, two_hop=0, backward=0, neighbours=2)
    assert count_transitions(train, 4, config).edges.toarray()[0].tolist() == [0, 0, 2, 3]


def test_scores_add_up_over_the_recent_history() -> None:
    graph = count_transitions(
        histories([0, 1], [2, 3]), 4, TransitionConfig(two_hop=0, degree_power=0, popularity_power=0)
    )
    scores = graph.scores([np.array([2, 0], dtype=np.int32)], TransitionConfig(decay=0.5))
    assert scores[0].tolist() == pytest.approx([0, 1, 0, 0.5])


def test_history_weights_decay_and_forget() -> None:
    weights = history_weights(
        [np.array([3, 1, 1], dtype=np.int32), np.array([], dtype=np.int32)], 4, decay=0.5, recent=3
    )
    assert weights.toarray().tolist() == [[0, 1.5, 0, 0.25], [0, 0, 0, 0]]


@pytest.mark.parametrize("bad", [{"window": 0}, {"decay": 0.0}, {"decay": 1.5}, {"backward": 2.0}, {"two_hop": -1.0}])
def test_a_configuration_that_cannot_be_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InvalidArgumentError):
        TransitionConfig(**bad)  # type: ignore[arg-type]
