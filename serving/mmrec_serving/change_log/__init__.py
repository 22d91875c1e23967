"""The durable log of catalogue changes since a bundle was made: items added, replaced and deleted.

In: checked and encoded requests. Out: numbered changes, to be applied again at the next start, and the replies to
requests that are sent again. `protocol` has the promises of any store; `SqliteChangeStore` keeps them in one file,
`PostgresChangeStore` in a database, `RedisChangeStore` in a Redis.

    store = open_changes(store_place("changes/"), base=catalogue_version)
    for changes in store.replay():
        ...                                              # bring the catalogue to the state of the store
    recorded = store.record(request_id, digest, upserts, reply)

Compaction into a new bundle, while requests are answered: ``upto = store.position()``; build a bundle of the catalogue
at that change; ``announce(version, upto)``; publish the bundle; ``rebase(version, upto)``; and when nobody serves the
bundle before it any more, ``drop_folded(upto)``. A kill between any two of these leaves a store that opens for
whichever bundle is current.
"""

from __future__ import annotations

from mmrec_serving.change_log.changes import Change as Change
from mmrec_serving.change_log.changes import Delete as Delete
from mmrec_serving.change_log.changes import Recorded as Recorded
from mmrec_serving.change_log.changes import RecordedRequest as RecordedRequest
from mmrec_serving.change_log.changes import Sequenced as Sequenced
from mmrec_serving.change_log.changes import StoreState as StoreState
from mmrec_serving.change_log.changes import Upsert as Upsert
from mmrec_serving.change_log.opening import open_changes as open_changes
from mmrec_serving.change_log.opening import read_changes as read_changes
from mmrec_serving.change_log.protocol import ChangeReader as ChangeReader
from mmrec_serving.change_log.protocol import ChangeStore as ChangeStore
from mmrec_serving.change_log.sqlite_reader import SqliteChangeReader as SqliteChangeReader
from mmrec_serving.change_log.sqlite_store import SqliteChangeStore as SqliteChangeStore
from mmrec_serving.sqlite_files.store_file import StoreFolder as StoreFolder

__all__ = [
    "Change",
    "ChangeReader",
    "ChangeStore",
    "Delete",
    "Recorded",
    "RecordedRequest",
    "Sequenced",
    "SqliteChangeReader",
    "SqliteChangeStore",
    "StoreFolder",
    "StoreState",
    "Upsert",
    "open_changes",
    "read_changes",
]
