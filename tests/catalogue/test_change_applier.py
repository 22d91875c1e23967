"""Changes from the request to the catalogue, by an engine of dictionaries, with replies kept in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mmrec.catalogue.change_applier import (
    CatalogueChange,
    ChangeApplier,
    EncodeResult,
    IdempotencyCache,
    MemoryLog,
    apply_changes,
)
from mmrec.contract.changes import ChangeEntry, ChangeResults, DeleteRequest, UpsertRequest
from mmrec.contract.items import ItemFailure, ItemInput, ItemRecord, Versions
from mmrec.errors import CancelledError, FailedPreconditionError, InvalidArgumentError, MmrecError, NotFoundError
from mmrec.runtime.background import between_steps, until_cancelled
from tests.serving.dict_engine import DictEngine, RecordItems

Request = UpsertRequest | DeleteRequest


class Catalogue:
    def __init__(self, engine: DictEngine | None = None) -> None:
        self.engine = engine or DictEngine("old", "kept")
        self.applier = ChangeApplier(self.engine, MemoryLog(self.engine))

    def __call__(self, request: Request) -> ChangeResults | MmrecError:
        return self.applier.apply_many([request])[0]

    def done(self, request: Request) -> ChangeResults:
        results = self(request)
        assert isinstance(results, ChangeResults)
        return results


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue()


def upsert(title: str, request_id: str = "one", **more: bool) -> UpsertRequest:
    return UpsertRequest((ItemInput("a", title),), request_id, **more)


# --- requests -----------------------------------------------------------------------------------------------


def test_each_item_has_a_result_of_its_own_and_the_good_ones_are_applied(catalogue: Catalogue) -> None:
    unread = ItemFailure("", InvalidArgumentError("no picture", field="image"))
    results = catalogue.done(UpsertRequest((ItemInput("a", "hat"), ItemInput("b", "bad"), unread), "one"))
    assert [(entry.id, type(entry.error)) for entry in results.entries] == [
        ("a", type(None)),
        ("b", InvalidArgumentError),
        ("", InvalidArgumentError),
    ]
    assert (results.versions.catalogue, results.request_id) == ("c+1", "one")
    assert set(catalogue.engine.items) == {"old", "kept", "a"}
    results = catalogue.done(DeleteRequest(("old", "ghost")))
    assert [type(entry.error) for entry in results.entries] == [type(None), NotFoundError]
    assert "has no item 'ghost'; it holds 3 items" in str(results.entries[1].error)
    assert (results.versions.catalogue, set(catalogue.engine.items)) == ("c+2", {"kept", "a"})


def test_a_call_that_is_cancelled_before_it_is_recorded_is_dropped(catalogue: Catalogue) -> None:
    with until_cancelled(lambda: True):
        assert isinstance(catalogue(upsert("hat")), CancelledError)
    assert catalogue.engine.encoded == 0
    with until_cancelled(lambda: catalogue.engine.encoded == 1):
        assert isinstance(catalogue(upsert("hat")), CancelledError)
    assert set(catalogue.engine.items) == {"old", "kept"}
    # Sent again under the same id, it is made.
    assert catalogue.done(upsert("hat")).versions.catalogue == "c+1"


def test_a_call_that_is_cancelled_after_it_was_recorded_stays() -> None:
    class Steps(DictEngine):
        def change(self, *args: Any, **named: Any) -> Versions:
            begun.set()
            between_steps()
            return super().change(*args, **named)

    begun, engine = threading.Event(), Steps("old")
    with until_cancelled(begun.is_set):
        (found,) = ChangeApplier(engine, MemoryLog(engine)).apply_many([upsert("hat")])
    assert isinstance(found, ChangeResults)
    assert set(engine.items) == {"old", "a"}


def test_checking_alone_changes_nothing(catalogue: Catalogue) -> None:
    assert catalogue.done(upsert("hat", validate_only=True)).versions.catalogue == "c"
    assert catalogue.done(DeleteRequest(("old",), validate_only=True)).refused == ()
    refused = catalogue(DeleteRequest(("old", "kept"), validate_only=True))
    assert isinstance(refused, FailedPreconditionError)
    assert (set(catalogue.engine.items), catalogue.engine.changes) == ({"old", "kept"}, [])


# --- requests that are sent again ---------------------------------------------------------------------------


def test_a_request_that_is_sent_again_gets_the_first_reply_and_is_not_encoded(catalogue: Catalogue) -> None:
    first = catalogue(upsert("hat"))
    catalogue(DeleteRequest(("a",)))
    assert catalogue(upsert("hat", wait_until_visible=True)) == first
    assert (catalogue.engine.encoded, "a" in catalogue.engine.items) == (1, False)


def test_other_content_under_the_same_id_is_refused(catalogue: Catalogue) -> None:
    catalogue(upsert("hat"))
    for other in (upsert("shoe"), DeleteRequest(("a",), "one")):
        refused = catalogue(other)
        assert isinstance(refused, FailedPreconditionError)
        assert "request_id is 'one', under which another change was made before; give every change an id of its" in str(
            refused
        )
    assert catalogue.engine.changes == ["c+1"]


def test_without_an_id_and_when_only_checked_nothing_is_remembered(catalogue: Catalogue) -> None:
    for number in range(2):
        catalogue(upsert("hat", "one", validate_only=True))
        assert catalogue.done(upsert("hat", "")).versions.catalogue == f"c+{number + 1}"
    assert catalogue.done(upsert("shoe", "one")).versions.catalogue == "c+3"
    assert catalogue.done(upsert("hat", "one", validate_only=True)).versions.catalogue == "c+3"


def test_what_failed_as_a_whole_may_be_tried_again(catalogue: Catalogue) -> None:
    assert isinstance(catalogue(DeleteRequest(("old", "kept"), "one")), FailedPreconditionError)
    assert catalogue.done(DeleteRequest(("old",), "one")).done == ("old",)


# --- several threads ----------------------------------------------------------------------------------------


class Held(DictEngine):
    """Items titled ``slow`` are encoded when it is let go on."""

    def __init__(self) -> None:
        super().__init__("old", "kept")
        self.entered, self.go_on = threading.Event(), threading.Event()

    def encode_items(self, items: Sequence[ItemInput], fields: Sequence[str] = ()) -> EncodeResult[RecordItems]:
        found = super().encode_items(items, fields)
        if items[0].title == "slow":
            self.entered.set()
            assert self.go_on.wait(60)
        return found


@pytest.fixture
def held() -> Iterator[Held]:
    engine = Held()
    yield engine
    engine.go_on.set()


def test_changes_are_made_while_another_thread_encodes(held: Held) -> None:
    catalogue = Catalogue(held)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(catalogue.done, upsert("slow", "two"))
        assert held.entered.wait(60)
        assert catalogue.done(upsert("hat")).versions.catalogue == "c+1"
        assert catalogue.done(DeleteRequest(("old",))).versions.catalogue == "c+2"
        held.go_on.set()
        assert slow.result(60).versions.catalogue == "c+3"
    assert held.changes == ["c+1", "c+2", "c+3"]
    assert held.items["a"].title == "slow"


def test_two_calls_of_one_id_at_the_same_time_make_one_change(held: Held) -> None:
    catalogue = Catalogue(held)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(catalogue.done, upsert("slow")) for _ in range(2)]
        while held.encoded < 2:
            time.sleep(0.001)
        held.go_on.set()
        first, second = (call.result(60) for call in both)
    assert (first, held.changes) == (second, ["c+1"])


def test_what_was_encoded_for_an_engine_that_was_replaced_is_encoded_again(held: Held) -> None:
    catalogue = Catalogue(held)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(catalogue.done, upsert("slow"))
        assert held.entered.wait(60)
        with catalogue.applier.lock:
            catalogue.applier.replaced()
        held.go_on.set()
        assert slow.result(60).done == ("a",)
    assert (held.encoded, held.changes) == (2, ["c+1"])


def replies(*ids: str, entries: int = 1, **limits: int) -> list[bool]:
    """Which of these requests is found after all were added."""
    cache = IdempotencyCache(**limits)
    for request_id in ids:
        cache.add(DeleteRequest(("a",), request_id), ChangeResults((ChangeEntry("a"),) * entries))
    assert len(cache) <= len(ids)
    return [cache.find(DeleteRequest(("a",), request_id)) is not None for request_id in ids]


def test_the_oldest_replies_are_forgotten() -> None:
    assert replies("one", "two", "three", most=2) == [False, True, True]


def test_large_replies_are_kept_in_smaller_number() -> None:
    assert replies("one", "two", "three", entries=4, most_entries=10) == [False, True, True]
    assert replies("one", "huge", entries=20, most_entries=10) == [False, True]


# --- several changes at once --------------------------------------------------------------------------------


def items(**titles: str) -> RecordItems:
    return RecordItems(tuple(ItemRecord(item_id, title) for item_id, title in titles.items()))


def test_of_changes_that_are_applied_at_once_the_last_of_each_item_counts() -> None:
    engine = DictEngine("old", "kept")
    changes = [
        CatalogueChange(items(a="1", b="1", old="1")),
        CatalogueChange(None, ("a", "old")),
        CatalogueChange(items(b="2", c="2")),
        CatalogueChange(items(a="3")),
    ]
    assert apply_changes(engine, changes, "c+9").catalogue == "c+9"
    assert {item_id: record.title for item_id, record in engine.items.items()} == {
        "kept": "",
        "a": "3",
        "b": "2",
        "c": "2",
    }
    assert engine.changes == ["c+9"]
