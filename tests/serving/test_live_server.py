"""`mmrec serve --store`: what clients change is there after the server is killed, without any training."""

import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

import mmrec
from mmrec.catalogue.change_applier import EncodeResult
from mmrec.contract.items import ItemInput
from mmrec.errors import FailedPreconditionError, NotFoundError
from mmrec.recommender.encoded_items import EncodedItems
from mmrec_serving import BackgroundServer, ServerConfig
from tests.commands import start


@contextmanager
def served(bundle: Path, store: Path, *, end: int) -> Iterator[mmrec.Client]:
    """A client of a server process that is ended with the signal."""
    with start("serve", bundle, "--store", store, "--port", "0", "--quiet") as server:
        address = server.stdout.readline().strip()
        assert address
        with mmrec.Client(address, timeout=60) as client:
            yield client
        server.send_signal(end)
        server.wait(60)


def test_what_was_acknowledged_survives_a_kill(demo_bundle: Path, tmp_path: Path) -> None:
    store = tmp_path / "changes"
    new = [ItemInput(f"new-{number}", title=f"Quartz lamp number {number}") for number in range(3)]
    with served(demo_bundle, store, end=signal.SIGKILL) as client:
        history = client.list_items(page_size=3).items
        found = client.upsert_items([*new, ItemInput("bad", title="x", attributes={"warp": "9"})], request_id="first")
        assert found.done == ("new-0", "new-1", "new-2")
        assert [entry.id for entry in found.refused] == ["bad"]

    with served(demo_bundle, store, end=signal.SIGKILL) as client:
        again = client.upsert_items(
            [*new, ItemInput("bad", title="x", attributes={"warp": "9"})], request_id="first", wait_until_visible=True
        )
        assert (again.done, again.versions) == (found.done, found.versions)
        listed = client.recommend([item.item_id for item in history], filter='title : "quartz lamp"', k=10)
        assert sorted(listed.item_ids) == ["new-0", "new-1", "new-2"]
        assert listed.versions == found.versions
        assert client.search("quartz lamp number 1", k=1).item_ids == ("new-1",)
        gone = client.delete_items(["new-1", "ghost"])
        assert gone.done == ("new-1",)
        assert isinstance(gone.refused[0].error, NotFoundError)
        # Whoever is answered does not see it any more.
        assert "new-1" not in client.recommend([], k=100).item_ids

    with served(demo_bundle, store, end=signal.SIGTERM) as client:
        assert client.items(["new-0", "new-1", "new-2"]).missing_ids == ("new-1",)
        path = client.semantic_ids(["new-2"]).entries[0].semantic_id
        assert client.resolve_semantic_ids([path]).entries[0].items[0].item_id == "new-2"


def test_without_a_store_nothing_is_changed(demo_server: str) -> None:
    with mmrec.Client(demo_server, timeout=60) as client:
        with pytest.raises(FailedPreconditionError, match="mmrec serve BUNDLE --store FOLDER"):
            client.upsert_items([ItemInput("new", title="Quartz lamp")])
        with pytest.raises(FailedPreconditionError, match="keeps no changes"):
            client.delete_items(["p0001"])


class Waiting(mmrec.Recommender):
    """More than 32 items are encoded when it is let go on."""

    entered, go_on = threading.Event(), threading.Event()

    def encode_items(self, items: Sequence[ItemInput], fields: Sequence[str] = ()) -> EncodeResult[EncodedItems]:
        if len(items) > 32:
            self.entered.set()
            assert self.go_on.wait(60)
        return super().encode_items(items, fields)


def test_small_changes_do_not_wait_while_a_large_one_is_encoded(demo_bundle: Path, tmp_path: Path) -> None:
    config = ServerConfig(port=0, store=tmp_path / "changes")
    with (
        BackgroundServer(lambda: Waiting.load(demo_bundle, device="cpu"), config) as server,
        mmrec.Client(server.target, timeout=60) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        many = [ItemInput(f"many-{number}", title="Quartz lamp") for number in range(40)]
        large = pool.submit(client.upsert_items, many, wait_until_visible=True)
        assert Waiting.entered.wait(60)
        assert client.upsert_items([ItemInput("new", title="Quartz lamp")], wait_until_visible=True).done == ("new",)
        assert client.items(["new", "many-0"]).missing_ids == ("many-0",)
        assert client.delete_items(["new"]).done == ("new",)
        Waiting.go_on.set()
        assert len(large.result(60).done) == 40
        assert client.items(["new", "many-0"]).missing_ids == ("new",)
