import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.channels.transitions import TransitionConfig, count_transitions, history_weights
from mmrec.data.interactions import Interactions
from mmrec.errors import InvalidArgumentError

PLAIN = TransitionConfig(window=3, backward=0.7, degree_power=0.0, popularity_power=0.0, two_hop=0.0)


def histories(*rows: list[int]) -> Interactions:
    users = [f"u{u}" for u, row in enumerate(rows) for _ in row]
    return Interactions.from_columns(
        users, [i for row in rows for i in row], [t for row in rows for t in range(len(row))]
    )


def edges_of(train: Interactions, items: int, config: TransitionConfig) -> npt.NDArray[np.float32]:
    """How strongly each item follows each other one."""
    alone = [np.array([row], dtype=np.int32) for row in range(items)]
    return count_transitions(train, items, config).scores(alone, config)


def test_edges_weaken_with_distance_and_backwards() -> None:
    edges = edges_of(histories([0, 1, 2, 3, 4]), 5, PLAIN)
    assert edges[0].tolist() == pytest.approx([0, 1, 1 / 2, 1 / 3, 0])
    assert edges[4].tolist() == pytest.approx([0, 0.7 / 3, 0.7 / 2, 0.7, 0])


def test_edges_do_not_cross_from_one_user_to_the_next() -> None:
    edges = edges_of(histories([0, 1], [2, 3]), 4, PLAIN)
    assert edges[1, 2] == edges[1, 3] == edges[0, 2] == 0


def test_an_item_does_not_follow_itself() -> None:
    assert edges_of(histories([0, 0, 1, 0]), 2, PLAIN).diagonal().tolist() == [0, 0]


def test_the_two_hop_product_reaches_items_that_never_met() -> None:
    train = histories([0, 1], [1, 2])
    config = TransitionConfig(window=1, degree_power=0, popularity_power=0, two_hop=0.5, backward=0.0)
    edges = edges_of(train, 3, config)
    assert edges[0].tolist() == pytest.approx([0, 1, 0.5])


def test_popular_columns_and_busy_rows_are_damped() -> None:
    train = histories([0, 1], [0, 1], [0, 2])
    config = TransitionConfig(window=1, degree_power=0.5, popularity_power=1.0, two_hop=0.0, backward=0.0)
    edges = edges_of(train, 3, config)
    assert edges[0].tolist() == pytest.approx([0, 2 / 2 / np.sqrt(3), 1 / 1 / np.sqrt(3)])


def test_only_the_strongest_neighbours_are_kept() -> None:
    train = histories([0, 1], [0, 2], [0, 2], [0, 3], [0, 3], [0, 3])
    config = TransitionConfig(window=1, degree_power=0, popularity_power=0, two_hop=0, backward=0, neighbours=2)
    assert edges_of(train, 4, config)[0].tolist() == [0, 0, 2, 3]


def test_scores_add_up_over_the_recent_history() -> None:
    graph = count_transitions(
        histories([0, 1], [2, 3]), 4, TransitionConfig(two_hop=0, degree_power=0, popularity_power=0)
    )
    scores = graph.scores([np.array([2, 0], dtype=np.int32)], TransitionConfig(decay=0.5))
    assert scores[0].tolist() == pytest.approx([0, 1, 0, 0.5])


some_histories = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=6), min_size=1, max_size=5)


@given(some_histories)
@settings(max_examples=50, deadline=None)
def test_damping_and_the_second_hop_are_those_of_the_dense_formula(rows: list[list[int]]) -> None:
    config = TransitionConfig(
        window=3, backward=0.7, degree_power=0.5, popularity_power=0.25, two_hop=0.4, neighbours=1000
    )
    counts, popularity = np.zeros((6, 6)), np.zeros(6)
    for row in rows:
        for here, item in enumerate(row):
            popularity[item] += 1
            for distance in range(1, min(config.window, here) + 1):
                counts[row[here - distance], item] += 1 / distance
                counts[item, row[here - distance]] += config.backward / distance
    np.fill_diagonal(counts, 0)
    degree = np.maximum(counts.sum(axis=1, keepdims=True), 1e-9)
    damped = counts * degree**-0.5 * np.maximum(popularity, 1) ** -0.25
    two_hop = damped / np.maximum(damped.sum(axis=1, keepdims=True), 1e-9) @ damped
    np.fill_diagonal(two_hop, 0)
    assert edges_of(histories(*rows), 6, config) == pytest.approx(damped + 0.4 * two_hop, abs=1e-5)


def test_the_parts_of_a_score_by_history_item_add_up_to_it() -> None:
    config = TransitionConfig(decay=0.5, two_hop=0.4, recent=3)
    graph = count_transitions(histories([0, 1, 2, 3], [1, 3, 0], [2, 0, 1]), 4, config)
    history = np.array([3, 0, 1, 1], dtype=np.int32)
    parts = graph.parts(history, np.array([2, 3]), config)
    assert parts.shape == (3, 2)
    assert parts.sum(axis=0) == pytest.approx(graph.scores([history], config)[0, [2, 3]], abs=1e-6)
    assert parts[1] == pytest.approx(parts[2] / 2)


def test_what_follows_an_item_is_its_score_as_the_only_history() -> None:
    graph = count_transitions(histories([0, 1, 2, 3], [1, 3, 0]), 4, TransitionConfig())
    expected = graph.scores([np.array([row], dtype=np.int32) for row in (3, 1)], TransitionConfig())
    assert graph.after(np.array([3, 1]), TransitionConfig()).toarray() == pytest.approx(expected)


def test_a_graph_cannot_be_changed() -> None:
    graph = count_transitions(histories([0, 1]), 2, TransitionConfig())
    with pytest.raises(ValueError, match="read-only"):
        graph.counts.data[0] = 7.0
    with pytest.raises(ValueError, match="read-only"):
        graph.popularity_C[0] = 7.0


def test_history_weights_decay_and_forget() -> None:
    weights = history_weights(
        [np.array([3, 1, 1], dtype=np.int32), np.array([], dtype=np.int32)], 4, decay=0.5, recent=3
    )
    assert weights.toarray().tolist() == [[0, 1.5, 0, 0.25], [0, 0, 0, 0]]


@pytest.mark.parametrize("bad", [{"window": 0}, {"decay": 0.0}, {"decay": 1.5}, {"backward": 2.0}, {"two_hop": -1.0}])
def test_a_configuration_that_cannot_be_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InvalidArgumentError):
        TransitionConfig(**bad)  # type: ignore[arg-type]


def test_items_that_come_later_have_no_counts_and_change_no_score() -> None:
    graph = count_transitions(histories([0, 1, 2], [1, 2]), 3, TransitionConfig())
    asked = [np.array([0, 1], np.int32)]
    more = graph.resized(5)
    assert more.counts is graph.counts
    assert more.scores(asked, TransitionConfig()).tolist() == [[*graph.scores(asked, TransitionConfig())[0], 0.0, 0.0]]
    later = np.array([0, 4, 1], np.int32)
    assert more.reachable(later, TransitionConfig()).at(np.arange(5)).tolist() == pytest.approx(
        more.scores([later], TransitionConfig())[0].tolist(), abs=1e-6
    )
    assert more.after(np.array([4, 0]), TransitionConfig()).toarray()[:, 3:].tolist() == [[0.0, 0.0]] * 2
    assert more.whole().counts.shape == (5, 5)
