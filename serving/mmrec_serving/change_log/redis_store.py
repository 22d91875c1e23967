"""The store of catalogue changes in a Redis, which any number of servers share.

Unit of work: one script, which Redis runs with nothing in between, and whose effect it appends to its file as one
transaction. Under the prefix of the place stand

    changes:log        a hash: the state of the store
    changes:rows       a hash: each change by its number
    changes:numbers    a sorted set: number and item of each change, in the order of the numbers
    changes:items      a sorted set: item, number and kind of each change, in the order of the items
    changes:requests   a hash: each request by its id
    changes:ages       a sorted set: the ids of requests, in the order of their time

Memory holds all of it, until changes are dropped that the base includes. Long work is split into short scripts, so that
requests can be recorded in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import astuple, fields
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple, Self

from mmrec_serving.change_log.bases import (
    BATCH,
    PAUSE_S,
    SLICE_CHANGES,
    SLICE_ITEMS,
    announced,
    check_base,
    checked_sequence,
    first_read,
    following,
    other_base,
    without_folded,
)
from mmrec_serving.change_log.changes import (
    Change,
    Recorded,
    RecordedRequest,
    Sequenced,
    StoreState,
    Upsert,
    compacted,
    effective,
)
from mmrec_serving.change_log.redis_rows import (
    LENGTH_CHARS,
    Member,
    digits,
    kind_of,
    pack_request,
    pack_row,
    unpack_request,
    unpack_row,
)
from mmrec_serving.change_log.redis_scripts import (
    CHANGED_SINCE,
    COMPACT,
    DROP,
    FORGET,
    READ,
    READ_ITEM,
    RECORD,
    RECORDED_BEFORE,
    SET_STATE,
    STATE,
)
from mmrec_serving.change_log.rows import (
    KEEP_REQUESTS,
    changed_meanwhile,
    from_microseconds,
    pack,
    recorded_before,
    to_microseconds,
    utc_now,
)
from mmrec_serving.change_log.rows import pack_request as checked_request
from mmrec_serving.redis_server import Database, RedisPlace, StoreKeys
from mmrec_serving.redis_server.database import Word, script

_KEYS = StoreKeys(name="store of catalogue changes", again="the same request id", kind="changes", version=1)
_SLICE_BYTES = 8 * 1024 * 1024
"""A batch, and a slice of compaction, end when they hold this many bytes: Redis does nothing else meanwhile."""
_READ_MEMBERS = 1000


class _Changes:
    """What reads the changes of an open database; see `RedisChangeReader`."""

    def __init__(self, database: Database, asked: str | None) -> None:
        self._database, self._asked = database, asked
        self._log, self._rows = database.key("log"), database.key("rows")
        self._numbers, self._items = database.key("numbers"), database.key("items")
        self._requests, self._ages = database.key("requests"), database.key("ages")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def base(self) -> str:
        """See `ChangeReader`."""
        return self.state().base if self._asked is None else self._asked

    def state(self) -> StoreState:
        """See `ChangeReader`."""
        (found,) = self._database.ask(("HMGET", self._log, *STATE))
        if found[0] is None:
            raise self._database.lost()
        return _state(found)

    def position(self) -> int:
        """See `ChangeReader`."""
        return self.state().position

    def replay(self, after: int = 0, batch: int = 1000) -> Iterator[Sequence[Sequenced]]:
        """See `ChangeReader`."""
        return self._batches(checked_sequence(after, "after"), BATCH.check(batch, "batch"))

    def close(self) -> None:
        """See `ChangeReader`."""
        self._database.close()

    def _batches(self, after: int, batch: int) -> Iterator[Sequence[Sequenced]]:
        while changes := self._batch(after, batch):
            yield changes
            after = changes[-1].sequence

    def _batch(self, after: int, batch: int) -> list[Sequenced]:
        start = after
        while True:
            keys = [self._log, self._rows, self._numbers]
            state, rows = self._database.run(READ, keys, [start, batch, _SLICE_BYTES])
            # Only the state that was read with the changes says after which number they must be read.
            needed = first_read(_state(state), self._asked, after, str(self._database))
            if needed == start:
                return [self._sequenced(int(number), row) for number, row in zip(rows[::2], rows[1::2], strict=True)]
            start = needed

    def _sequenced(self, number: int, row: bytes) -> Sequenced:
        try:
            return unpack_row(number, row)
        except ValueError as err:
            raise self._database.damaged(f"change {number}: {err}") from err


class RedisChangeReader(_Changes):
    """A `ChangeReader` of a store that exists. For any number of threads.

    Args:
        place: The database.
        base: Version of the catalogue that the caller has; None: the base of the store.

    Raises:
        NotFoundError: there is no store in the database.
        FailedPreconditionError: it is of another base or layout, or cannot be used.
        UnavailableError: it cannot be reached.
    """

    def __init__(self, place: RedisPlace, base: str | None = None) -> None:
        super().__init__(Database(place, _KEYS), base)
        with ExitStack() as stack:
            stack.callback(self.close)
            state = self.state()
            if base is not None and base not in (state.base, state.successor):
                raise other_base(str(self._database), base, state)
            stack.pop_all()


class RedisChangeStore(_Changes):
    """A `ChangeStore` that servers share. For any number of threads.

    Args:
        place: The database, where the store is made unless it is there.
        base: Version of the catalogue that the changes are made to. A base that was announced becomes the store's.
        clock: The time now, with a zone; for tests.

    Raises:
        InvalidArgumentError: `base` is empty.
        FailedPreconditionError: it extends another base, has the layout of a newer mmrec, or cannot be used.
        UnavailableError: it cannot be reached.
    """

    shared = True
    """See `ChangeStore`."""

    def __init__(self, place: RedisPlace, base: str, *, clock: Callable[[], datetime] = utc_now) -> None:
        check_base(base, "base")
        self._place, self._clock = place, clock
        super().__init__(Database(place, _KEYS, dict(zip(STATE, astuple(StoreState(base)), strict=True))), None)
        with ExitStack() as stack:
            stack.callback(self.close)
            state = self.state()
            if base != state.base:
                if base != state.successor:
                    raise other_base(str(self._database), base, state)
                self.rebase(base, state.successor_holds)
            if state.dropped:
                self.drop_folded(state.dropped)  # complete what a kill may have interrupted
            stack.pop_all()

    # --- requests -------------------------------------------------------------------------------------------

    def find(self, request_id: str) -> RecordedRequest | None:
        """See `ChangeStore`."""
        (found,) = self._database.ask(("HGET", self._requests, request_id))
        if found is None:
            return None
        try:
            request, recorded_us = unpack_request(found)
        except ValueError as err:
            raise self._database.damaged(f"request {request_id!r}: {err}") from err
        return None if self._clock() - from_microseconds(recorded_us) > KEEP_REQUESTS else request

    def record(
        self,
        request_id: str,
        digest: bytes,
        changes: Sequence[Change],
        reply: bytes,
        *,
        based_on: int | None = None,
    ) -> Recorded:
        """See `ChangeStore`."""
        request = checked_request(request_id, digest, changes, reply)
        now = self._clock()
        now_us = to_microseconds(now)
        words: list[Word] = [request_id, pack_request(request.digest, request.reply, now_us), now_us]
        words += [to_microseconds(now - KEEP_REQUESTS), "" if based_on is None else based_on]
        for change, row in zip(changes, request.changes, strict=True):
            words += [change.item_id, kind_of(change), pack_row(row, now_us)]
        keys = [self._log, self._rows, self._numbers, self._items, self._requests, self._ages]
        kind, *said = self._database.run(RECORD, keys, words)
        if kind == RECORDED_BEFORE:
            raise recorded_before(request_id, from_microseconds(int(said[0])))
        if kind == CHANGED_SINCE:
            raise changed_meanwhile(said[0].decode())
        return Recorded(int(said[0]), int(said[1]))

    def forget(self, before: datetime) -> int:
        """See `ChangeStore`."""
        before_us = min(to_microseconds(before), to_microseconds(self._clock() - KEEP_REQUESTS))
        total = 0
        while forgotten := int(self._database.run(FORGET, [self._requests, self._ages], [before_us])):
            total += forgotten
        return total

    # --- compaction -----------------------------------------------------------------------------------------

    def read_as(self, base: str) -> RedisChangeReader:
        """See `ChangeStore`."""
        return RedisChangeReader(self._place, base)

    def compact(self, upto: int) -> int:
        """See `ChangeStore`. Requests are recorded between two slices of it."""
        upto = checked_sequence(upto, "upto")
        removed, plans, size = 0, list[_Plan](), 0
        for item, found in groupby(self._members(upto), lambda member: member.item):
            if plan := self._plan(item, list(found), upto):
                plans.append(plan)
                size += plan.size
            if len(plans) == SLICE_ITEMS or size >= _SLICE_BYTES:
                removed += self._carry_out(plans, upto)
                plans, size = [], 0
                time.sleep(PAUSE_S)
        return removed + self._carry_out(plans, upto)

    def _members(self, upto: int) -> Iterator[Member]:
        """Which changes up to a number there are, item by item."""
        start: Word = "-"
        while True:
            (found,) = self._database.ask(("ZRANGEBYLEX", self._items, start, "+", "LIMIT", 0, _READ_MEMBERS))
            yield from (member for member in map(Member.of, found) if member.number <= upto)
            if len(found) < _READ_MEMBERS:
                return
            start = b"(" + found[-1]

    def _plan(self, item: bytes, members: list[Member], upto: int) -> _Plan | None:
        """How to compact the changes of an item; None where there is nothing to do.

        Args:
            item: The item, as its members begin.
            members: Its members as they were found, oldest first; others may have compacted them since.
            upto: The last number that is compacted.
        """
        while len(members) > 1:
            numbers = effective((member.number, member.whole) for member in reversed(members))
            words: list[Word] = [item[LENGTH_CHARS:], digits(upto), *map(digits, numbers)]
            now, rows = self._database.run(READ_ITEM, [self._rows, self._items], words)
            if now == [member.text for member in members]:
                left = compacted(self._sequenced(number, row) for number, row in zip(numbers, rows, strict=True))
                if len(left) == len(members):
                    return None
                merged = {entry.sequence: entry for entry in left} if len(left) < len(numbers) else {}
                stay = {entry.sequence for entry in left}
                return _Plan(item, [(member, merged.get(member.number)) for member in members], stay)
            members = [Member.of(text) for text in now]
        return None

    def _carry_out(self, plans: Sequence[_Plan], upto: int) -> int:
        """Compact items, whatever others do at the same time; returns how many changes were removed."""
        keys, removed = [self._rows, self._numbers, self._items], 0
        while plans:
            replies = self._database.ask(*(script(COMPACT, keys, plan.words(upto)) for plan in plans))
            removed += sum(reply for reply in replies if reply > 0)
            again = [plan for plan, reply in zip(plans, replies, strict=True) if reply < 0]
            made = (self._plan(plan.item, [member for member, _ in plan.members], upto) for plan in again)
            plans = [plan for plan in made if plan]
        return removed

    def announce(self, new_base: str, upto: int) -> None:
        """See `ChangeStore`."""
        self._set_state(lambda state: announced(state, new_base, upto))

    def rebase(self, new_base: str, upto: int) -> None:
        """See `ChangeStore`."""
        self._set_state(lambda state: following(state, new_base, upto))

    def drop_folded(self, upto: int) -> int:
        """See `ChangeStore`. Requests are recorded between two slices of it."""
        upto = checked_sequence(upto, "upto")
        self._set_state(lambda state: without_folded(state, upto))
        total = 0
        while dropped := int(self._database.run(DROP, [self._rows, self._numbers, self._items], [upto, SLICE_CHANGES])):
            total += dropped
            time.sleep(PAUSE_S)
        return total

    def _set_state(self, following: Callable[[StoreState], StoreState]) -> None:
        """Change the state to the one that follows it, whatever others do at the same time."""
        while True:
            state = self.state()
            words = [*astuple(state), *astuple(following(state))]
            if self._database.run(SET_STATE, [self._log], words):
                return


class _Plan(NamedTuple):
    """How to compact the changes of an item.

    Attributes:
        item: The item, as its members begin.
        members: Its members, oldest first, each with the change that takes the place of its own, if there is one.
        stay: Numbers of the changes that stay; the others are removed.
    """

    item: bytes
    members: list[tuple[Member, Sequenced | None]]
    stay: set[int]

    def words(self, upto: int) -> list[Word]:
        """The arguments of `COMPACT`."""
        words: list[Word] = [self.item[LENGTH_CHARS:], digits(upto)]
        for member, entry in self.members:
            words.append(member.text)
            if entry is not None:
                row = pack_row(pack(entry.change), to_microseconds(entry.recorded_at))
                words += [kind_of(entry.change), row]
            else:
                words += [member.kind if member.number in self.stay else "", ""]
        return words

    @property
    def size(self) -> int:
        """About how many bytes are written."""
        changes = [entry.change for _, entry in self.members if entry is not None]
        return sum(
            len(change.payload) + len(change.item.image or b"") for change in changes if isinstance(change, Upsert)
        )


def _state(found: Sequence[Any]) -> StoreState:
    values: dict[str, Any] = {}
    for field, value in zip(fields(StoreState), found, strict=True):
        values[field.name] = value.decode() if field.type == "str" else int(value)
    return StoreState(**values)
