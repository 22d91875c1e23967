"""Opening the store of events of a place.

Unit of work: one store. The modules of a database are imported where one is named, because their drivers are optional.
"""

from __future__ import annotations

from mmrec_serving.event_log.protocol import EventReader, EventStore
from mmrec_serving.event_log.sqlite_reader import SqliteEventReader
from mmrec_serving.event_log.sqlite_store import SqliteEventStore
from mmrec_serving.sqlite_files import StoreFolder
from mmrec_serving.store_place import StorePlace


def open_events(place: StorePlace) -> EventStore:
    """The store of events of a place, to read and to write; made if it is missing.

    Raises:
        MmrecError: see `SqliteEventStore`, `PostgresEventStore` and `RedisEventStore`.
    """
    if isinstance(place, StoreFolder):
        return SqliteEventStore(place)
    if place.server == "postgresql":
        from mmrec_serving.event_log.postgres_store import PostgresEventStore

        return PostgresEventStore(place)
    from mmrec_serving.event_log.redis_store import RedisEventStore

    return RedisEventStore(place)


def read_events(place: StorePlace) -> EventReader:
    """The store of events of a place, to read.

    Raises:
        NotFoundError: there is none.
        MmrecError: see `SqliteEventReader`, `PostgresEventReader` and `RedisEventReader`.
    """
    if isinstance(place, StoreFolder):
        return SqliteEventReader(place)
    if place.server == "postgresql":
        from mmrec_serving.event_log.postgres_store import PostgresEventReader

        return PostgresEventReader(place)
    from mmrec_serving.event_log.redis_store import RedisEventReader

    return RedisEventReader(place)
