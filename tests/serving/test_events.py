"""Events of customers through a real server: durable when acknowledged, in the next answer, and there after a kill."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import mmrec
from mmrec.bundle import BundleWriter, open_bundle
from mmrec.contract.events import RecordEventsRequest, UserEvent
from mmrec.errors import FailedPreconditionError, InvalidArgumentError
from mmrec.recommender.artefact import HOLDS_EVENTS
from mmrec_serving import BackgroundServer, ServerConfig
from mmrec_serving.event_log import SqliteEventStore, StoreFolder
from mmrec_serving.updates.recorded_events import RecordedEvents
from tests.commands import start


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
