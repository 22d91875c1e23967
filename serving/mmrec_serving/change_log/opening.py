"""Opening the store of catalogue changes of a place.

Unit of work: one store. The modules of a database are imported where one is named, because their drivers are optional.
"""

from __future__ import annotations

from mmrec_serving.change_log.protocol import ChangeReader, ChangeStore
from mmrec_serving.change_log.sqlite_reader import SqliteChangeReader
from mmrec_serving.change_log.sqlite_store import SqliteChangeStore
from mmrec_serving.sqlite_files import StoreFolder
from mmrec_serving.store_place import StorePlace


def open_changes(place: StorePlace, base: str) -> ChangeStore:
    """The store of changes of a place, to read and to write; made if it is missing.

    Args:
        place: The place.
        base: Version of the catalogue that the changes are made to.

    Raises:
        MmrecError: see `SqliteChangeStore`, `PostgresChangeStore` and `RedisChangeStore`.
    """
    if isinstance(place, StoreFolder):
        return SqliteChangeStore(place, base)
    if place.server == "postgresql":
        from mmrec_serving.change_log.postgres_store import PostgresChangeStore

        return PostgresChangeStore(place, base)
    from mmrec_serving.change_log.redis_store import RedisChangeStore

    return RedisChangeStore(place, base)


def read_changes(place: StorePlace) -> ChangeReader:
    """The store of changes of a place, to read.

    Raises:
        NotFoundError: there is none.
        MmrecError: see `SqliteChangeReader`, `PostgresChangeReader` and `RedisChangeReader`.
    """
    if isinstance(place, StoreFolder):
        return SqliteChangeReader(place)
    if place.server == "postgresql":
        from mmrec_serving.change_log.postgres_store import PostgresChangeReader

        return PostgresChangeReader(place)
    from mmrec_serving.change_log.redis_store import RedisChangeReader

    return RedisChangeReader(place)
