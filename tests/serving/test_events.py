"""Events of customers through a real server: durable when acknowledged, in the next answer, and there after a kill."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mmrec
from mmrec.bundle import BundleWriter, open_bundle
from mmrec.contract.events import RecordEventsRequest, UserEvent
from mmrec.contract.forgotten_users import ForgottenUsers
from mmrec.errors import FailedPreconditionError, InvalidArgumentError
from mmrec.recommender.artefact import HOLDS_DELETIONS, HOLDS_EVENTS
from mmrec_serving import BackgroundServer, ServerConfig
from mmrec_serving.event_log import SqliteEventStore, StoreFolder
from mmrec_serving.updates.recorded_events import RecordedEvents
from tests.commands import start
from tests.serving.event_log.making import files_with


@pytest.fixture
def client(demo_bundle: Path, tmp_path: Path) -> Iterator[mmrec.Client]:
    config = ServerConfig(port=0, store=tmp_path / "store")
    with (
        BackgroundServer(lambda: mmrec.Recommender.load(demo_bundle, device="cpu"), config) as server,
        mmrec.Client(server.target, timeout=60) as client,
    ):
        yield client


def views(user_id: str, *item_ids: str) -> list[UserEvent]:
    return [UserEvent(item_id, "view", user_id) for item_id in item_ids]


def test_an_event_is_in_the_next_answer(client: mmrec.Client) -> None:
    assert client.record_events(views("newcomer", "p0003", "p0007")).refused == ()
    found = client.recommend(user_id="newcomer", k=60)
    # What depends on counts follows; that of history alone is there.
    assert not {"p0003", "p0007"} & set(found.item_ids)
    assert found.fallback is mmrec.contract.replies.Fallback.NONE
    wanted = found.item_ids[0]
    client.record_events([UserEvent(wanted, "dismiss", "newcomer")])
    assert wanted not in client.recommend(user_id="newcomer", k=60).item_ids
    assert wanted in client.recommend(["p0003"], k=60).item_ids
    client.record_events([UserEvent(wanted, "purchase", "newcomer")])
    assert wanted in client.recommend(user_id="newcomer", k=60, include_seen=True).item_ids


def test_an_event_of_an_item_that_comes_later_counts_when_it_has_come(client: mmrec.Client) -> None:
    client.record_events(views("u", "later"))
    assert client.recommend(user_id="u").fallback is mmrec.contract.replies.Fallback.POPULARITY
    client.upsert_items([{"item_id": "later", "title": "Quartz lamp"}], wait_until_visible=True)
    found = client.recommend(user_id="u", k=100)
    assert found.fallback is mmrec.contract.replies.Fallback.NONE
    assert "later" not in found.item_ids


def test_each_event_has_its_own_result(client: mmrec.Client) -> None:
    done = client.record_events(
        [
            *views("u", "p0001"),
            {"item_id": "p0002", "event_type": "view"},
            UserEvent("p0003", "view", "u", event_id="e"),
        ],
        request_id="r",
    )
    assert [(entry.id, entry.error is None) for entry in done.entries] == [("", True), ("", False), ("e", True)]
    assert done.request_id == "r"
    error = done.entries[1].error
    assert isinstance(error, InvalidArgumentError)
    assert error.violations[0].field == "events[1].user_id"
    # A client of another language is told the same.
    raw = RecordEventsRequest((UserEvent("p0001", "view", "u"),))
    assert client.record_events(raw.events, validate_only=True).refused == ()


def test_a_server_that_was_killed_knows_every_event_that_it_acknowledged(demo_bundle: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    for round_number in range(2):
        with start("serve", demo_bundle, "--store", store, "--port", "0", "--quiet") as server:
            with mmrec.Client(server.stdout.readline().strip(), timeout=60) as client:
                seen = {f"p{number:04}" for number in range(1, 3 * round_number + 1)}
                found = client.recommend(user_id="u", k=60)
                assert len(found.items) == 60 - len(seen)
                assert not seen & set(found.item_ids)
                for number in range(3 * round_number + 1, 3 * round_number + 4):
                    client.record_events(views("u", f"p{number:04}"))
                    # The same again, as after a lost answer.
                    client.record_events(
                        [UserEvent(f"p{number:04}", "view", "u", event_id=f"e{number}")] * 2, request_id=f"r{number}"
                    )
            server.send_signal(signal.SIGKILL)
            server.wait(60)
    with SqliteEventStore(StoreFolder(store)) as kept:
        (batch,) = kept.replay()
        assert [entry.sequence for entry in batch] == list(range(1, 13))
        assert [entry.event.item_id for entry in batch] == [f"p{n:04}" for n in range(1, 7) for _ in range(2)]


class Noting:
    """An engine that notes the events that it gets."""

    def __init__(self, bundle: Path) -> None:
        self.bundle = open_bundle(bundle)
        self.numbers: list[int] = []
        self.counted = 0

    def add_events(self, events, *, count: bool = True) -> None:  # type: ignore[no-untyped-def]
        assert not count
        self.numbers += [number for number, _ in events]

    def count_events(self) -> None:
        self.counted += 1

    def forget_users(self, forgotten: ForgottenUsers, user_id: str = "") -> None:
        assert not self.numbers


def test_events_that_a_bundle_was_fitted_on_are_not_replayed(demo_bundle: Path, tmp_path: Path) -> None:
    source = open_bundle(demo_bundle)
    root = tmp_path / "bundle"
    with BundleWriter(root, preset="p", name="later") as writer:
        for name in source.manifest.files:
            writer.path(name).parent.mkdir(parents=True, exist_ok=True)
            writer.path(name).write_bytes(source.path(name).read_bytes())
        writer.commit(
            versions=replace(source.manifest.versions, catalogue="later"),
            parameters={**source.manifest.parameters, HOLDS_EVENTS: 2},
        )
    config = StoreFolder(tmp_path / "store")
    with SqliteEventStore(config) as store:
        store.record(views("u", "p0001", "p0002", "p0003"))
    for bundle, numbers in ((demo_bundle, [1, 2, 3]), (root, [3])):
        engine = Noting(bundle)
        recorded = RecordedEvents(engine, SqliteEventStore(config))
        assert recorded.replay() == 3
        recorded.close()
        assert (engine.numbers, engine.counted) == (numbers, 1)
    # Where a server goes on with that bundle, they count once too.
    own = mmrec.Recommender.load(demo_bundle, device="cpu")
    own.add_events(enumerate(views("u", "p0001", "p0002", "p0003"), start=1))
    own.adopt(mmrec.Recommender.load(root, device="cpu"))
    assert [event.number for event in own.snapshot().live] == [3]
    # Where it goes back, those that the bundle before lacks come from the store, in order.
    recorded = RecordedEvents(own, SqliteEventStore(config))
    older = mmrec.Recommender.load(demo_bundle, device="cpu")
    own.adopt(older, recorded.lacking(older.bundle))
    assert [event.number for event in own.snapshot().live] == [1, 2, 3]
    recorded.close()


def test_without_a_store_no_event_is_taken(demo_server: str) -> None:
    with (
        mmrec.Client(demo_server, timeout=60) as client,
        pytest.raises(FailedPreconditionError, match="keeps no events; start it with a folder for them"),
    ):
        client.record_events(views("u", "p0001"))
    with (
        mmrec.Client(demo_server, timeout=60) as client,
        pytest.raises(FailedPreconditionError, match="keeps no events; start it with a folder for them"),
    ):
        client.list_events("u")
    with (
        mmrec.Client(demo_server, timeout=60) as client,
        pytest.raises(FailedPreconditionError, match="keeps no events; start it with a folder for them"),
    ):
        client.delete_user("u")


def test_a_server_for_tests_keeps_events_in_memory(demo_bundle: Path) -> None:
    config = ServerConfig(port=0, changes_in_memory=True)
    with (
        BackgroundServer(lambda: mmrec.Recommender.load(demo_bundle, device="cpu"), config) as server,
        mmrec.Client(server.target, timeout=60) as client,
    ):
        client.record_events(views("u", "p0001"))
        assert "p0001" not in client.recommend(user_id="u", k=60).item_ids


# --- what is known of a customer ------------------------------------------------------------------------------------


def test_pages_of_a_customers_events_stay_right_while_events_come_in(client: mmrec.Client) -> None:
    rated = UserEvent("p0004", "purchase", "u", "visit", "e4", 400.5, 4.5, 19.9, "reply", 3)
    dismissed = UserEvent("p0005", "dismiss", "u", time=50.0)
    client.record_events([*views("u", "p0001"), *views("v", "p0009"), *views("u", "p0002", "p0003"), rated, dismissed])
    first = client.list_events("u", page_size=2)
    assert first.events == (dismissed, rated)
    client.record_events([*views("v", "p0009"), *views("u", "p0006", "p0007")])
    second = client.list_events("u", page_size=2, page_token=first.next_page_token)
    assert [event.item_id for event in second.events] == ["p0003", "p0002"]
    assert all(event.time is not None and event.time > 1e9 for event in second.events)
    third = client.list_events("u", page_token=second.next_page_token)
    assert ([event.item_id for event in third.events], third.next_page_token) == (["p0001"], "")
    anew = client.list_events("u", page_size=7)
    assert [event.item_id for event in anew.events] == [f"p000{n}" for n in (7, 6, 5, 4, 3, 2, 1)]
    assert anew.next_page_token == ""
    assert client.list_events("nobody") == mmrec.EventPage(())
    with pytest.raises(InvalidArgumentError, match=r"page_token .* is of another request"):
        client.list_events("v", page_token=first.next_page_token)
    with pytest.raises(InvalidArgumentError, match="user_id is empty; pass the id of the customer"):
        client.list_events("")


def test_in_process_pages_are_the_same(demo_bundle: Path) -> None:
    own = mmrec.Recommender.load(demo_bundle, device="cpu")
    own.record_events([*views("u", "p0001", "p0002"), *views("v", "p0009"), UserEvent("p0003", "impression", "u")])
    first = own.list_events("u", page_size=2)
    assert [event.item_id for event in first.events] == ["p0003", "p0002"]
    own.record_events(views("u", "p0004"))
    last = own.list_events("u", page_size=2, page_token=first.next_page_token)
    assert ([event.item_id for event in last.events], last.next_page_token) == (["p0001"], "")


# --- deleting a customer --------------------------------------------------------------------------------------------

KNOWN = "c0023"
"""A customer of whom the bundle has a history."""


def outcome_of(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except mmrec.MmrecError as err:
        return type(err), err.message


def answers_to(engine: Any, user_id: str) -> list[Any]:
    """What calls that read a history answer to a customer."""
    found = engine.recommend(user_id=user_id, k=60, explain=True)
    embedded = engine.embed_user(user_id=user_id)
    return [
        found.items,
        found.fallback,
        engine.rank(["p0001", "p0002", "p0003"], user_id=user_id).items,
        (embedded.vector.tolist(), embedded.fallback),
        engine.explain(["p0001", "p0002"], user_id=user_id).explanations,
        outcome_of(lambda: engine.predict_ratings(["p0001", "p0002"], user_id=user_id)),
    ]


def test_a_deleted_customer_is_an_unknown_one_also_after_a_restart(demo_bundle: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    config = ServerConfig(port=0, store=store)

    def load() -> mmrec.Recommender:
        return mmrec.Recommender.load(demo_bundle, device="cpu")

    with BackgroundServer(load, config) as server, mmrec.Client(server.target, timeout=60) as client:
        client.record_events([*views(KNOWN, "p0001", "p0002"), UserEvent("p0003", "dismiss", KNOWN)])
        assert answers_to(client, KNOWN) != answers_to(client, "nobody")
        assert files_with(store, KNOWN) != []
        assert client.delete_user(KNOWN) == mmrec.DeletedUser(3)
        assert files_with(store, KNOWN) == []
        assert answers_to(client, KNOWN) == answers_to(client, "nobody")
        assert client.list_events(KNOWN).events == ()
        assert client.delete_user(KNOWN) == client.delete_user("nobody") == mmrec.DeletedUser(0)
        with pytest.raises(InvalidArgumentError, match="user_id is empty; pass the id of the customer"):
            client.delete_user("")
    assert files_with(store, KNOWN) == []
    with BackgroundServer(load, config) as server, mmrec.Client(server.target, timeout=60) as client:
        assert answers_to(client, KNOWN) == answers_to(client, "nobody")
        # Who comes back begins anew.
        for user_id in (KNOWN, "newcomer"):
            client.record_events(views(user_id, "p0007"))
        assert client.recommend(user_id=KNOWN, k=60).item_ids == client.recommend(user_id="newcomer", k=60).item_ids
        assert len(client.recommend(user_id=KNOWN, k=60).items) == 59


def test_another_version_of_the_bundle_does_not_bring_a_deleted_customer_back(
    demo_bundle: Path, tmp_path: Path
) -> None:
    root = tmp_path / "bundle"
    source = open_bundle(demo_bundle)

    def publish(**parameters: int) -> None:
        with BundleWriter(root, preset="p", name="n") as writer:
            for name in source.manifest.files:
                writer.path(name).parent.mkdir(parents=True, exist_ok=True)
                writer.path(name).write_bytes(source.path(name).read_bytes())
            writer.commit(versions=source.manifest.versions, parameters={**source.manifest.parameters, **parameters})

    publish()
    own = mmrec.Recommender.load(root, device="cpu")
    before = own.recommend(user_id=KNOWN, k=60).items
    store = SqliteEventStore(StoreFolder(tmp_path / "store"))
    recorded = RecordedEvents(own, store)
    recorded.replay()
    assert recorded.record_many([RecordEventsRequest(tuple(views(KNOWN, "p0001", "p0002")))])[0]
    assert recorded.delete_many([mmrec.contract.events.DeleteUserRequest(KNOWN)]) == [mmrec.DeletedUser(2)]
    assert [(event.user_id, event.item_id) for event in own.snapshot().live] == [("", ""), ("", "")]
    unknown = answers_to(own, "nobody")
    assert answers_to(own, KNOWN) == unknown
    publish()
    own.adopt(own.load_current())
    assert answers_to(own, KNOWN) == unknown
    # A fit that has left the customer out has what came after the deletion alone, which counts.
    publish(**{HOLDS_DELETIONS: 1})
    own.adopt(own.load_current())
    assert own.recommend(user_id=KNOWN, k=60).items == before
    # Until the next deletion.
    recorded.delete_many([mmrec.contract.events.DeleteUserRequest(KNOWN)])
    assert answers_to(own, KNOWN) == unknown
    recorded.close()


def test_in_process_a_customer_is_deleted_from_memory(demo_bundle: Path) -> None:
    own = mmrec.Recommender.load(demo_bundle, device="cpu")
    unknown = answers_to(own, "nobody")
    own.record_events([UserEvent("p0001", "view", KNOWN, event_id="e"), UserEvent("p0003", "dismiss", KNOWN)])
    assert own.delete_user(KNOWN) == mmrec.DeletedUser(2)
    assert own.list_events(KNOWN).events == ()
    assert own.delete_user(KNOWN) == mmrec.DeletedUser(0)
    found = own.recommend(user_id=KNOWN, k=60)
    assert (found.item_ids, found.fallback) == (tuple(item.item_id for item in unknown[0]), unknown[1])
    # The id of an event of a deleted customer is forgotten too.
    own.record_events([UserEvent("p0001", "view", KNOWN, event_id="e")])
    assert len(own.recommend(user_id=KNOWN, k=60).items) == 59
