"""The scripts of the store of catalogue changes in a Redis, each of which is atomic; see `redis_store` for the keys.

Those that make room, or little use of it, run also where memory is used up. One that answers with an error has changed
nothing.
"""

from __future__ import annotations

from dataclasses import fields

from mmrec_serving.change_log.changes import StoreState
from mmrec_serving.change_log.redis_rows import LENGTH_CHARS, NUMBER_CHARS
from mmrec_serving.redis_server.failures import LOST

STATE = tuple(field.name for field in fields(StoreState))
"""The fields of the log."""
RECORDED_BEFORE, CHANGED_SINCE = 1, 2
"""The first word of a reply of `RECORD` that has recorded nothing."""

_NAMES = ", ".join(f"'{name}'" for name in STATE)
_LOG = f"""
local log = redis.call('HMGET', KEYS[1], {_NAMES})
if not log[1] then
  return redis.error_reply('{LOST}')
end
"""
_MEMBERS = f"""
local function digits(number)
  return string.format('%0{NUMBER_CHARS}.0f', number)
end
local function beginning(item)
  return string.format('%0{LENGTH_CHARS}x', #item) .. item
end
"""

RECORD = f"""#!lua
{_LOG}{_MEMBERS}
local id = ARGV[1]
local before = id ~= '' and redis.call('ZSCORE', KEYS[6], id)
if before and tonumber(before) >= tonumber(ARGV[4]) then
  return {{{RECORDED_BEFORE}, before}}
end
if ARGV[5] ~= '' then
  for at = 6, #ARGV, 3 do
    local item = beginning(ARGV[at])
    local newest = redis.call('ZREVRANGEBYLEX', KEYS[4], '(' .. item .. ':', '[' .. item, 'LIMIT', 0, 1)[1]
    if newest and tonumber(string.sub(newest, #item + 1, -2)) > tonumber(ARGV[5]) then
      return {{{CHANGED_SINCE}, ARGV[at]}}
    end
  end
end
local first = tonumber(log[{STATE.index("position") + 1}]) + 1
local last = first - 1
for at = 6, #ARGV, 3 do
  last = last + 1
  local number = digits(last)
  redis.call('HSET', KEYS[2], number, ARGV[at + 2])
  redis.call('ZADD', KEYS[3], last, number .. ARGV[at])
  redis.call('ZADD', KEYS[4], 0, beginning(ARGV[at]) .. number .. ARGV[at + 1])
end
if id ~= '' then
  redis.call('HSET', KEYS[5], id, digits(last) .. ARGV[2])
  redis.call('ZADD', KEYS[6], ARGV[3], id)
end
redis.call('HSET', KEYS[1], 'position', last)
return {{0, first, last}}
"""
"""Keys: log, rows, numbers, items, requests, ages. Arguments: the id of the request, its bytes, the time now, the
oldest time of a request that counts still, and the number that the changes are based on or nothing; then item, kind and
bytes of each change. Returns 0 and the first and last number; or what was there, and when, or which item."""

FORGET = """#!lua flags=allow-oom
local ids = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. ARGV[1], 'LIMIT', 0, 1000)
if #ids > 0 then
  redis.call('HDEL', KEYS[1], unpack(ids))
  redis.call('ZREM', KEYS[2], unpack(ids))
end
return #ids
"""
"""Keys: requests, ages. Argument: a time. Removes requests from before it, a thousand at most; returns how many."""

READ = f"""#!lua flags=no-writes
{_LOG}
local rows, size = {{}}, 0
local found = redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. ARGV[1], '+inf', 'LIMIT', 0, ARGV[2])
for _, member in ipairs(found) do
  local number = string.sub(member, 1, {NUMBER_CHARS})
  local row = redis.call('HGET', KEYS[2], number) or ''
  rows[#rows + 1], rows[#rows + 2] = number, row
  size = size + #row
  if size >= tonumber(ARGV[3]) then
    break
  end
end
return {{log, rows}}
"""
"""Keys: log, rows, numbers. Arguments: the number after which to read, how many changes at most, and the bytes with
which to end. Returns the state, and number and bytes of each change, as of one moment."""

SET_STATE = f"""#!lua flags=allow-oom
{_LOG}
for at = 1, {len(STATE)} do
  if log[at] ~= ARGV[at] then
    return 0
  end
end
for at, name in ipairs({{{_NAMES}}}) do
  redis.call('HSET', KEYS[1], name, ARGV[{len(STATE)} + at])
end
return 1
"""
"""Key: log. Arguments: the state as it was read, and the new one. Returns 1; or 0 where it is another one by now."""

READ_ITEM = f"""#!lua flags=no-writes
{_MEMBERS}
local item, rows = beginning(ARGV[1]), {{}}
for at = 3, #ARGV do
  rows[at - 2] = redis.call('HGET', KEYS[1], ARGV[at]) or ''
end
return {{redis.call('ZRANGEBYLEX', KEYS[2], '[' .. item, '[' .. item .. ARGV[2] .. 'z'), rows}}
"""
"""Keys: rows, items. Arguments: an item, a number, and numbers of changes. Returns the members of the item up to that
number, and the bytes of these changes, as of one moment."""

COMPACT = f"""#!lua flags=allow-oom
{_MEMBERS}
local item = beginning(ARGV[1])
local found = redis.call('ZRANGEBYLEX', KEYS[3], '[' .. item, '[' .. item .. ARGV[2] .. 'z')
if 3 * #found ~= #ARGV - 2 then
  return -1
end
for at, member in ipairs(found) do
  if member ~= ARGV[3 * at] then
    return -1
  end
end
local removed = 0
for at, member in ipairs(found) do
  local kind, row = ARGV[3 * at + 1], ARGV[3 * at + 2]
  local number = string.sub(member, #item + 1, -2)
  if kind == '' then
    removed = removed + 1
    redis.call('HDEL', KEYS[1], number)
    redis.call('ZREM', KEYS[2], number .. ARGV[1])
    redis.call('ZREM', KEYS[3], member)
  elseif row ~= '' then
    redis.call('HSET', KEYS[1], number, row)
    redis.call('ZREM', KEYS[3], member)
    redis.call('ZADD', KEYS[3], 0, item .. number .. kind)
  end
end
return removed
"""
"""Keys: rows, numbers, items. Arguments: an item, a number, and for each of its members up to that number the member as
it was read, and the kind and bytes of its change from now on: no kind where it is removed, no bytes where it stays as
it is. Returns how many were removed; -1 where the item has other members by now, and nothing was changed."""

DROP = f"""#!lua flags=allow-oom
{_MEMBERS}
local found = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, member in ipairs(found) do
  local number, item = string.sub(member, 1, {NUMBER_CHARS}), beginning(string.sub(member, {NUMBER_CHARS} + 1))
  redis.call('HDEL', KEYS[1], number)
  redis.call('ZREM', KEYS[2], member)
  redis.call('ZREM', KEYS[3], item .. number .. 'w', item .. number .. 'p')
end
return #found
"""
"""Keys: rows, numbers, items. Arguments: a number, and how many changes at most. Drops changes up to that number;
returns how many."""
