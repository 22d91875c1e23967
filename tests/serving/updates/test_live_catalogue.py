"""Changes of a catalogue, from the request to the store and the engine, and back after a kill."""

import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmrec.contract.changes import ChangeResults, DeleteRequest, UpsertRequest
from mmrec.contract.items import ItemFailure, ItemInput, ItemRecord
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, MmrecError, NotFoundError, UnavailableError
from mmrec_serving.change_log import SqliteChangeStore, StoreFolder
from mmrec_serving.updates.live_catalogue import CatalogueChanges
from tests.commands import run_program
from tests.serving.dict_engine import BASE, DictEngine


class Open:
    """An engine and its changes over a folder."""

    def __init__(self, folder: Path, engine: DictEngine | None = None) -> None:
        self.engine = engine or DictEngine("old", "kept")
        self.changes = CatalogueChanges(self.engine, SqliteChangeStore(StoreFolder(folder), BASE.catalogue))
        self.replayed = self.changes.replay()

    def upsert(self, *items: ItemInput | ItemFailure, **named: object) -> ChangeResults | MmrecError:
        return self.changes.apply_many([UpsertRequest(items, **named)])[0]  # type: ignore[arg-type]

    def delete(self, *item_ids: str, **named: object) -> ChangeResults | MmrecError:
        return self.changes.apply_many([DeleteRequest(item_ids, **named)])[0]  # type: ignore[arg-type]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Open]:
    opened = Open(tmp_path)
    yield opened
    opened.engine.hold.set()
    opened.changes.close()


def items_of(folder: Path) -> dict[str, ItemRecord]:
    opened = Open(folder)
    opened.changes.close()
    return opened.engine.items


def errors(results: ChangeResults | MmrecError) -> list[type | None]:
    assert isinstance(results, ChangeResults)
    return [entry.error and type(entry.error) for entry in results.entries]


def test_what_was_acknowledged_is_there_at_the_next_start_without_an_encoder(live: Open, tmp_path: Path) -> None:
    unread = ItemFailure("", InvalidArgumentError("no picture", field="image"))
    found = live.upsert(ItemInput("a", title="one"), ItemInput("b", title="bad"), unread, wait_until_visible=True)
    assert errors(found) == [None, InvalidArgumentError, InvalidArgumentError]
    assert isinstance(found, ChangeResults)
    assert [entry.id for entry in found.entries] == ["a", "b", ""]
    assert found.versions.catalogue == live.engine.versions.catalogue == "c+1"
    assert errors(live.delete("old", "ghost", "a")) == [None, NotFoundError, None]
    assert set(live.engine.items) == {"kept"}
    live.upsert(ItemInput("c", title="three"), wait_until_visible=True)
    live.changes.close()

    again = Open(tmp_path)
    assert (set(again.engine.items), again.engine.items["c"].title) == ({"kept", "c"}, "three")
    assert (again.replayed, again.engine.encoded, again.engine.versions.catalogue) == (4, 0, "c+4")
    again.changes.close()
    # Other encoders cannot use what was kept.
    other = Open(tmp_path, DictEngine("old", "kept", encoder_version="e2"))
    assert set(other.engine.items) == {"kept", "c"}
    assert other.engine.encoded == 1  # what went is not encoded for it
    other.changes.close()


def test_a_request_that_comes_twice_changes_nothing_again(live: Open) -> None:
    first = live.upsert(ItemInput("a", title="one"), request_id="r", wait_until_visible=True)
    live.delete("a")
    assert live.upsert(ItemInput("a", title="one"), request_id="r", wait_until_visible=True) == first
    assert "a" not in live.engine.items
    refused = live.upsert(ItemInput("a", title="two"), request_id="r")
    assert isinstance(refused, FailedPreconditionError)
    assert isinstance(live.delete("kept", request_id="r"), FailedPreconditionError)
    gone = live.delete("old", request_id="s")
    live.upsert(ItemInput("old", title="back"), wait_until_visible=True)
    assert live.delete("old", request_id="s") == gone
    assert "old" in live.engine.items


def test_checking_alone_changes_nothing(live: Open) -> None:
    assert errors(live.upsert(ItemInput("a", title="one"), ItemInput("b", title="bad"), validate_only=True)) == [
        None,
        InvalidArgumentError,
    ]
    assert errors(live.delete("old", "ghost", validate_only=True)) == [None, NotFoundError]
    assert (set(live.engine.items), live.engine.changes) == ({"old", "kept"}, [])


def test_an_answer_comes_when_changes_are_durable_and_they_gather_meanwhile(live: Open, tmp_path: Path) -> None:
    live.engine.hold.clear()
    for number in range(5):
        live.upsert(ItemInput("a", title=f"{number}"), ItemInput(f"b{number}", title="b"))
    assert "a" not in live.engine.items
    waiting: list[ChangeResults | MmrecError] = []
    thread = threading.Thread(target=lambda: waiting.append(live.delete("a")))
    thread.start()
    live.engine.hold.set()
    thread.join()
    # The item that was acknowledged a moment ago was known by then.
    assert errors(waiting[0]) == [None]
    assert set(live.engine.items) == {"old", "kept", *(f"b{number}" for number in range(5))}
    assert len(live.engine.changes) < 6


def test_the_last_items_stay(live: Open) -> None:
    refused = live.delete("old", "kept")
    assert isinstance(refused, FailedPreconditionError)
    assert "at least one must be left" in refused.message
    assert set(live.engine.items) == {"old", "kept"}


def test_where_changes_cannot_be_applied_no_more_are_taken_on(live: Open, tmp_path: Path) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("out of order")

    live.engine.change = broken  # type: ignore[method-assign,assignment]
    for found in (
        live.upsert(ItemInput("a", title="one"), wait_until_visible=True),
        live.upsert(ItemInput("b", title="two")),
        live.delete("old"),
    ):
        assert isinstance(found, UnavailableError)
        assert re.search(r"takes on no more changes: after change 0, .* \(internal error \w+\)", found.message)
        assert "comes in when the server is started again" in found.message
    live.changes.close()
    again = Open(tmp_path)
    assert set(again.engine.items) == {"old", "kept", "a"}
    again.changes.close()


PLACES = [
    (place, nth) for place in ("before-record", "after-record", "before-apply", "after-apply") for nth in (1, 2, 3)
]


@pytest.mark.parametrize(("where", "nth"), PLACES)
def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path, where: str, nth: int) -> None:
    script = Path(__file__).parent / "change_and_die.py"
    died = run_program(script, tmp_path / "store", where, nth)
    told = died.stdout.split()
    if "end" in told:
        # Requests that gather are applied at once, so there may be fewer than three.
        assert (died.returncode, where in ("before-apply", "after-apply")) == (0, True)
    else:
        assert died.returncode == -signal.SIGKILL, died.stderr
    found = items_of(tmp_path / "store")
    if "new" in told:
        assert "new" in found
    if "gone" in told:
        assert "old" not in found
    if "newer" in told:
        assert found["new"].title == "second"
    assert "kept" in found
    assert "other" not in found
    # The same requests once more: what was done is not done again, and the rest is.
    done = run_program(script, tmp_path / "store", "none", 1)
    assert done.stdout.split() == ["new", "gone", "newer", "end"], done.stderr
    found = items_of(tmp_path / "store")
    assert {item_id: record.title for item_id, record in found.items()} == {"kept": "", "new": "second"}
