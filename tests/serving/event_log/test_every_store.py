"""What every store of events promises, whatever keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.contract.events import UserEvent
from mmrec.errors import InvalidArgumentError, UnavailableError
from mmrec_serving.event_log import EventStore, RecordedEvent, StoreFolder
from tests.serving.event_log.conftest import OpenStore
from tests.serving.event_log.making import event, numbered

# --- recording and replaying --------------------------------------------------------------------------------


def test_events_are_numbered_and_replayed_in_order_after_the_store_is_opened_again(
    open_store: OpenStore, place: StoreFolder
) -> None:
    bought = UserEvent("pot", "purchase", "bob", "visit", "e1", 7.25, 4.5, 19.9, "reply", 3)
    anonymous = UserEvent("mug", "view", "", "visit", time=8.0)
    with open_store(place.folder) as store:
        assert store.position() == 0
        assert store.record([event(), bought]) == [1, 2]
        assert store.record([]) == []
        assert store.record([anonymous]) == [3]
        assert store.position() == 3
    with open_store(place.folder) as store:
        assert store.position() == 3
        assert numbered(store.replay()) == [(1, event()), (2, bought), (3, anonymous)]
        assert numbered(store.replay(2)) == [(3, anonymous)]
        assert numbered(store.replay(3)) == []
        assert store.record([event("cid")]) == [4]


def test_an_event_without_a_time_gets_that_of_the_call(open_store: OpenStore, place: StoreFolder) -> None:
    now = 100.5
    with open_store(place.folder, clock=lambda: now) as store:
        store.record([replace(event(), time=None), event(time=-3.0)])
        now = 200.0
        store.record([replace(event(), time=None)])
        assert [entry.event.time for entry in store.history("ann")] == [100.5, -3.0, 200.0]


def test_a_replay_in_batches_goes_on_to_what_is_recorded_meanwhile(store: EventStore) -> None:
    store.record([event("ann"), event("bob"), event("cid")])
    batches = store.replay(batch=2)
    assert [entry.sequence for entry in next(batches)] == [1, 2]
    store.record([event("dan"), event("eve")])
    assert [[entry.sequence for entry in batch] for batch in batches] == [[3, 4], [5]]


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)
numbers = st.floats(allow_nan=False, allow_infinity=False)
events = st.builds(
    UserEvent,
    item_id=words.filter(bool),
    event_type=words.filter(bool),
    user_id=words,
    session_id=words.map("v".__add__),
    event_id=words,
    time=st.none() | st.floats(-6e10, 2.5e11),
    rating=st.none() | numbers,
    value=st.none() | numbers,
    recommendation_id=st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    position=st.none() | st.integers(0, 2**31 - 1),
)


@pytest.fixture(scope="module")
def recorded_in(open_store: OpenStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EventStore, Any]]:
    """A store for many examples, and the numbers of the events in it by their ids."""
    with open_store(tmp_path_factory.mktemp("store"), clock=lambda: 9.5) as store:
        yield store, {}


@given(st.lists(events, max_size=4))
def test_any_event_comes_back_as_it_was(recorded_in: tuple[EventStore, dict[str, int]], batch: list[UserEvent]) -> None:
    store, known = recorded_in
    before = store.position()
    numbers, new = [], []
    for entry in batch:
        number = known.get(entry.event_id)
        if number is None:
            number = before + len(new) + 1
            new.append(RecordedEvent(number, replace(entry, time=9.5 if entry.time is None else entry.time)))
            if entry.event_id:
                known[entry.event_id] = number
        numbers.append(number)
    assert store.record(batch) == numbers
    assert [entry for batch in store.replay(before) for entry in batch] == new
    assert store.position() == before + len(new)
    for user_id in {entry.event.user_id for entry in new} - {""}:
        assert store.history(user_id, after=before) == [entry for entry in new if entry.event.user_id == user_id]


# --- events that are sent again -----------------------------------------------------------------------------


def test_an_event_with_a_known_id_is_not_recorded_again_and_gets_its_number(
    open_store: OpenStore, place: StoreFolder
) -> None:
    first, other = event(event_id="e1"), event("bob", "pot", event_id="e1")
    with open_store(place.folder) as store:
        assert store.record([event(), first, other, event(event_id="e2"), first]) == [1, 2, 2, 3, 2]
        assert store.record([other, event(event_id="e3"), event(event_id="e2")]) == [2, 4, 3]
    with open_store(place.folder) as store:
        assert store.record([event(event_id="e3"), event(event_id="e1")]) == [4, 2]
        assert store.position() == 4
        assert numbered(store.replay())[1] == (2, first)
        assert store.history("bob") == []


def test_events_without_an_id_are_all_recorded(store: EventStore) -> None:
    assert store.record([event(), event()]) == [1, 2]
    assert store.record([event()]) == [3]
    assert len(store.history("ann")) == 3


def test_of_the_same_event_sent_by_many_threads_at_once_one_is_recorded(store: EventStore) -> None:
    def work(thread: int) -> list[int]:
        return store.record([event(f"u{thread}"), event("shared", event_id="e1")])

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(work, range(8)))
    assert store.position() == 9
    assert len({shared for _, shared in done}) == 1
    assert sorted({number for numbers in done for number in numbers}) == list(range(1, 10))
    assert all(store.history(f"u{thread}")[0].sequence == done[thread][0] for thread in range(8))


# --- history ------------------------------------------------------------------------------------------------


def test_a_history_is_of_one_customer_alone(store: EventStore) -> None:
    store.record([event("ann", "mug"), event("bob", "pot"), UserEvent("pan", "view", "", "ann"), event("ann", "cup")])
    assert store.history("ann") == [RecordedEvent(1, event("ann", "mug")), RecordedEvent(4, event("ann", "cup"))]
    assert store.history("bob") == [RecordedEvent(2, event("bob", "pot"))]
    assert store.history("an") == store.history("ANN") == store.history("cid") == []


@pytest.mark.parametrize(
    ("limits", "sequences"),
    [
        ({}, [1, 3, 5, 7, 9]),
        ({"most": 2}, [7, 9]),
        ({"after": 3}, [5, 7, 9]),
        ({"after": 9}, []),
        ({"upto": 6}, [1, 3, 5]),
        ({"upto": 0}, []),
        ({"upto": 8, "most": 1}, [7]),
        ({"after": 1, "upto": 7, "most": 2}, [5, 7]),
        ({"after": 7, "upto": 3}, []),
    ],
)
def test_a_history_has_the_last_events_of_a_range_oldest_first(
    ten: EventStore, limits: dict[str, int], sequences: list[int]
) -> None:
    assert [entry.sequence for entry in ten.history("ann", **limits)] == sequences


@pytest.fixture(scope="module")
def ten(open_store: OpenStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventStore]:
    """Ten events of ann and bob in turn."""
    with open_store(tmp_path_factory.mktemp("ten")) as store:
        store.record([event("ann"), event("bob")] * 5)
        yield store


# --- deleting -----------------------------------------------------------------------------------------------


def test_a_deleted_customer_is_forgotten_and_no_number_is_given_again(
    open_store: OpenStore, place: StoreFolder
) -> None:
    with open_store(place.folder) as store:
        store.record([event("ann"), event("bob", event_id="e1"), event("ann", event_id="e2"), event("ann")])
        assert store.delete_user("ann") == 3
        assert store.delete_user("ann") == store.delete_user("nobody") == 0
        assert store.history("ann") == []
        assert numbered(store.replay()) == [(2, event("bob", event_id="e1"))]
        assert store.position() == 4
    with open_store(place.folder) as store:
        assert store.position() == 4
        assert store.record([event("ann", event_id="e2"), event("bob", event_id="e1")]) == [5, 2]
        assert store.history("ann") == [RecordedEvent(5, event("ann", event_id="e2"))]
        assert [entry.sequence for batch in store.replay(batch=1) for entry in batch] == [2, 5]


def test_who_was_deleted_is_remembered_by_the_number_of_the_last_deletion(
    open_store: OpenStore, place: StoreFolder
) -> None:
    with open_store(place.folder) as store:
        assert store.forgotten().last == 0
        assert not store.forgotten().has("ann")
        store.record([event("ann"), event("bob")])
        store.delete_user("ann")
        store.delete_user("only the bundle's")
    with open_store(place.folder) as store:
        forgotten = store.forgotten()
        assert forgotten.last == len(forgotten.deletions) == 2
        assert [forgotten.has(user) for user in ("ann", "only the bundle's", "bob", "", "ANN")] == [
            True, True, False, False, False
        ]  # fmt: skip
        assert [forgotten.has("ann", 1), forgotten.has("only the bundle's", 1)] == [False, True]
        store.record([event("ann")])
        assert store.delete_user("ann") == 1
        again = store.forgotten()
        assert (again.last, len(again.deletions)) == (3, 2)
        assert [again.has("ann", number) for number in (1, 2, 3)] == [True, True, False]
        # Before this deletion, the value was another one.
        assert not forgotten.has("ann", 1)


# --- what breaks a rule -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda store: store.record("view"), "events is the single string 'view'"),
        (lambda store: store.record([event(), {"item_id": "mug"}]), r"events\[1\] is a dict; pass mmrec.UserEvent"),
        (lambda store: store.history(""), "user_id is empty; pass the id of the customer"),
        (lambda store: store.history(7), r"user_id is 7 \(int\)"),
        (lambda store: store.history("ann", most=0), "most is 0; it must be from 1 to 100,000"),
        (lambda store: store.history("ann", after=-1), "after is -1; it must be 0 or the number of an event"),
        (lambda store: store.history("ann", upto=2.5), "upto is 2.5"),
        (lambda store: store.replay(-1), "after is -1"),
        (lambda store: store.replay(batch=0), "batch is 0; it must be from 1 to 100,000"),
        (lambda store: store.delete_user(""), "user_id is empty"),
    ],
)
def test_a_call_that_breaks_a_rule_is_refused(
    ten: EventStore, call: Callable[[EventStore], object], message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        call(ten)
    assert ten.position() == 10


def test_a_closed_store_says_so(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.close()
    store.close()
    for call in (
        store.position,
        lambda: store.record([event()]),
        lambda: store.history("ann"),
        lambda: next(store.replay()),
        lambda: store.delete_user("ann"),
        store.forgotten,
    ):
        with pytest.raises(UnavailableError, match="is closed"):
            call()
