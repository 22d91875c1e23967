import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.channels.live_transitions import TransitionCounts
from mmrec.channels.transitions import TransitionConfig, TransitionGraph, count_transitions
from mmrec.data.interactions import Interactions
from mmrec.errors import InvalidArgumentError

ITEMS = 6
Event = tuple[str, int]

events = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, ITEMS - 1)), max_size=20)
configs = st.builds(
    TransitionConfig,
    window=st.integers(1, 4),
    backward=st.sampled_from([0.0, 0.5, 1.0]),
    two_hop=st.sampled_from([0.0, 0.4]),
    neighbours=st.sampled_from([2, 1000]),
)


def interactions(rows: list[Event]) -> Interactions:
    return Interactions.from_columns([user for user, _ in rows], [item for _, item in rows], range(len(rows)))


def assert_same_graph(found: TransitionGraph, expected: TransitionGraph) -> None:
    for name, array in found._asdict().items():
        other = getattr(expected, name)
        dense = [part.toarray() if isinstance(part, sp.csr_array) else part for part in (array, other)]
        np.testing.assert_allclose(dense[0], dense[1], rtol=1e-5, atol=1e-6, err_msg=name)


@given(events, events, st.sets(st.integers(0, 19)), configs)
@settings(max_examples=60, deadline=None)
def test_counting_event_by_event_is_counting_all_at_once(
    before: list[Event], after: list[Event], looks: set[int], config: TransitionConfig
) -> None:
    known = interactions(before)
    counts = TransitionCounts(count_transitions(known, ITEMS, config), known, config)
    for place, (user, item) in enumerate(after):
        counts.add(user, item)
        if place in looks:
            counts.snapshot()
    assert_same_graph(counts.snapshot(), count_transitions(interactions(before + after), ITEMS, config))


def test_a_snapshot_does_not_change_when_more_events_come() -> None:
    config = TransitionConfig()
    known = interactions([("a", 0)])
    counts = TransitionCounts(count_transitions(known, ITEMS, config), known, config)
    first = counts.snapshot()
    assert counts.snapshot() is first
    counts.add("a", 1)
    second = counts.snapshot()
    assert (first.forward.nnz, second.forward[0, 1]) == (0, 1.0)
    assert (first.popularity_C[1], second.popularity_C[1]) == (0.0, 1.0)


def test_a_new_customers_first_item_follows_nothing_and_nobodys_item_leads_nowhere() -> None:
    config = TransitionConfig()
    known = interactions([("a", 0)])
    counts = TransitionCounts(count_transitions(known, ITEMS, config), known, config)
    for user, item in (("b", 1), ("", 2), ("", 3), ("b", 4)):
        counts.add(user, item)
    graph = counts.snapshot()
    assert np.argwhere(graph.forward.toarray()).tolist() == [[1, 4]]
    assert graph.popularity_C.tolist() == [1, 1, 1, 1, 1, 0]


def test_a_forgotten_customers_next_item_follows_nothing_and_counted_pairs_stay() -> None:
    config = TransitionConfig()
    known = interactions([("a", 0), ("b", 5)])
    forgotten: set[str] = set()
    counts = TransitionCounts(count_transitions(known, ITEMS, config), known, config, forgotten.__contains__)
    counts.add("a", 1)
    for user in ("a", "b"):
        forgotten.add(user)
        counts.forget(user)
    for user, item in (("a", 2), ("b", 3), ("a", 4)):
        counts.add(user, item)
    assert np.argwhere(counts.snapshot().forward.toarray()).tolist() == [[0, 1], [2, 4]]


@pytest.mark.parametrize("item", [-1, ITEMS])
def test_an_item_outside_the_catalogue_is_refused(item: int) -> None:
    known = interactions([("a", 0)])
    counts = TransitionCounts(count_transitions(known, ITEMS, TransitionConfig()), known, TransitionConfig())
    with pytest.raises(InvalidArgumentError, match="0 to 5"):
        counts.add("a", item)


@given(events, events, configs)
@settings(max_examples=40, deadline=None)
def test_a_catalogue_that_grows_counts_on(before: list[Event], after: list[Event], config: TransitionConfig) -> None:
    known = interactions(before)
    graph = count_transitions(known, ITEMS, config)
    counts = TransitionCounts(graph, known, config)
    counts.grow(ITEMS + 2)
    histories = [np.array([0, 3], np.int32), np.array([ITEMS + 1, 2], np.int32)]
    alone = graph.scores([np.array([0, 3], np.int32), np.array([2], np.int32)], config)
    # What is new follows nothing, and nothing follows it.
    assert np.allclose(counts.snapshot().scores(histories, config), np.pad(alone, ((0, 0), (0, 2))), atol=1e-6)
    later = [*after, ("a", ITEMS), ("a", ITEMS + 1)]
    for user, item in later:
        counts.add(user, item)
    assert_same_graph(counts.snapshot(), count_transitions(interactions(before + later), ITEMS + 2, config))
    assert len(graph.popularity_C) == ITEMS
