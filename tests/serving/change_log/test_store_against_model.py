"""Any sequence of calls, with the store opened again in between, against the plain Python model."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mmrec.errors import FailedPreconditionError, InvalidArgumentError
from mmrec_serving.change_log import ChangeStore, Delete, Recorded, RecordedRequest
from tests.serving.change_log.conftest import StoresIn
from tests.serving.change_log.model import Items, applied, item_ids, upserts

DAY = timedelta(hours=24)


class AgainstTheModel(RuleBasedStateMachine):
    def __init__(self, stores_in: StoresIn) -> None:
        super().__init__()
        memory = Path("/dev/shm")  # hundreds of commits
        self.folder = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))
        self.stores = stores_in(self.folder)
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.states: list[Items] = [{}]  # the items after each change, that of the base as c0 is first
        self.requests: dict[str, tuple[RecordedRequest, datetime]] = {}
        self.base, self.folded, self.dropped = "c0", 0, 0
        self.successor: tuple[str, int] | None = None
        self.bases = 0

    @initialize()
    def make(self) -> None:
        self.store = self.opened("c0")

    def opened(self, base: str) -> ChangeStore:
        return self.stores.open(base, clock=lambda: self.now)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @rule(
        request_id=st.sampled_from(["", "", "r1", "r2", "r3"]),
        digest=st.sampled_from([b"1", b"2"]),
        changes=st.lists(upserts(), max_size=4) | st.lists(item_ids.map(Delete), max_size=3),
        reply=st.binary(max_size=3),
    )
    def record(self, request_id: str, digest: bytes, changes: list[Any], reply: bytes) -> None:
        known = self.requests.get(request_id)
        if known is not None and self.now - known[1] <= DAY:
            assert self.store.find(request_id) == known[0]
            with pytest.raises(FailedPreconditionError, match="was recorded at"):
                self.store.record(request_id, digest, changes, reply)
            return
        assert self.store.find(request_id) is None
        position = len(self.states) - 1
        expected = Recorded(position + 1, position + len(changes))
        assert self.store.record(request_id, digest, changes, reply) == expected
        for change in changes:
            self.states.append(applied(self.states[-1], [change]))
        if request_id:
            self.requests[request_id] = (RecordedRequest(digest, expected.last, reply), self.now)

    @rule(hours=st.sampled_from([1, 12, 25]))
    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(ago=st.integers(-10, 60))
    def forget(self, ago: int) -> None:
        before = min(self.now - timedelta(hours=ago), self.now - DAY)
        old = [name for name, known in self.requests.items() if known[1] < before]
        assert self.store.forget(self.now - timedelta(hours=ago)) == len(old)
        for name in old:
            del self.requests[name]

    @rule(share=st.floats(0, 1))
    def compact(self, share: float) -> None:
        self.store.compact(round(share * (len(self.states) - 1)))

    @rule(share=st.floats(0, 1), announced=st.booleans())
    def another_base(self, share: float, announced: bool) -> None:
        position = len(self.states) - 1
        upto = self.folded + round(share * (position - self.folded))
        self.bases += 1
        name = f"c{self.bases}"
        if announced:
            self.store.announce(name, upto)
            self.successor = (name, upto)
        else:
            self.store.rebase(name, upto)
            self.base, self.folded, self.successor = name, upto, None

    @rule(share=st.floats(0, 1.2))
    def drop(self, share: float) -> None:
        upto = round(share * self.folded)
        if upto > self.folded:
            with pytest.raises(FailedPreconditionError, match="call rebase"):
                self.store.drop_folded(upto)
            return
        self.store.drop_folded(upto)
        self.dropped = max(self.dropped, upto)
        if self.dropped > 0:
            with pytest.raises(InvalidArgumentError, match="was dropped"):
                self.store.rebase("older", self.dropped - 1)

    @rule()
    def open_again(self) -> None:
        self.store.close()
        with pytest.raises(FailedPreconditionError, match="Nothing is lost"):
            self.opened("another")
        self.store = self.opened(self.base)

    @precondition(lambda self: self.successor is not None)
    @rule()
    def open_for_the_successor(self) -> None:
        self.store.close()
        assert self.successor is not None
        (self.base, self.folded), self.successor = self.successor, None
        self.store = self.opened(self.base)

    @rule(share=st.floats(0, 1), batch=st.integers(1, 4))
    def replay(self, share: float, batch: int) -> None:
        after = round(share * (len(self.states) - 1))
        # Whoever has the base alone has what it holds.
        have = self.states[max(after, self.folded)]
        with self.stores.read(self.base) as reader:
            for source in (self.store, reader):
                batches = list(source.replay(after, batch))
                numbers = [entry.sequence for entries in batches for entry in entries]
                assert numbers == sorted(set(numbers))
                assert all(1 <= len(entries) <= batch for entries in batches)
                changes = [entry.change for entries in batches for entry in entries]
                assert applied(have, changes) == self.states[-1]

    @invariant()
    def stands_where_the_model_stands(self) -> None:
        state = self.store.state()
        assert (state.base, state.position, state.folded, state.dropped) == (
            self.base,
            len(self.states) - 1,
            self.folded,
            self.dropped,
        )
        assert (state.successor, state.successor_holds) == (self.successor or ("", 0))


def test_any_sequence_of_calls_leaves_what_the_model_says(stores_in: StoresIn, request: pytest.FixtureRequest) -> None:
    # A reader of a PostgreSQL needs a connection each time, which is a process.
    most = 6 if "postgres" in request.node.name else 25
    limits = settings(max_examples=most, stateful_step_count=25, deadline=None)
    run_state_machine_as_test(lambda: AgainstTheModel(stores_in), settings=limits)
