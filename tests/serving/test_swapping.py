"""`mmrec serve`: other versions of the bundle take the place of the one being served, while requests go on."""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import mmrec
from mmrec.bundle import BundleWriter, current_version, open_bundle
from mmrec.contract.changes import UpsertRequest
from mmrec.contract.items import ItemInput
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from mmrec.evaluation.server_overview import read_metrics
from mmrec_serving import BackgroundServer, ServerConfig
from mmrec_serving.change_log import SqliteChangeReader, StoreFolder
from mmrec_serving.updates.bundle_position import open_store
from mmrec_serving.updates.compaction import fold
from mmrec_serving.updates.live_catalogue import CatalogueChanges
from tests.commands import Command, run_here, start

pytestmark = pytest.mark.slow(30)

DAMAGED = "20260131T093000Z-0123456789ab"
LIMIT_S = 60.0
"""Far more than any of this takes; what waits so long will not come."""


@pytest.fixture
def root(demo_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo_bundle, tmp_path / "bundle"))


class Served:
    """A server process, its address, and a client of it."""

    def __init__(self, process: Command, address: str, client: mmrec.Client) -> None:
        self.process, self.address = process, address
        self.client = client


@contextmanager
def served(bundle: Path, *options: str, end: int = signal.SIGTERM, stderr: Path | None = None) -> Iterator[Served]:
    with start("serve", bundle, "--port", "0", "--quiet", *options, stderr=stderr) as process:
        address = process.stdout.readline().strip()
        assert address
        with mmrec.Client(address, timeout=60) as client:
            yield Served(process, address, client)
        process.send_signal(end)
        process.wait(60)


class Asking:
    """Somebody who asks all the while; what went wrong, and which versions of the catalogue the replies named."""

    def __init__(self, client: mmrec.Client) -> None:
        self._client = client
        self._done = threading.Event()
        self.failed: list[Exception] = []
        self.versions: list[str] = []
        self.items: list[tuple[str, int]] = []
        self._thread = threading.Thread(target=self._main)

    def __enter__(self) -> "Asking":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _main(self) -> None:
        while not self._done.is_set():
            try:
                found = self._client.recommend([], k=200)
                self.items.append((found.versions.catalogue, len(found.items)))
                self.versions.append(found.versions.catalogue)
            except Exception as err:
                self.failed.append(err)
            # A version is tried at a low priority, beside these.
            time.sleep(0.03)


def wait_until(true: Callable[[], bool], what: str) -> None:
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < LIMIT_S, what
        time.sleep(0.02)


def test_a_server_folds_by_itself_while_requests_go_on(root: Path, tmp_path: Path) -> None:
    store, fitted = tmp_path / "store", current_version(root)
    base = open_bundle(root).manifest.versions.catalogue
    options = ("--store", str(store), "--fold-after", "5", "--keep-versions", "1")
    acknowledged = 0
    with served(root, *options, end=signal.SIGKILL) as server, Asking(server.client) as asking:
        server.client.delete_items(["p0001"])
        while current_version(root) == fitted or acknowledged < 20:
            server.client.upsert_items([ItemInput(f"n{acknowledged}", title=f"Quartz lamp {acknowledged}")])
            acknowledged += 1
            time.sleep(0.05)
            assert acknowledged < 2000
        with SqliteChangeReader(StoreFolder(store)) as reader:
            wait_until(lambda: reader.state().folded >= 5, "the version with the changes is served")
            state = reader.state()
        last = server.client.upsert_items([ItemInput("z", title="Quartz lamp")], wait_until_visible=True).versions
        assert last.catalogue == f"{base}+{acknowledged + 2}"
        found = server.client.recommend([], k=1000)
        assert (len(found.items), found.versions) == (60 - 1 + acknowledged + 1, last)
        assert server.client.items(["p0001", "n0", "z"]).missing_ids == ("p0001",)
    assert asking.failed == []
    # Every reply is from one state: as many items as its version has, and versions never go back.
    numbers = [int(version.removeprefix(base).removeprefix("+") or 0) for version in asking.versions]
    assert numbers == sorted(numbers)
    expected = {base: 60} | {f"{base}+{n}": 59 + n - 1 for n in range(1, acknowledged + 3)}
    assert {entry for entry in asking.items if entry[1] < 200 and expected[entry[0]] != entry[1]} == set()

    # Killed, it goes on with the new version and what came after it.
    assert state.base.startswith(f"{base}+")
    # The version before stays, for a way back.
    assert 2 <= len(list((root / "versions").iterdir())) <= 3
    assert open_bundle(root).manifest.versions.catalogue.startswith(f"{base}+")
    engine = mmrec.Recommender.load(root, device="cpu")
    changes = CatalogueChanges(engine, open_store(store, engine.bundle))
    changes.replay()
    changes.close()
    assert engine.info().versions == last
    assert set(engine.recommend([], k=1000).item_ids) == set(found.item_ids)


def test_a_signal_has_the_server_go_on_with_the_version_that_is_current(root: Path, tmp_path: Path) -> None:
    fitted = open_bundle(root).manifest.versions
    store = tmp_path / "store"
    with (
        served(root, "--store", str(store), "--trial-seconds", "0") as server,
        Asking(server.client) as asking,
    ):
        server.client.upsert_items([ItemInput("n0", title="Quartz lamp")])
        server.client.upsert_items([ItemInput("p0002", title="Quartz table")], fields=["title"])
        description = server.client.items(["p0002"]).items[0].description
        server.client.delete_items(["p0003"])
        # Made elsewhere of the same dataset, with an item more; what was recorded is brought into it.
        other = mmrec.Recommender.load(root, device="cpu")
        other.upsert_items([ItemInput("elsewhere", title="Oak desk")])
        with BundleWriter(root, preset="p", name="anew") as writer:
            other.publish(writer, catalogue="other", folded={})
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.client.info().name == "anew", "the version that is current is served")
        assert server.client.info().versions.catalogue == "other+3"
        lookup = server.client.items(["n0", "p0002", "p0003", "elsewhere"])
        assert [item.title for item in lookup.items] == ["Quartz lamp", "Quartz table", "Oak desk"]
        assert lookup.items[1].description == description != ""
        # One of other codebooks: what was looked up before the change can be looked up after it.
        path = server.client.semantic_ids(["p0002"]).entries[0].semantic_id
        source = open_bundle(root)
        with BundleWriter(root, preset="p", name="again") as writer:
            for name in source.manifest.files:
                shutil.copyfile(source.path(name), writer.path(name))
            writer.commit(versions=replace(source.manifest.versions, codebook="b2"), parameters={})
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.client.info().name == "again", "the next version is served")
        assert server.client.info().codebook_versions == ("b2", fitted.codebook)
        server.client.upsert_items([ItemInput("n2", title="Quartz lamp")], wait_until_visible=True)
        found = server.client.semantic_ids(["p0002", "n2"], codebook_version=fitted.codebook)
        assert (found.entries[0].semantic_id, found.versions.codebook) == (path, fitted.codebook)
        assert isinstance(found.entries[1].error, NotFoundError)
        resolved = server.client.resolve_semantic_ids([path], codebook_version=fitted.codebook)
        assert [item.item_id for item in resolved.entries[0].items] == ["p0002"]
        with pytest.raises(FailedPreconditionError, match=f"b2, {fitted.codebook}|{fitted.codebook}, b2"):
            server.client.semantic_ids(["p0002"], codebook_version="b3")
        # A damaged version changes nothing.
        (root / "CURRENT").write_text("20260131T093000Z-0123456789ab\n")
        server.process.send_signal(signal.SIGHUP)
        done = server.client.upsert_items([ItemInput("n1", title="Quartz lamp")], wait_until_visible=True)
        assert done.versions.catalogue == "other+5"
        (root / "CURRENT").write_text(f"{other_version(root, fitted.catalogue)}\n")
    assert asking.failed == []
    assert asking.versions[0].startswith(fitted.catalogue)
    assert asking.versions[-1].startswith("other")


def other_version(root: Path, catalogue: str) -> str:
    """The version beside that of a catalogue."""
    return next(
        path.name
        for path in (root / "versions").iterdir()
        if open_bundle(path).manifest.versions.catalogue != catalogue
    )


def test_a_version_that_ends_the_process_that_tries_it_is_not_served(root: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    other = mmrec.Recommender.load(root, device="cpu")
    before = other.info().versions.catalogue
    with served(root, stderr=log) as server, Asking(server.client) as asking:
        with BundleWriter(root, preset="p", name="anew") as writer:
            other.publish(writer, catalogue="other", folded={})
        server.process.send_signal(signal.SIGHUP)
        # As if a library that reads bundles had a fault.
        wait_until(lambda: children(server.process.pid) != [], "the version is tried")
        (trial,) = children(server.process.pid)
        os.kill(trial, signal.SIGSEGV)
        wait_until(lambda: "is not served" in log.read_text(), "it is refused")
        refused = f"version {current_version(root)} was tried in a process of its own and is not served: "
        assert refused + "the process was ended by SIGSEGV" in log.read_text()
        assert server.client.info().versions.catalogue == before
        # It is tried again when it is asked for.
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: asking.versions[-1] == "other", "the version is served")
        assert children(server.process.pid) == []
    assert asking.failed == []
    assert asking.versions[0] == before


def children(pid: int) -> list[int]:
    """Processes that a process has started and that have not ended."""
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def test_a_server_without_a_store_watches_for_versions(root: Path) -> None:
    config = ServerConfig(port=0, watch=True, housekeeping_s=0.05, trial_s=None)
    other = mmrec.Recommender.load(root, device="cpu")
    with (
        BackgroundServer(lambda: mmrec.Recommender.load(root, device="cpu"), config) as server,
        mmrec.Client(server.target) as client,
    ):
        assert client.info().versions == other.info().versions
        with BundleWriter(root, preset="p", name="anew") as writer:
            other.publish(writer, catalogue="other", folded={})
        wait_until(lambda: client.info().versions.catalogue == "other", "the new version is served")
        assert client.info().codebook_versions == (other.info().versions.codebook,)


def test_a_version_that_cannot_be_loaded_is_told_by_health_info_and_metrics(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted = current_version(root)
    config = ServerConfig(port=0, watch=True, housekeeping_s=0.05, trial_s=None, metrics_port=0)
    with (
        BackgroundServer(lambda: mmrec.Recommender.load(root, device="cpu"), config) as server,
        mmrec.Client(server.target) as client,
    ):
        assert client.info().refused_bundle is None
        assert (health(server.target, "mmrec.bundle"), metric(server)) == ("SERVING", 0.0)
        begun = time.time()
        damaged = Path(shutil.copytree(root / "versions" / fitted, root / "versions" / DAMAGED))
        (damaged / "manifest.json").write_text("{")
        (root / "CURRENT").write_text(f"{DAMAGED}\n")
        wait_until(lambda: client.info().refused_bundle is not None, "it is told")
        refused = client.info().refused_bundle
        assert refused is not None
        assert refused.version == DAMAGED
        assert "(see the log)" in refused.reason
        assert str(root) not in refused.reason
        assert begun <= refused.time <= time.time()
        wait_until(lambda: health(server.target, "mmrec.bundle") == "NOT_SERVING", "health tells it")
        assert (health(server.target), metric(server)) == ("SERVING", 1.0)
        told = run_here(["info", "--server", server.target], capsys).stdout
        assert " 20260131T093000Z-0123456789ab at 2" in told
        assert (
            "could not be loaded; mmrec info tells why"
            in run_here(["top", server.metrics_address, "--once"], capsys).stdout
        )
        # Back at the one that is served.
        (root / "CURRENT").write_text(f"{fitted}\n")
        wait_until(lambda: health(server.target, "mmrec.bundle") == "SERVING", "it is over")
        assert (client.info().refused_bundle, metric(server)) == (None, 0.0)


def test_front_ends_tell_of_a_version_that_cannot_be_loaded(root: Path) -> None:
    with served(root, "--front-ends", "1", "--trial-seconds", "0") as server:
        (root / "CURRENT").write_text("20260131T093000Z-0123456789ab\n")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: health(server.address, "mmrec.bundle") == "NOT_SERVING", "health tells it")
        assert health(server.address) == "SERVING"


def refused_version(client: mmrec.Client) -> str | None:
    refused = client.info().refused_bundle
    return None if refused is None else refused.version


def health(target: str, service: str = "") -> str:
    with grpc.insecure_channel(target) as channel:
        reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status))


def metric(server: BackgroundServer) -> float:
    return next(iter(read_metrics(server.metrics_address).values["mmrec_bundle_refused"].values()))


def test_a_server_goes_back_to_the_version_before_with_all_that_was_recorded(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, fitted = tmp_path / "store", current_version(root)
    base = open_bundle(root).manifest.versions.catalogue
    options = ("--store", str(store), "--fold-after", "3", "--keep-versions", "1", "--trial-seconds", "0")
    ids = ["n1", "n2", "n3"]
    with served(root, *options, end=signal.SIGKILL) as server, Asking(server.client) as asking:
        server.client.delete_items(["p0001"])
        server.client.upsert_items([ItemInput(name, title="Quartz lamp") for name in ids])
        wait_until(lambda: current_version(root) != fitted, "the changes are compacted")
        with SqliteChangeReader(StoreFolder(store)) as reader:
            wait_until(lambda: reader.state().base == f"{base}+4", "the version is served")
            assert (reader.state().dropped, reader.state().previous) == (0, base)
        folded = current_version(root)
        server.client.upsert_items([ItemInput("n4", title="Quartz lamp")], wait_until_visible=True)
        done = run_here(["rollback", root, "--store", store, "--json"], capsys)
        assert json.loads(done.stdout) == {"version": fitted, "before": folded}
        server.process.send_signal(signal.SIGHUP)
        with SqliteChangeReader(StoreFolder(store)) as reader:
            wait_until(lambda: reader.state().base == base, "the version before is served")
        last = server.client.upsert_items([ItemInput("n5", title="Quartz lamp")], wait_until_visible=True).versions
        assert last.catalogue == f"{base}+6"
        found = server.client.items([*ids, "n4", "n5", "p0001"])
        assert (len(found.items), found.missing_ids) == (5, ("p0001",))
    assert asking.failed == []
    (root / "CURRENT").write_text(f"{fitted}\n")  # a compaction may have published a version meanwhile
    with served(root, "--store", str(store)) as server:
        assert server.client.info().versions.catalogue == f"{base}+6"
        assert server.client.items([*ids, "n4", "n5", "p0001"]).missing_ids == ("p0001",)


def test_a_version_too_far_back_for_the_store_is_refused(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = StoreFolder(tmp_path / "store")
    versions = [current_version(root)]
    for number in range(3):
        with open_store(place.folder, open_bundle(root)) as store:
            changes = CatalogueChanges(mmrec.Recommender.load(root, device="cpu"), store)
            changes.replay()
            changes.apply_many([UpsertRequest((ItemInput(f"n{number}", title="Quartz lamp"),))])
            changes.close()
        assert run_here(["fold", root, "--store", place.folder, "--quiet"], capsys).returncode == 0
        versions.append(current_version(root))
    refused = run_here(["rollback", root, "--store", place.folder, "--to", versions[1]], capsys)
    assert refused.returncode == 4
    assert "An older version than that of" in refused.stderr
    assert current_version(root) == versions[3]
    assert run_here(["rollback", root, "--store", place.folder], capsys).returncode == 0
    assert current_version(root) == versions[2]
    missing = run_here(["rollback", root, "--to", "20200101T000000Z-0123456789ab"], capsys)
    assert f"has no version '20200101T000000Z-0123456789ab'; there are: {', '.join(versions)}" in missing.stderr


def test_what_was_folded_for_a_server_that_was_killed_comes_before_the_next_folding(root: Path, tmp_path: Path) -> None:
    store, fitted = tmp_path / "store", current_version(root)
    base = open_bundle(root).manifest.versions.catalogue
    # It had announced and published, and did not get further: CURRENT is set back to what the next one has loaded.
    engine = mmrec.Recommender.load(root, device="cpu")
    changes = CatalogueChanges(engine, open_store(store, engine.bundle))
    changes.replay()
    changes.apply_many([UpsertRequest((ItemInput("n0", title="Quartz lamp"),))])
    assert fold(root, changes.store, changes.store.announce) is not None
    changes.close()
    folded = current_version(root)
    (root / "CURRENT").write_text(f"{fitted}\n")
    config = ServerConfig(port=0, store=store, fold_every_s=0.05, housekeeping_s=0.05)
    with (
        BackgroundServer(lambda: mmrec.Recommender.load(root, device="cpu"), config) as server,
        mmrec.Client(server.target) as client,
    ):
        (root / "CURRENT").write_text(f"{folded}\n")
        client.upsert_items([ItemInput("n1", title="Quartz lamp")], wait_until_visible=True)
        with SqliteChangeReader(StoreFolder(store)) as reader:
            wait_until(lambda: reader.state().base == f"{base}+2", "both are folded")
        assert client.items(["n0", "n1"]).missing_ids == ()
        assert client.info().versions.catalogue == f"{base}+2"


def test_pages_go_on_after_a_restart_on_a_store_that_was_tidied(root: Path, tmp_path: Path) -> None:
    def opened() -> tuple[mmrec.Recommender, CatalogueChanges]:
        engine = mmrec.Recommender.load(root, device="cpu")
        changes = CatalogueChanges(engine, open_store(tmp_path / "store", engine.bundle))
        changes.replay()
        return engine, changes

    engine, changes = opened()
    for item_id in ("na", "nb", "nc", "na", "nd"):
        changes.apply_many([UpsertRequest((ItemInput(item_id, "Quartz lamp"),), wait_until_visible=True)])
    condition = 'title = "Quartz lamp"'
    rows = engine.snapshot().parts.catalogue.item_ids[60:]
    listed = engine.list_items(condition, page_size=2)
    searched = engine.search("Quartz lamp", k=2, filter=condition)
    changes.store.compact(changes.store.position())
    changes.close()

    engine, changes = opened()
    # Of the changes of an item the last was kept, so the rows are others now.
    assert (list(rows), list(engine.snapshot().parts.catalogue.item_ids[60:])) == (
        ["na", "nb", "nc", "nd"],
        ["nb", "nc", "na", "nd"],
    )
    rest = engine.list_items(condition, page_token=listed.next_page_token)
    assert (listed.item_ids, rest.item_ids) == (("na", "nb"), ("nc", "nd"))
    found = engine.search("Quartz lamp", k=10, filter=condition, page_token=searched.next_page_token)
    assert sorted(searched.item_ids + found.item_ids) == ["na", "nb", "nc", "nd"]
    changes.close()


def test_a_store_is_tidied_while_it_is_served(root: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    config = ServerConfig(port=0, store=store, tidy_every_s=0.05, housekeeping_s=0.05)
    with (
        BackgroundServer(lambda: mmrec.Recommender.load(root, device="cpu"), config) as server,
        mmrec.Client(server.target) as client,
    ):
        for number in range(3):
            lamp = ItemInput("n", title=f"Quartz lamp {number}")
            client.upsert_items([lamp], request_id=f"r{number}", wait_until_visible=number == 2)

        def kept() -> int:
            with SqliteChangeReader(StoreFolder(store)) as reader:
                return sum(len(batch) for batch in reader.replay())

        wait_until(lambda: kept() == 1, "the last change of the item is kept")
        # What protects against doing the same twice is not forgotten.
        again = client.upsert_items([ItemInput("n", title="Quartz lamp 0")], request_id="r0", wait_until_visible=True)
        assert again.done == ("n",)
        assert client.items(["n"]).items[0].title == "Quartz lamp 2"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"fold_after": -1}, "fold_after"),
        ({"fold_after": 5, "store": None}, "fold_after"),
        ({"fold_every_s": 60.0, "store": None}, "fold_every_s"),
        ({"fold_every_s": 0.0}, "fold_every_s"),
        ({"keep_versions": -1}, "keep_versions"),
        ({"tidy_every_s": float("nan")}, "tidy_every_s"),
        ({"housekeeping_s": 0}, "housekeeping_s"),
        ({"trial_s": 0}, "trial_s"),
        ({"trial_s": float("nan")}, "trial_s"),
    ],
)
def test_housekeeping_that_cannot_be_done_is_refused_by_field(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        ServerConfig(**{"store": Path("changes"), **values})
    assert [violation.field for violation in refused.value.violations] == [field]


def test_a_single_version_is_served_and_not_folded(root: Path, tmp_path: Path) -> None:
    folder = open_bundle(root).folder
    config = ServerConfig(port=0, store=tmp_path / "store", fold_after=10)
    with (
        pytest.raises(FailedPreconditionError, match="serve the folder of all versions"),
        BackgroundServer(lambda: mmrec.Recommender.load(folder, device="cpu"), config),
    ):
        pass
