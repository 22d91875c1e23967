"""The durable log of events: what customers did with items, recorded as it happens.

In: checked events. Out: their numbers, the history of one customer, and every event in order, for training. `protocol`
has the promises of any store; `SqliteEventStore` keeps them in one file, `PostgresEventStore` in a database,
`RedisEventStore` in a Redis.

    store = open_events(store_place("changes/"))
    numbers = store.record(events)
    for sequence, event in store.history("u17"):
        ...
"""

from __future__ import annotations

from mmrec_serving.event_log.opening import open_events as open_events
from mmrec_serving.event_log.opening import read_events as read_events
from mmrec_serving.event_log.protocol import EventReader as EventReader
from mmrec_serving.event_log.protocol import EventStore as EventStore
from mmrec_serving.event_log.protocol import RecordedEvent as RecordedEvent
from mmrec_serving.event_log.sqlite_reader import SqliteEventReader as SqliteEventReader
from mmrec_serving.event_log.sqlite_store import SqliteEventStore as SqliteEventStore
from mmrec_serving.sqlite_files.store_file import StoreFolder as StoreFolder

__all__ = [
    "EventReader",
    "EventStore",
    "RecordedEvent",
    "SqliteEventReader",
    "SqliteEventStore",
    "StoreFolder",
    "open_events",
    "read_events",
]
