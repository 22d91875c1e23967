"""Events since the bundle was made, as a value that never changes and is never mixed with another."""

from __future__ import annotations

import threading

import numpy as np

import mmrec
from mmrec.contract.items import ItemInput
from mmrec.contract.requests import RecommendRequest
from mmrec.recommender.live_events import LiveEvents
from tests.recommender.conftest import ITEM_IDS
from tests.recommender.small_shop import ranking_model


def _begun() -> LiveEvents:
    return LiveEvents.begin(ranking_model({"transitions": 1.0}).parts)


def _pairs(live: LiveEvents, items: int = 8) -> list[list[list[float]]]:
    """How often each item follows d, and e, in ``transitions`` and ``transitions-wide``."""
    graphs = live.transitions(items)
    assert graphs is not None
    return [graph.forward.toarray()[3:5].tolist() for graph in graphs]


def test_a_value_stays_as_it_is_when_longer_ones_are_made_of_it() -> None:
    none = _begun()
    two = none.after([("u", 3), ("u", 4)])
    longer = two.after([("u", 5), ("", 1)])
    other = two.after([("u", 6)])
    assert [len(live) for live in (none, two, longer, other)] == [0, 2, 4, 3]
    assert [live.history("u").tolist() for live in (none, two, longer, other)] == [[], [3, 4], [3, 4, 5], [3, 4, 6]]
    assert none.transitions(8) is None
    assert list(longer) == [("u", 3), ("u", 4), ("u", 5), ("", 1)]
    # The later one is counted first, and for a catalogue that has grown.
    near, wide = _pairs(longer, 9)
    assert near == [[0, 6, 0, 0, 1, 6.5, 0, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0, 0]]
    assert wide == [[0, 0, 0, 0, 1, 0.5, 0, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0, 0]]
    assert _pairs(two)[0] == [[0, 6, 0, 0, 1, 6, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0]]
    assert _pairs(other)[0] == [[0, 6, 0, 0, 1, 6, 0.5, 0], [0, 0, 0, 0, 0, 0, 1, 0]]


def test_events_go_over_to_other_rows_in_their_order() -> None:
    begun = _begun()
    moved = begun.after([("u", 3), ("", 4), ("v", 5), ("u", 6)]).moved_to(
        begun.after([("w", 0)]), {3: 13, 4: 14, 6: 16}.get
    )
    assert list(moved) == [("w", 0), ("u", 13), ("", 14), ("u", 16)]


def test_a_snapshot_is_the_same_after_events_and_changes(own: mmrec.Recommender) -> None:
    ids = ITEM_IDS
    own.record_events([("u", ids[0])])
    held = own.snapshot()
    asked = [RecommendRequest(user_id="u", k=60, explain=True), RecommendRequest((ids[7],), k=60)]
    before = [found.items for found in held.recommend_many(asked)]  # type: ignore[union-attr]
    own.record_events([("u", ids[1]), ("v", ids[7]), ("v", ids[9])])
    own.upsert_items([ItemInput("new", "Quartz lamp")])
    own.record_events([("u", "new")])
    assert len(own.recommend(user_id="u", k=100).items) == 58
    assert held.ranker.parts.transitions is held.parts.transitions
    assert [found.items for found in held.recommend_many(asked)] == before  # type: ignore[union-attr]
    assert own.snapshot().live.history("u").tolist() == [0, 1, 60]


def test_every_answer_is_of_the_events_up_to_a_moment(own: mmrec.Recommender) -> None:
    """Two threads record, one changes the catalogue, two ask: nothing fails, nothing is lost, nothing is mixed."""
    ids = list(ITEM_IDS)
    order = {"a": ids[:10], "b": ids[30:40]}
    begun, done, failed = threading.Barrier(5), threading.Event(), []

    def run(main):  # type: ignore[no-untyped-def]
        def guarded() -> None:
            try:
                begun.wait()
                main()
            except BaseException as err:
                failed.append(err)

        return threading.Thread(target=guarded)

    def record(user: str) -> None:
        for item_id in order[user]:
            assert own.record_events([(user, item_id), ("", item_id)]) == []

    def change() -> None:
        number = 0
        while not done.is_set():
            own.upsert_items([ItemInput(f"new-{number % 3}", f"Quartz lamp {number}")])
            number += 1

    def ask() -> None:
        while not done.is_set():
            held = own.snapshot()
            for user, taken in order.items():
                (found,) = held.recommend_many([RecommendRequest(user_id=user, k=100)])
                seen = set(ids) - set(found.item_ids)  # type: ignore[union-attr]
                assert seen == set(taken[: len(seen)])
                assert [ids[row] for row in held.live.history(user)] == taken[: len(seen)]
            graphs = held.live.transitions(len(held.parts.catalogue))
            if graphs is not None:
                came = [row for _, row in held.live]
                taught = graphs[0].popularity_C - held.parts.transitions.whole().popularity_C
                np.testing.assert_array_equal(taught, np.bincount(came, minlength=len(taught)))

    recording = [run(lambda: record("a")), run(lambda: record("b"))]
    others = [run(change), run(ask), run(ask)]
    for thread in (*recording, *others):
        thread.start()
    for thread in recording:
        thread.join()
    done.set()
    for thread in others:
        thread.join()
    assert failed == []
    live = own.snapshot().live
    assert [ids[row] for row in live.history("a")] == order["a"]
    assert [ids[row] for row in live.history("b")] == order["b"]
    assert len(live) == 40
