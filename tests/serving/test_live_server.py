"""`mmrec serve --store`: what clients change is there after the server is killed, without any training."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import mmrec
from mmrec.contract.items import ItemInput
from mmrec.errors import FailedPreconditionError, NotFoundError
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
