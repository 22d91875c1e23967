"""Events since the bundle was made, as a value that never changes and is never mixed with another."""

from __future__ import annotations

import gc
import threading
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

import numpy as np
import pytest

import mmrec
from mmrec.catalogue.catalogue import Catalogue
from mmrec.contract.events import UserEvent
from mmrec.contract.forgotten_users import ForgottenUsers
from mmrec.contract.items import ItemInput
from mmrec.contract.requests import HistoryEvent, RecommendRequest
from mmrec.data.feedback import FeedbackRule
from mmrec.recommender.live_events import LiveEvent, LiveEvents, given_events, live_events
from mmrec.recommender.snapshot import Snapshot
from tests.recommender.conftest import ITEM_IDS
from tests.recommender.small_shop import CATALOGUE, ranking_model


def _begun() -> LiveEvents:
    return LiveEvents.begin(ranking_model({"transitions": 1.0}).parts)


def _took(events: str) -> list[LiveEvent]:
    """Such as ``ua ub -c``: u took a and b, somebody took c."""
    return [LiveEvent(who.strip("-"), item_id) for who, item_id in events.split()]


def _larger(items: int) -> Catalogue:
    ids = (*CATALOGUE.item_ids, *(f"new-{number}" for number in range(items - len(CATALOGUE))))
    return Catalogue(ids, ids, ("",) * items, ("",) * items, {})


def _pairs(live: LiveEvents, items: int = 8) -> list[list[list[float]]]:
    """How often each item follows d, and e, in ``transitions`` and ``transitions-wide``."""
    graphs = live.transitions(_larger(items))
    assert graphs is not None
    return [graph.forward.toarray()[3:5].tolist() for graph in graphs]


def test_a_value_stays_as_it_is_when_longer_ones_are_made_of_it() -> None:
    none = _begun()
    two = none.after(_took("ud ue"))
    longer = two.after(_took("uf -b"))
    other = two.after(_took("ug"))
    assert [len(live) for live in (none, two, longer, other)] == [0, 2, 4, 3]
    histories = [live.of("u", CATALOGUE).taken_T.tolist() for live in (none, two, longer, other)]
    assert histories == [[], [3, 4], [3, 4, 5], [3, 4, 6]]
    assert none.transitions(CATALOGUE) is None
    assert list(longer) == [("u", "d", True, 0), ("u", "e", True, 0), ("u", "f", True, 0), ("", "b", True, 0)]
    # The later one is counted first, and for a catalogue that has grown.
    near, wide = _pairs(longer, 9)
    assert near == [[0, 6, 0, 0, 1, 6.5, 0, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0, 0]]
    assert wide == [[0, 0, 0, 0, 1, 0.5, 0, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0, 0]]
    assert _pairs(two)[0] == [[0, 6, 0, 0, 1, 6, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0]]
    assert _pairs(other)[0] == [[0, 6, 0, 0, 1, 6, 0.5, 0], [0, 0, 0, 0, 0, 0, 1, 0]]


def test_customers_with_events_who_were_deleted_elsewhere_are_found_once() -> None:
    live = _begun().after([LiveEvent("ann", "d"), LiveEvent("bob", "e")])
    forgotten = ForgottenUsers().with_user("nobody").with_user("ann")
    assert live.deleted_since(forgotten) == ["ann"]
    live.forget(forgotten, "ann")
    assert live.deleted_since(forgotten) == []
    later = live.after([LiveEvent("ann", "f")])
    assert later.deleted_since(forgotten) == []
    assert later.deleted_since(forgotten.with_user("bob").with_user("ann")) == ["bob", "ann"]


def _texts_held(value: object) -> set[str]:
    """Every text that a value holds, in whatever it is made of; not those of code."""
    code = (type, ModuleType, FunctionType, MethodType, BuiltinFunctionType)
    waiting, seen, texts = [value], set[int](), set[str]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, code):
            continue
        seen.add(id(one))
        if isinstance(one, str):
            texts.add(one)
        waiting += gc.get_referents(one)
    return texts


def test_of_a_deleted_customer_no_text_stays_that_is_not_of_another_one_too() -> None:
    live = _begun().after(
        [*_took("ud ve"), LiveEvent("u", "private", number=3), LiveEvent("v", "new"), *_took("uf vf")]
    )
    assert live.transitions(CATALOGUE) is not None
    assert {"u", "v", "private", "new"} <= _texts_held(live)
    live.forget(ForgottenUsers().with_user("u"), "u")
    assert _texts_held(live) & {"u", "v", "private", "new"} == {"v", "new"}
    assert list(live)[2:] == [("", "", True, 3), ("v", "new", True, 0), ("", "", True, 0), ("v", "f", True, 0)]
    # One who comes back begins anew, and the others have what they had.
    later = live.after(_took("ug vg"))
    assert later.of("u", CATALOGUE).taken_T.tolist() == [6]
    assert later.of("v", CATALOGUE).taken_T.tolist() == [4, 5, 6]


def test_transitions_follow_when_they_are_counted() -> None:
    first = _begun().after(_took("ud"))
    later = first.after(_took("ue"), count=False)
    assert later.of("u", CATALOGUE).taken_T.tolist() == [3, 4]
    assert later.transitions(CATALOGUE) is first.transitions(CATALOGUE)
    counted = later.counting()
    assert _pairs(counted)[0][0] == [0, 6, 0, 0, 1, 6, 0, 0]
    # What came while it was counted is counted the next time.
    last = later.after(_took("uf"), count=False).counting(counted)
    assert last.of("u", CATALOGUE).taken_T.tolist() == [3, 4, 5]
    assert _pairs(last)[0][0] == [0, 6, 0, 0, 1, 6, 0, 0]
    assert _pairs(last.counting())[0][0] == [0, 6, 0, 0, 1, 6.5, 0, 0]
    other = _begun()
    assert other.counting(counted) is other


def test_an_item_that_is_rejected_stays_so_until_it_is_taken_again() -> None:
    def state(live: LiveEvents) -> tuple[list[int], list[int]]:
        found = live.of("u", CATALOGUE)
        return found.taken_T.tolist(), found.rejected_R.tolist()

    live = _begun().after([LiveEvent("u", "d"), LiveEvent("u", "b", taken=False), LiveEvent("u", "d", taken=False)])
    assert state(live) == ([3], [1, 3])
    assert state(live.after([LiveEvent("v", "b"), LiveEvent("u", "b")])) == ([3, 1], [3])
    assert state(live) == ([3], [1, 3])
    # What is rejected is no pair of items.
    assert _pairs(live)[0] == [[0, 6, 0, 0, 0, 6, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0]]


def test_an_item_that_comes_later_is_in_the_history_when_it_has_come() -> None:
    live = _begun().after([LiveEvent("u", "new-0"), LiveEvent("u", "d")])
    assert live.of("u", CATALOGUE).taken_T.tolist() == [3]
    assert live.of("u", _larger(9)).taken_T.tolist() == [8, 3]


@pytest.mark.parametrize(
    ("event_type", "found"),
    [
        ("view", [("u", "a", True, 7)]),
        ("Purchase", [("u", "a", True, 7)]),
        ("dismiss", [("u", "a", False, 7)]),
        ("not interested", [("u", "a", False, 7)]),
        ("removed_from_cart", [("u", "a", False, 7)]),
        ("order returned", [("u", "a", False, 7)]),
        ("impression", []),
        ("Shown", []),
    ],
)
def test_what_an_event_says_depends_on_its_type(event_type: str, found: list[tuple[object, ...]]) -> None:
    assert live_events([(7, UserEvent("a", event_type, "u", session_id="visit"))]) == found


def test_a_low_rating_is_a_rejection_where_ratings_say_so() -> None:
    events = [(n, UserEvent("a", "view", "u", rating=rating)) for n, rating in enumerate((2.5, 3.0, None))]
    assert [event.taken for event in live_events(events, FeedbackRule(rejected_below=3.0))] == [False, True, True]
    assert [event.taken for event in live_events(events)] == [True, True, True]


def test_the_types_that_a_dataset_ignores_take_the_place_of_the_usual_ones() -> None:
    rule = FeedbackRule(("Wishlist Remove",))
    types = ("wishlist_remove", "return", "impression")
    recorded = live_events(((0, UserEvent("a", name, "u")) for name in types), rule)
    assert [event.taken for event in recorded] == [False, True]
    given = given_events((), [HistoryEvent("a", name) for name in types], rule)
    assert [event.taken for event in given] == [False, True]


def test_what_a_request_brings_is_ordered_by_time_after_its_history() -> None:
    later = [
        HistoryEvent("d"),
        HistoryEvent("e", time=30.0),
        HistoryEvent("f", "returned"),
        HistoryEvent("g", "impression", time=40.0),
        HistoryEvent("h", "view", time=20.0, rating=2.0),
        HistoryEvent("a", "purchase", time=-5.0),
        HistoryEvent("b", time=20.0),
    ]
    given = [
        (event.item_id, event.taken) for event in given_events(("c", "x"), later, FeedbackRule(rejected_below=3.0))
    ]
    assert given == [
        ("c", True),
        ("x", True),
        ("d", True),
        ("a", True),
        ("h", False),
        ("b", True),
        ("e", True),
        ("f", False),
    ]


def test_events_of_an_anonymous_visit_follow_each_other_and_are_nobodys() -> None:
    live = _begun().after(live_events((0, UserEvent(item_id, "view", session_id="v")) for item_id in "de"))
    assert _pairs(live)[0][0] == [0, 6, 0, 0, 1, 6, 0, 0]
    assert live.of("v", CATALOGUE).taken_T.tolist() == []


def test_a_snapshot_is_the_same_after_events_and_changes(own: mmrec.Recommender) -> None:
    ids = ITEM_IDS
    own.record_events([UserEvent(ids[0], "view", "u")])
    held = own.snapshot()
    asked = [RecommendRequest(user_id="u", k=60, explain=True), RecommendRequest((ids[7],), k=60)]
    before = [found.items for found in held.recommend_many(asked)]  # type: ignore[union-attr]
    own.record_events([UserEvent(ids[row], "view", user) for user, row in (("u", 1), ("v", 7), ("v", 9))])
    own.upsert_items([ItemInput("new", "Quartz lamp")])
    own.record_events([UserEvent("new", "view", "u")])
    assert len(own.recommend(user_id="u", k=100).items) == 58
    assert held.ranker.parts.transitions is held.parts.transitions
    assert [found.items for found in held.recommend_many(asked)] == before  # type: ignore[union-attr]
    now = own.snapshot()
    assert now.live.of("u", now.parts.catalogue).taken_T.tolist() == [0, 1, 60]


def test_every_answer_is_of_the_events_up_to_a_moment(own: mmrec.Recommender) -> None:
    """Two threads record, one changes the catalogue, two ask: nothing fails, nothing is lost, nothing is mixed."""
    ids = list(ITEM_IDS)
    order = {"a": ids[:10], "b": ids[30:40]}

    def rows_of(held: Snapshot, user: str) -> list[str]:
        return [ids[row] for row in held.live.of(user, held.parts.catalogue).taken_T]

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
            own.record_events([UserEvent(item_id, "view", user), UserEvent(item_id, "view", session_id=item_id)])

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
                assert rows_of(held, user) == taken[: len(seen)]
            graphs = held.live.transitions(held.parts.catalogue)
            if graphs is not None:
                came = [ids.index(event.item_id) for event in held.live]
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
    held = own.snapshot()
    assert rows_of(held, "a") == order["a"]
    assert rows_of(held, "b") == order["b"]
    assert len(held.live) == 40


def test_an_event_that_comes_twice_counts_once(own: mmrec.Recommender) -> None:
    first = UserEvent(ITEM_IDS[0], "view", "u", event_id="e1")
    own.record_events([first, UserEvent(ITEM_IDS[1], "view", "u", event_id="e1"), UserEvent(ITEM_IDS[2], "view", "u")])
    assert [event.item_id for event in own.snapshot().live] == [ITEM_IDS[0], ITEM_IDS[2]]
    for _ in range(2):
        own.record_events([first, UserEvent(ITEM_IDS[3], "view", "u")], request_id="r1")
    assert [event.item_id for event in own.snapshot().live] == [ITEM_IDS[0], ITEM_IDS[2], ITEM_IDS[3]]
    own.record_events([UserEvent(ITEM_IDS[4], "view", "u")], validate_only=True)
    assert len(own.snapshot().live) == 3


def test_what_is_dismissed_is_not_recommended_until_it_is_taken(own: mmrec.Recommender) -> None:
    wanted = own.recommend([ITEM_IDS[0]], user_id="u", k=60).item_ids
    own.record_events([UserEvent(wanted[0], "dismiss", "u"), UserEvent(wanted[1], "impression", "u")])
    assert set(wanted) - set(own.recommend([ITEM_IDS[0]], user_id="u", k=60).item_ids) == {wanted[0]}
    assert wanted[0] in own.recommend([ITEM_IDS[0]], k=60).item_ids
    # Asked for by name it is ranked.
    assert wanted[0] in own.rank([wanted[0]], user_id="u").item_ids
    own.record_events([UserEvent(wanted[0], "purchase", "u")])
    assert wanted[0] in own.recommend([ITEM_IDS[0]], user_id="u", k=60, include_seen=True).item_ids


def test_events_that_break_a_rule_are_refused_by_themselves(own: mmrec.Recommender) -> None:
    done = own.record_events(
        [
            {"item_id": ITEM_IDS[0], "event_type": "view", "user_id": "u"},
            {"item_id": ITEM_IDS[1], "event_type": "view"},
            {"item_id": ITEM_IDS[1]},
            {"item_id": "", "event_type": "view", "user_id": "u", "event_id": "e4"},
        ]
    )
    assert [entry.error and entry.error.message for entry in done.entries] == [
        None,
        "events[1]: user_id and session_id are both empty; pass who did it, or an id of the anonymous visit",
        "events[2] has no event_type; an event must say it",
        "events[3]: item_id is empty; pass the id of the item",
    ]
    assert [event.item_id for event in own.snapshot().live] == [ITEM_IDS[0]]
    with pytest.raises(mmrec.errors.InvalidArgumentError, match="has the field 'item'; an event has item_id"):
        own.record_events([{"item": "a"}])
    with pytest.raises(mmrec.errors.InvalidArgumentError, match="events is a dict; pass a list of events"):
        own.record_events({"item_id": "a"})  # type: ignore[arg-type]
