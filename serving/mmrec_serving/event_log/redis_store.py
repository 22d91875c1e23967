"""The store of events in a Redis, which any number of servers share.

Unit of work: one script, which Redis runs with nothing in between, and whose effect it appends to its file as one
transaction. Under the prefix of the place stand

    events:log         a hash: the last number, the last deletion, and the random key of the digests of customers
    events:all         a hash: each event by its number, as JSON behind a checksum (CRC-32 in hexadecimal)
    events:of:ID       a sorted set for each customer: the numbers of the events
    events:ids         a hash: the number of each event that has an id
    events:deletions   a hash: the number of the last deletion of each deleted customer, by the digest of the id

Memory holds all of it. What a deletion removes is in no key any more; its bytes leave the append-only file when Redis
has rewritten it, which a deletion asks for. The slow log of Redis may quote calls that took long.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Self

from mmrec.contract.events import UserEvent
from mmrec.contract.forgotten_users import ForgottenUsers, new_key
from mmrec.errors import InvalidArgumentError, MmrecError
from mmrec_serving.event_log.arguments import EVENTS, LAST, MOST, NUMBER, USER
from mmrec_serving.event_log.protocol import RecordedEvent
from mmrec_serving.redis_server import Database, RedisPlace, StoreKeys
from mmrec_serving.redis_server.failures import DAMAGED, LOST

_CONTENT = (
    "user_id",
    "item_id",
    "event_type",
    "session_id",
    "event_id",
    "time",
    "rating",
    "value",
    "position",
    "recommendation_id",
)
_CHECKSUM_CHARS = 8
_READ_NUMBERS = 5000
"""A batch has no more events: Redis does nothing else while it reads them."""
_KEYS = StoreKeys(name="store of events", again="the same event ids", kind="events", version=1)

# A script is not begun when memory is used up, unless it says that it makes room.
_RECORD = f"""#!lua
local position = redis.call('HGET', KEYS[1], 'position')
if not position then
  return redis.error_reply('{LOST}')
end
position = tonumber(position)
local numbers = {{}}
for at = 2, #ARGV, 3 do
  local user, id = ARGV[at], ARGV[at + 1]
  local number = id ~= '' and redis.call('HGET', KEYS[3], id)
  if not number then
    position = position + 1
    number = position
    redis.call('HSET', KEYS[2], number, ARGV[at + 2])
    if user ~= '' then
      redis.call('ZADD', ARGV[1] .. user, number, number)
    end
    if id ~= '' then
      redis.call('HSET', KEYS[3], id, number)
    end
  end
  numbers[#numbers + 1] = tonumber(number)
end
redis.call('HSET', KEYS[1], 'position', position)
return numbers
"""
"""Keys: log, all, ids. Arguments: the beginning of the keys of customers; then customer, id and content of each event.
Returns the number of each event."""
_READ = f"""#!lua flags=no-writes
local position = redis.call('HGET', KEYS[1], 'position')
if not position then
  return redis.error_reply('{LOST}')
end
local last, events = math.min(tonumber(position), ARGV[1] + ARGV[2]), {{}}
for number = ARGV[1] + 1, last do
  local content = redis.call('HGET', KEYS[2], number)
  if content then
    events[#events + 1], events[#events + 2] = number, content
  end
end
return {{last, events}}
"""
"""Keys: log, all. Arguments: the number after which to read, and how many numbers at most. Returns the last number that
was read, and number and content of each event, as of one moment."""
_DELETE = f"""#!lua flags=allow-oom
if redis.call('HGET', KEYS[1], 'key') ~= ARGV[1] then
  return redis.error_reply('{LOST}')
end
local numbers = redis.call('ZRANGE', KEYS[4], 0, -1)
local ids = {{}}
for at, number in ipairs(numbers) do
  local content = redis.call('HGET', KEYS[2], number) or ''
  local read, event = pcall(cjson.decode, string.sub(content, {_CHECKSUM_CHARS + 1}))
  if not read then
    return redis.error_reply('{DAMAGED} event ' .. number .. ': it cannot be read')
  end
  ids[at] = event[{_CONTENT.index("event_id") + 1}]
end
redis.call('DEL', KEYS[4])
for at, number in ipairs(numbers) do
  redis.call('HDEL', KEYS[2], number)
  if ids[at] ~= '' then
    redis.call('HDEL', KEYS[3], ids[at])
  end
end
redis.call('HSET', KEYS[5], ARGV[2], redis.call('HINCRBY', KEYS[1], 'deletion', 1))
return #numbers
"""
"""Keys: log, all, ids, customer, deletions. Arguments: the key of the digests, and the digest of the customer. Returns
how many events were deleted."""


class _Events:
    """What reads the events of an open database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._log, self._all = database.key("log"), database.key("all")
        self._ids, self._deletions = database.key("ids"), database.key("deletions")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def position(self) -> int:
        """See `EventReader`."""
        return self._number("position")

    def history(
        self, user_id: str, *, after: int = 0, upto: int | None = None, most: int = 1000
    ) -> list[RecordedEvent]:
        """See `EventReader`."""
        user = self._of(USER.check(user_id, "user_id"))
        after = NUMBER.check(after, "after")
        upto = LAST if upto is None else NUMBER.check(upto, "upto")
        (numbers,) = self._database.ask(
            ("ZREVRANGEBYSCORE", user, upto, f"({after}", "LIMIT", 0, MOST.check(most, "most"))
        )
        if not numbers:
            return []
        (found,) = self._database.ask(("HMGET", self._all, *reversed(numbers)))
        # One that was deleted meanwhile has no content.
        return [
            self._recorded(int(number), content)
            for number, content in zip(reversed(numbers), found, strict=True)
            if content is not None
        ]

    def last_deletion(self) -> int:
        """See `EventReader`."""
        return self._number("deletion")

    def forgotten(self) -> ForgottenUsers:
        """See `EventReader`."""
        key, found = self._database.ask(("HGET", self._log, "key"), ("HGETALL", self._deletions))
        if key is None:
            raise self._database.lost()
        return ForgottenUsers(key, dict(zip(found[::2], map(int, found[1::2]), strict=True)))

    def replay(self, after: int = 0, batch: int = 1000) -> Iterator[Sequence[RecordedEvent]]:
        """See `EventReader`."""
        return self._batches(NUMBER.check(after, "after"), MOST.check(batch, "batch"))

    def close(self) -> None:
        """See `EventReader`."""
        self._database.close()

    def _batches(self, after: int, batch: int) -> Iterator[Sequence[RecordedEvent]]:
        most = min(batch, _READ_NUMBERS)
        while True:
            last, found = self._database.run(_READ, [self._log, self._all], [after, most])
            if found:
                yield [self._recorded(*entry) for entry in zip(found[::2], found[1::2], strict=True)]
            # Numbers of deleted events are passed over.
            if last < after + most:
                return
            after = last

    def _number(self, name: str) -> int:
        (found,) = self._database.ask(("HGET", self._log, name))
        if found is None:
            raise self._database.lost()
        return int(found)

    def _of(self, user_id: str) -> str:
        """The key of a customer."""
        return self._database.key("of", user_id)

    def _recorded(self, sequence: int, content: bytes) -> RecordedEvent:
        try:
            return RecordedEvent(sequence, _unpack(content))
        except (ValueError, InvalidArgumentError) as err:
            raise self._database.damaged(f"event {sequence}: {err}") from err


class RedisEventReader(_Events):
    """An `EventReader` of a store that exists. For any number of threads.

    Args:
        place: The database.

    Raises:
        NotFoundError: there is no store in the database.
        FailedPreconditionError: it has another layout, or cannot be used.
        UnavailableError: it cannot be reached.
    """

    def __init__(self, place: RedisPlace) -> None:
        super().__init__(Database(place, _KEYS))


class RedisEventStore(_Events):
    """An `EventStore` that servers share. For any number of threads.

    Args:
        place: The database, where the store is made unless it is there.
        clock: The time now in seconds since 1970; for tests.

    Raises:
        FailedPreconditionError: it has the layout of a newer mmrec, or cannot be used.
        UnavailableError: it cannot be reached.
    """

    shared = True
    """See `EventStore`."""

    def __init__(self, place: RedisPlace, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(Database(place, _KEYS, {"position": 0, "deletion": 0, "key": new_key()}))
        self._clock = clock

    def record(self, events: Sequence[UserEvent]) -> list[int]:
        """See `EventStore`."""
        checked: tuple[UserEvent, ...] = EVENTS.check(events, "events")
        if not checked:
            self.position()  # whether it can be reached
            return []
        now = self._clock()
        words = [word for event in checked for word in (event.user_id, event.event_id, _pack(event, now))]
        found = self._database.run(_RECORD, [self._log, self._all, self._ids], [self._of(""), *words])
        return [int(number) for number in found]

    def delete_user(self, user_id: str) -> int:
        """See `EventStore`."""
        user_id = USER.check(user_id, "user_id")
        key = self.forgotten().key
        keys = [self._log, self._all, self._ids, self._of(user_id), self._deletions]
        deleted = self._database.run(_DELETE, keys, [key, ForgottenUsers(key).digest(user_id)])
        # It is deleted, also where the file is being rewritten already, or the user may not ask for it.
        with suppress(MmrecError):
            self._database.ask(("BGREWRITEAOF",))
        return int(deleted)


def _pack(event: UserEvent, now: float) -> bytes:
    time_of_it = now if event.time is None else event.time
    content = [time_of_it if name == "time" else getattr(event, name) for name in _CONTENT]
    data = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return _checksum(data) + data


def _unpack(content: bytes) -> UserEvent:
    """The event of a content as `_pack` makes it.

    Raises:
        ValueError: it is damaged; the message says how.
    """
    found, data = content[:_CHECKSUM_CHARS], content[_CHECKSUM_CHARS:]
    if _checksum(data) != found:
        raise ValueError("its checksum is another")
    return UserEvent(**dict(zip(_CONTENT, json.loads(data), strict=True)))


def _checksum(data: bytes) -> bytes:
    return b"%08x" % zlib.crc32(data)
