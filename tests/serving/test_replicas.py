"""Two servers with one store in PostgreSQL or Redis: each uses what the other records and deletes, past a kill too."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import pytest

import mmrec
from mmrec.bundle import Bundle, open_bundle
from mmrec.cli.recorded import dataset_with_events
from mmrec.contract.events import DeleteUserRequest, RecordEventsRequest, UserEvent
from mmrec.errors import UnavailableError
from mmrec_serving.event_log import open_events
from mmrec_serving.store_place import store_place
from mmrec_serving.updates.recorded_events import RecordedEvents
from tests.commands import Command, run, start
from tests.postgres_server import PASSWORD, PostgresServer
from tests.redis_server import RedisServer

pytestmark = pytest.mark.slow(10)

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
    """How many items are recommended: those that the customer has not seen."""
    return len(client.recommend(user_id=user_id, k=100).items)


class Replicas:
    """Two processes of `mmrec serve` with one store."""

    def __init__(self, bundle: Path, url: str, logs: Path, stack: ExitStack) -> None:
        self.bundle, self._url, self._stack = bundle, url, stack
        self._files = [logs / "1.log", logs / "2.log"]
        started = [self._start(log) for log in self._files]  # at once
        self.processes = started
        self.clients = [self._client(process) for process in started]

    def log(self, at: int) -> str:
        """What a server has logged."""
        return self._files[at].read_text()

    def kill_and_start_again(self, at: int) -> None:
        self.processes[at].send_signal(signal.SIGKILL)
        self.processes[at].wait(60)
        self._files[at] = self._files[at].with_suffix(".again")
        self.processes[at] = self._start(self._files[at])
        self.clients[at] = self._client(self.processes[at])

    def _start(self, log: Path) -> Command:
        # Without trials of versions, which take as long as importing everything; see test_swapping.
        options = ("--store", self._url, "--port", "0", "--access-log", "all", "--trial-seconds", "0")
        return self._stack.enter_context(start("serve", self.bundle, *options, stderr=log))

    def _client(self, process: Command) -> mmrec.Client:
        address = process.stdout.readline().strip()
        return self._stack.enter_context(mmrec.Client(address, timeout=60))


@pytest.fixture(scope="module", params=["postgres", "redis"])
def database(request: pytest.FixtureRequest) -> PostgresServer | RedisServer:
    """The server of the store."""
    server: PostgresServer | RedisServer = request.getfixturevalue(request.param)
    return server


def url_of(database: PostgresServer | RedisServer, name: str) -> str:
    """The URL of a store of this name."""
    return database.url(name) if isinstance(database, RedisServer) else database.make_schema(name)


@pytest.fixture(scope="module")
def url(database: PostgresServer | RedisServer) -> str:
    return url_of(database, "replicas")


@pytest.fixture(scope="module")
def replicas(demo_bundle: Path, url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    logs, bundle = tmp_path_factory.mktemp("logs"), tmp_path_factory.mktemp("served") / "bundle"
    shutil.copytree(demo_bundle, bundle)  # a test publishes another version
    with ExitStack() as stack:
        yield Replicas(bundle, url, logs, stack)
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


def titles(client: mmrec.Client, *item_ids: str) -> dict[str, str]:
    return {item.item_id: item.title for item in client.items(list(item_ids)).items}


def test_items_that_one_server_has_taken_the_other_shows(replicas: Replicas) -> None:
    one, other = replicas.clients
    lamp = {"item_id": "n1", "title": "Quartz lamp", "attributes": {"category": "lamp"}}
    done = one.upsert_items([lamp], request_id="r1", wait_until_visible=True)
    assert done.refused == ()
    eventually(lambda: titles(other, "n1"), {"n1": "Quartz lamp"})
    assert other.recommend([], k=1).versions == done.versions
    # The same request, sent again to the other server.
    assert other.upsert_items([lamp], request_id="r1", wait_until_visible=True).versions == done.versions
    # Part of an item that has just been changed by the other server.
    other.upsert_items([{"item_id": "n1", "title": "Bent lamp"}], fields=["title"])
    part = {"item_id": "n1", "attributes": {"category": "light"}}
    one.upsert_items([part], fields=["attributes.category"], wait_until_visible=True)
    (found,) = one.items(["n1"]).items
    assert (found.title, dict(found.attributes)) == ("Bent lamp", {"category": "light"})
    eventually(lambda: other.items(["n1"]).items, (found,))
    other.upsert_items([{"item_id": "n2", "title": "Lamp two"}])
    assert one.delete_items(["n2", "p0042"]).refused == ()
    eventually(lambda: titles(other, "n2", "p0042"), {})
    assert one.recommend([], k=1).versions == other.recommend([], k=1).versions


def test_a_server_that_was_killed_comes_back_with_the_events_and_items_of_all(replicas: Replicas) -> None:
    one, other = replicas.clients
    one.record_events(views("v", "p0001"))
    other.record_events(views("v", "p0002"))
    one.upsert_items([{"item_id": "n3", "title": "Lamp three"}])
    other.upsert_items([{"item_id": "n4", "title": "Lamp four"}])
    other.delete_items(["p0041"])
    replicas.kill_and_start_again(0)
    one = replicas.clients[0]
    assert {"p0001", "p0002"}.isdisjoint(one.recommend(user_id="v", k=100).item_ids)
    assert titles(one, "n3", "n4", "p0041") == {"n3": "Lamp three", "n4": "Lamp four"}


def test_servers_go_on_with_a_version_that_was_compacted_from_their_store(replicas: Replicas, url: str) -> None:
    one, other = replicas.clients
    one.upsert_items([{"item_id": "n0", "title": "Lamp nought"}], wait_until_visible=True)
    before = one.info().versions.catalogue
    done = run("fold", replicas.bundle, "--store", url)
    assert done.returncode == 0, done.stderr
    # With the version before it they go on.
    one.upsert_items([{"item_id": "n5", "title": "Lamp five"}])
    eventually(lambda: titles(other, "n5"), {"n5": "Lamp five"})
    folded = open_bundle(replicas.bundle)
    assert folded.manifest.versions.catalogue == before
    for at, item_id in enumerate(("n6", "n7")):
        replicas.processes[at].send_signal(signal.SIGHUP)
        eventually(lambda at=at: f"version {folded.version} is served instead of" in replicas.log(at), True)
        replicas.clients[at].upsert_items([{"item_id": item_id, "title": "Lamp"}])
        for reader in replicas.clients:
            eventually(
                lambda reader=reader, new=item_id: titles(reader, "n5", new), {"n5": "Lamp five", item_id: "Lamp"}
            )
    assert one.info().versions == other.info().versions


def test_servers_go_back_to_the_version_before_one_after_the_other(replicas: Replicas, url: str) -> None:
    one, other = replicas.clients

    def switch(at: int, version: str) -> None:
        replicas.processes[at].send_signal(signal.SIGHUP)
        eventually(lambda: f"version {version} is served instead of" in replicas.log(at), True)

    one.upsert_items([{"item_id": "n10", "title": "Lamp ten"}], wait_until_visible=True)
    before = open_bundle(replicas.bundle).version
    assert run("fold", replicas.bundle, "--store", url).returncode == 0
    folded = open_bundle(replicas.bundle).version
    for at in range(2):
        switch(at, folded)
    other.upsert_items([{"item_id": "n11", "title": "Lamp eleven"}], wait_until_visible=True)
    done = run("rollback", replicas.bundle, "--store", url)
    assert done.returncode == 0, done.stderr
    for at, item_id in enumerate(("n12", "n13")):
        replicas.processes[at].send_signal(signal.SIGHUP)
        eventually(lambda at=at: f"version {before} is served instead of {folded}" in replicas.log(at), True)
        replicas.clients[at].upsert_items([{"item_id": item_id, "title": "Lamp"}])
        for reader in replicas.clients:
            eventually(
                lambda reader=reader, new=item_id: titles(reader, "n10", "n11", new),
                {"n10": "Lamp ten", "n11": "Lamp eleven", item_id: "Lamp"},
            )
    assert one.info().versions == other.info().versions
    replicas.kill_and_start_again(0)
    assert set(titles(replicas.clients[0], "n10", "n11", "n12", "n13")) == {"n10", "n11", "n12", "n13"}


def test_while_the_database_is_away_questions_are_answered_and_events_refused(
    replicas: Replicas, database: PostgresServer | RedisServer
) -> None:
    one, other = replicas.clients
    one.upsert_items([{"item_id": "n8", "title": "Lamp eight"}], wait_until_visible=True)
    eventually(lambda: titles(other, "n8"), {"n8": "Lamp eight"})
    one.record_events(views("w", "p0001"))
    items = len(one.recommend([], k=100).items)
    database.kill()
    try:
        assert unseen(one, "w") == items - 1
        for call in (
            lambda: one.record_events(views("w", "p0002")),
            lambda: one.list_events("w"),
            lambda: one.delete_user("w"),
            lambda: one.upsert_items([{"item_id": "n9", "title": "Lamp nine"}], request_id="r9"),
            lambda: one.delete_items(["n8"]),
        ):
            with pytest.raises(UnavailableError, match=r"the store of .* in \(see the log\)") as caught:
                call()
            assert caught.value.retry_after_s == 1.0
        assert unseen(one, "w") == items - 1
    finally:
        database.start()
    other.record_events(views("w", "p0003"))
    assert unseen(other, "w") == items - 2
    eventually(lambda: unseen(one, "w"), items - 2)
    # The same again, as the client was told.
    one.upsert_items([{"item_id": "n9", "title": "Lamp nine"}], request_id="r9")
    eventually(lambda: titles(other, "n8", "n9"), {"n8": "Lamp eight", "n9": "Lamp nine"})
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

    def __init__(self, bundle: Bundle) -> None:
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
    database: PostgresServer | RedisServer, demo_bundle: Path
) -> None:
    place = store_place(url_of(database, "in_order"))
    engine = Noting(open_bundle(demo_bundle))
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
