"""`mmrec record`, `mmrec events` and `mmrec forget`, as a person calls them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import mmrec
from mmrec.bundle import open_bundle
from mmrec.contract.events import UserEvent
from mmrec.recommender.artefact import HOLDS_DELETIONS, HOLDS_EVENTS
from mmrec_serving import BackgroundServer, ServerConfig
from mmrec_serving.event_log import SqliteEventStore, StoreFolder
from tests.cli.test_full_disk import ITEMS
from tests.commands import run_here
from tests.fake_engine import FakeEngine


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def server(engine: FakeEngine) -> Iterator[BackgroundServer]:
    with BackgroundServer(lambda: engine, ServerConfig(port=0, changes_in_memory=True)) as running:
        yield running


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "clicks.tsv"
    rows = ["user_id\titem_id\tevent_type", "u\ta\tview", "u\tb\tcart", "\tc\tview", "v\ta\tdismiss", "v\tb\tview"]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_the_events_of_a_table_are_recorded_in_batches(
    table: Path, server: BackgroundServer, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["record", str(table), "--server", server.target, "--batch", "2", "--request-id", "monday"]
    status, out, err = run_here(arguments, capsys)
    assert status == 0
    assert "recording: 4 events in 3 batches, 1 refused" in err
    assert (
        "clicks.tsv:4: user_id and session_id are both empty; pass who did it, or an id of the anonymous visit" in err
    )
    assert [line.split() for line in out.splitlines() if "events" in line] == [
        ["events", "recorded", "4"],
        ["events", "refused", "1"],
    ]
    assert [(request.request_id, request.events) for request in engine.recorded] == [
        ("monday-0", (UserEvent("a", "view", "u"), UserEvent("b", "cart", "u"))),
        ("monday-1", (UserEvent("a", "dismiss", "v"),)),
        ("monday-2", (UserEvent("b", "view", "v"),)),
    ]


def test_it_goes_on_after_batches_that_were_answered(
    table: Path, server: BackgroundServer, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["record", str(table), "--server", server.target, "--batch", "2", "--skip", "2", "--json", "-q"]
    status, out, _ = run_here(arguments, capsys)
    assert status == 0
    assert json.loads(out) == {"batches": 1, "done": 1, "refused": [], "validate_only": False}
    assert [request.events for request in engine.recorded] == [(UserEvent("b", "view", "v"),)]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["record", "{table}"], 2, "--server is not given"),
        (["record", "{table}", "--server", "localhost:1", "--batch", "0"], 2, "--batch is 0"),
        (["record", "{table}", "--server", "localhost:1", "--skip", "-1"], 2, "--skip is -1"),
        (["record", "{table}.csv", "--server", "localhost:1"], 3, "there is no file"),
        (["record", "{table}", "--server", "localhost:1", "--timeout", "2"], 5, "--skip 0"),
    ],
)
def test_what_cannot_be_done_is_told(
    arguments: list[str], status: int, message: str, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended, _, err = run_here([argument.format(table=table) for argument in arguments], capsys)
    assert ended == status, err
    assert message in err


def test_a_fit_reads_what_a_server_has_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, store, bundle = tmp_path / "shop", tmp_path / "store", tmp_path / "bundle"
    folder.mkdir()
    (folder / "items.tsv").write_text(ITEMS, encoding="utf-8")
    taken = [UserEvent(f"i{(user + n) % 12}", "view", f"u{user}", time=1e9 + n) for user in range(12) for n in range(6)]
    of_dataset = ["user_id\titem_id\ttimestamp", "deleted\ti1\t5", "deleted\ti2\t6", "u1\ti9\t7"]
    (folder / "events.tsv").write_text("\n".join(of_dataset) + "\n", encoding="utf-8")
    with SqliteEventStore(StoreFolder(store)) as recording:
        recording.record([*taken, UserEvent("i1", "impression", "u1")])
        recording.delete_user("deleted")
        # While a server has the store open.
        arguments = ["fit", str(folder), "--out", str(bundle), "--events-from", str(store), "--epochs", "1"]
        status, _, err = run_here([*arguments, "--device", "cpu"], capsys)
    assert status == 0, err
    opened = open_bundle(bundle)
    assert "events of deleted customers that are left out of the dataset: 2 (customers: 1)" in err
    assert opened.manifest.parameters[HOLDS_EVENTS] == 73
    assert opened.manifest.parameters[HOLDS_DELETIONS] == 1
    assert opened.manifest.name == "shop"
    engine = mmrec.Recommender.load(bundle, device="cpu")
    assert engine.info().users == 12
    assert len(engine.recommend(user_id="u1", k=12).items) == 5
    status, _, err = run_here([*arguments, "--events-from", str(tmp_path / "none")], capsys)
    assert status == 3
    assert "none" in err


def test_what_was_recorded_is_listed(server: BackgroundServer, capsys: pytest.CaptureFixture[str]) -> None:
    bought = UserEvent("b", "purchase", "u", event_id="e2", time=86_400.0, rating=4.5)
    with mmrec.Client(server.target) as client:
        client.record_events([UserEvent("a", "view", "u", time=0.0), bought])
    arguments = ["events", "--user", "u", "--server", server.target]
    status, out, err = run_here([*arguments, "--k", "1"], capsys)
    assert status == 0
    assert out.splitlines()[-1].split() == ["1970-01-02", "00:00:00+00:00", "purchase", "b", "4.5", "e2"]
    token = err.partition("there are more: --page-token ")[2].strip()
    status, out, _ = run_here([*arguments, "--page-token", token, "--json"], capsys)
    found = json.loads(out)
    assert [(event["item_id"], event["time"]) for event in found["events"]] == [("a", 0.0)]
    assert found["next_page_token"] == ""
    status, _, err = run_here(["events", "--server", server.target], capsys)
    assert (status, "user_id is empty; pass the id of the customer" in err) == (2, True)


def test_a_customer_is_forgotten(
    server: BackgroundServer, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    with mmrec.Client(server.target) as client:
        client.record_events([UserEvent("a", "view", "u"), UserEvent("b", "view", "u"), UserEvent("b", "view", "v")])
    status, out, _ = run_here(["forget", "--user", "u", "--server", server.target], capsys)
    assert (status, out.splitlines()[-1].split()) == (0, ["events", "removed", "2"])
    status, out, _ = run_here(["forget", "--user", "u", "--server", server.target, "--json"], capsys)
    assert (status, json.loads(out)) == (0, {"events": 0})
    assert [asked for asked in engine.asked if asked[0] == "delete-user"] == [("delete-user", 1)] * 2
    status, _, err = run_here(["forget", "--user", "u"], capsys)
    assert (status, "--server is not given" in err) == (2, True)
