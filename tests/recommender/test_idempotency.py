"""Changes that come twice are made once."""

from __future__ import annotations

import pytest

from mmrec.contract.changes import ChangeEntry, ChangeResults, DeleteRequest, UpsertRequest
from mmrec.contract.items import ItemInput, Versions
from mmrec.errors import FailedPreconditionError
from mmrec.recommender import idempotency as remembering
from mmrec.recommender.idempotency import MadeChanges


class Made:
    """Makes changes, each with a version of its own."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, request: UpsertRequest | DeleteRequest) -> ChangeResults:
        self.count += 1
        entries = tuple(ChangeEntry(item_id) for item_id in getattr(request, "item_ids", ("a",)))
        return ChangeResults(entries, Versions(catalogue=f"c{self.count}"), request.request_id)


@pytest.fixture
def make() -> Made:
    return Made()


def test_a_change_that_comes_again_gets_the_first_reply(make: Made) -> None:
    made = MadeChanges()
    first = made.once(UpsertRequest((ItemInput("a", "hat"),), "one"), make)
    again = made.once(UpsertRequest((ItemInput("a", "hat"),), "one", wait_until_visible=True), make)
    assert (again, make.count) == (first, 1)


def test_other_content_under_the_same_id_is_refused(make: Made) -> None:
    made = MadeChanges()
    made.once(UpsertRequest((ItemInput("a", "hat"),), "one"), make)
    with pytest.raises(FailedPreconditionError, match="'one', under which another change was made"):
        made.once(UpsertRequest((ItemInput("a", "shoe"),), "one"), make)
    with pytest.raises(FailedPreconditionError, match="give every change an id of its own"):
        made.once(DeleteRequest(("a",), "one"), make)
    assert make.count == 1


def test_without_an_id_and_when_only_checked_nothing_is_remembered(make: Made) -> None:
    made = MadeChanges()
    for _ in range(2):
        made.once(DeleteRequest(("a",)), make)
        made.once(DeleteRequest(("a",), "one", validate_only=True), make)
    assert (make.count, len(made)) == (4, 0)
    made.once(DeleteRequest(("b",), "one"), make)
    made.once(DeleteRequest(("c",), "one", validate_only=True), make)
    assert (make.count, len(made)) == (6, 1)


def test_what_failed_as_a_whole_may_be_tried_again(make: Made) -> None:
    made = MadeChanges()

    def fail(request: DeleteRequest) -> ChangeResults:
        raise FailedPreconditionError("no item would be left")

    with pytest.raises(FailedPreconditionError, match="no item"):
        made.once(DeleteRequest(("a",), "one"), fail)
    assert made.once(DeleteRequest(("b",), "one"), make).versions.catalogue == "c1"


def test_the_oldest_are_forgotten(make: Made) -> None:
    made = MadeChanges(most=2)
    for name in ("one", "two", "three"):
        made.once(DeleteRequest(("a",), name), make)
    assert len(made) == 2
    assert made.once(DeleteRequest(("a",), "two"), make).versions.catalogue == "c2"
    assert made.once(DeleteRequest(("a",), "one"), make).versions.catalogue == "c4"


def test_large_replies_are_kept_in_smaller_number(make: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembering, "MOST_ENTRIES", 10)
    made = MadeChanges()
    for name in ("one", "two", "three"):
        made.once(DeleteRequest(tuple("abcd"), name), make)
    assert len(made) == 2
    made.once(DeleteRequest(("a",) * 20, "huge"), make)
    assert len(made) == 1
    assert made.once(DeleteRequest(("a",) * 20, "huge"), make).versions.catalogue == "c4"
