"""Two servers that share a store in PostgreSQL: each uses what the other has recorded and deleted, also past a kill."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import pytest

import mmrec
from mmrec.cli.recorded import dataset_with_events
from mmrec.contract.events import DeleteUserRequest, RecordEventsRequest, UserEvent
from mmrec.errors import UnavailableError
from mmrec_serving.event_log import open_events
from mmrec_serving.store_place import store_place
from mmrec_serving.updates.recorded_events import RecordedEvents
from tests.commands import Command, start
from tests.postgres_server import PASSWORD, PostgresServer

T = TypeVar("T")
KNOWN = "c0023"
"""A customer of whom the bundle has a history."""


def eventually(call: Callable[[], T], wanted: T) -> None:
    """Wait until a call returns this; the limit is that of a test that has failed."""
    end = time.monotonic() + 60
    while (found := call()) != wanted:
        assert time.monotonic() < end, found
        time.sleep(0.02)


def views(user_id: str, *item_ids: str) -> list[UserEvent]:
    return [UserEvent(item_id, "view", user_id) for item_id in item_ids]


def unseen(client: mmrec.Client | mmrec.Recommender, user_id: str) -> int:
    """How many of the 60 items are recommended: those that the customer has not seen."""
    return len(client.recommend(user_id=user_id, k=60).items)


class Replicas:
    """Two processes of `mmrec serve` with one store."""

    def __init__(self, bundle: Path, url: str, logs: Path, stack: ExitStack) -> None:
        self._bundle, self._url, self._logs, self._stack = bundle, url, logs, stack
        started = [self._start(number) for number in (1, 2)]  # at once
        self.processes = started
        self.clients = [self._client(process) for process in started]

    def kill_and_start_again(self, at: int) -> None:
        self.processes[at].send_signal(signal.SIGKILL)
        self.processes[at].wait(60)
        self.processes[at] = self._start(3)
        self.clients[at] = self._client(self.processes[at])

    def _start(self, number: int) -> Command:
        log = self._logs / f"{number}.log"
        return self._stack.enter_context(
            start("serve", self._bundle, "--store", self._url, "--port", "0", "--access-log", "all", stderr=log)
        )

    def _client(self, process: Command) -> mmrec.Client:
        address = process.stdout.readline().strip()
        return self._stack.enter_context(mmrec.Client(address, timeout=60))


@pytest.fixture(scope="module")
def url(postgres: PostgresServer) -> str:
    return postgres.make_schema("replicas")


@pytest.fixture(scope="module")
def replicas(demo_bundle: Path, url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    logs = tmp_path_factory.mktemp("logs")
    with ExitStack() as stack:
        yield Replicas(demo_bundle, url, logs, stack)
    for log in logs.iterdir():
        assert PASSWORD not in log.read_text()


def test_what_one_server_has_recorded_and_deleted_the_other_uses(replicas: Replicas) -> None:
    one, other = replicas.clients
    one.record_events(views("u", "p0001", "p0002"))
    assert unseen(one, "u") == 58
    eventually(lambda: unseen(other, "u"), 58)
    other.record_events(views("u", "p0003"))
    # In the next answer of the server that recorded it, behind the events of the others.
    assert unseen(other, "u") == 57
    assert [event.item_id for event in other.list_events("u").events] == ["p0003", "p0002", "p0001"]
    eventually(lambda: unseen(one, "u"), 57)
    assert one.recommend(user_id="u", k=60).item_ids == other.recommend(user_id="u", k=60).item_ids
    # The same event, sent again to the other server.
    for client in (one, other):
        assert client.record_events([UserEvent("p0004", "view", "u", event_id="e1")]).refused == ()
    assert len(other.list_events("u").events) == 4
    assert unseen(other, "u") == 56

    assert one.recommend(user_id=KNOWN, k=60).items != one.recommend(user_id="nobody", k=60).items
    other.record_events(views(KNOWN, "p0005"))
    assert other.delete_user(KNOWN) == mmrec.DeletedUser(1)
    eventually(lambda: one.recommend(user_id=KNOWN, k=60).items == one.recommend(user_id="nobody", k=60).items, True)
    # Who comes back begins anew, with both.
    one.record_events(views(KNOWN, "p0006"))
    assert unseen(one, KNOWN) == 59
    eventually(lambda: unseen(other, KNOWN), 59)


def test_a_server_that_was_killed_comes_back_with_the_events_of_all(replicas: Replicas) -> None:
    one, other = replicas.clients
    one.record_events(views("v", "p0001"))
    other.record_events(views("v", "p0002"))
    replicas.kill_and_start_again(0)
    assert unseen(replicas.clients[0], "v") == 58


def test_while_postgresql_is_away_questions_are_answered_and_events_refused(
    replicas: Replicas, postgres: PostgresServer
) -> None:
    one, other = replicas.clients
    one.record_events(views("w", "p0001"))
    postgres.kill()
    try:
        assert unseen(one, "w") == 59
        for call in (
            lambda: one.record_events(views("w", "p0002")),
            lambda: one.list_events("w"),
            lambda: one.delete_user("w"),
        ):
            with pytest.raises(UnavailableError, match=r"the store of events in \(see the log\)") as caught:
                call()
            assert caught.value.retry_after_s == 1.0
        assert unseen(one, "w") == 59
    finally:
        postgres.start()
    other.record_events(views("w", "p0003"))
    assert unseen(other, "w") == 58
    eventually(lambda: unseen(one, "w"), 58)
    assert [event.item_id for event in one.list_events("w").events] == ["p0003", "p0001"]


def test_a_fit_reads_the_events_of_the_servers(
    replicas: Replicas, url: str, demo_dataset: Path, tmp_path: Path
) -> None:
    replicas.clients[0].record_events([UserEvent("p0009", "purchase", "fitted", time=2e9)])
    found = dataset_with_events(demo_dataset, url, tmp_path)
    with open_events(store_place(url)) as store:
        assert (found.events, found.deletions) == (store.position(), store.forgotten().last)
    assert any(b"fitted" in path.read_bytes() for path in Path(found.folder).glob("events.*"))


# --- in one process -----------------------------------------------------------------------------------------


class Noting:
    """An engine that notes what it is told."""

    def __init__(self, bundle: mmrec.bundle.Bundle) -> None:
        self.bundle = bundle
        self.said: list[str] = []

    def add_events(self, events, *, count: bool = True) -> None:  # type: ignore[no-untyped-def]
        self.said += [f"{number} {event.user_id} {event.item_id}" for number, event in events]

    def count_events(self) -> None: ...

    def forget_users(self, forgotten: object, user_id: str = "") -> None:
        self.said += [f"forget {user_id}"] * bool(user_id)

    def deleted_since(self, forgotten: object) -> list[str]:
        return ["u"]


def test_events_are_used_in_the_order_of_their_numbers_whoever_records_them(
    postgres: PostgresServer, demo_bundle: Path
) -> None:
    place = store_place(postgres.make_schema("in_order"))
    engine = Noting(mmrec.bundle.open_bundle(demo_bundle))
    recorded = RecordedEvents(engine, open_events(place))
    assert recorded.replay() == 0
    with open_events(place) as store:
        store.record(views("u", "a", "b"))
        recorded.record_many([RecordEventsRequest(tuple(views("u", "c")))])
        assert engine.said == ["1 u a", "2 u b", "3 u c"]
        store.record([UserEvent("d", "view", "v", event_id="e")])
        # Another event under the same id: what counts is the one that was recorded.
        recorded.record_many([RecordEventsRequest((UserEvent("other", "view", "v", event_id="e"),))])
        assert engine.said[3:] == ["4 v d"]
        # A customer who was deleted elsewhere and has come back.
        store.delete_user("u")
        store.record(views("u", "f"))
        eventually(lambda: (engine.said.count("forget u"), engine.said[-1]), (1, "5 u f"))
        known = len(engine.said)
        # The last event is deleted: no number is given again, and none is missed.
        recorded.delete_many([DeleteUserRequest("u")])
        store.record(views("w", "g"))
        eventually(lambda: engine.said[known:], ["forget u", "6 w g"])
    recorded.close()
