"""What changed in the catalogue since its bundle was made, durable: items that came, changed and went.

Unit of work: one request of many changes. Knows nothing of gRPC, torch or models; what encoders made of an item is
bytes to it. `protocol.ChangeStore` says what any store promises; `SqliteChangeStore` is the default one.

How it is used
    A request is checked and encoded by the caller, recorded here, acknowledged, and then applied; at the next start
    `replay` gives what is to be applied again. Because the vectors are kept with the item, a replay needs no encoder;
    `Upsert.encoder_version` tells whether they still fit.

        store = SqliteChangeStore(StoreConfig(folder), base=catalogue_version)
        for changes in store.replay():
            ...                                              # bring the catalogue to where it was
        recorded = store.record(request_id, "upsert", digest, upserts, reply)
        ...                                                  # answer recorded.reply; apply unless recorded.repeated

What is promised
    * Durable: what `record` returned survives a kill and a power cut. A request is there whole, or not at all.
    * Numbered: every change has a number higher than all before it, given once, whatever is dropped or killed.
    * Once: a request id seen in the last 24 hours changes nothing again and has the first reply; with other content it
      is refused.
    * Never made anew: a file that is damaged, of another program, of another layout or of another base is refused with
      what to do, and left as it is.
    * A request that fails takes no other with it, although those that wait together are committed together.

What is not
    A disk that lies about having written, and a ``-wal`` file that somebody removed or that lost its end to the disk:
    its end cannot be told from a write that never finished. A request that failed with an error of the disk may turn
    out to be recorded; sent again with the same id it is done once.

The folder
    changes.sqlite          changes, request ids and state; see `database` for its layout
    changes.sqlite-wal      what was committed last: part of the store, to be copied with it
    changes.sqlite-shm      what processes share while they have it open
    .lock                   held by the process that writes

How it is folded into a new bundle, while requests go on
    ``upto = store.position()``; build a bundle of the catalogue as of then; ``announce(version, upto)``; publish the
    bundle; ``rebase(version, upto)``; and when nobody serves the bundle of before any more, ``drop_folded(upto)``. A
    kill between any two of these leaves a store that opens for whichever bundle is current. `compact` keeps the store
    small in the meantime.
"""

from __future__ import annotations

from mmrec_serving.change_log.config import StoreConfig as StoreConfig
from mmrec_serving.change_log.protocol import ChangeReader as ChangeReader
from mmrec_serving.change_log.protocol import ChangeStore as ChangeStore
from mmrec_serving.change_log.reading import SqliteChangeReader as SqliteChangeReader
from mmrec_serving.change_log.sqlite_log import SqliteChangeStore as SqliteChangeStore
from mmrec_serving.change_log.values import Change as Change
from mmrec_serving.change_log.values import Delete as Delete
from mmrec_serving.change_log.values import Kind as Kind
from mmrec_serving.change_log.values import Recorded as Recorded
from mmrec_serving.change_log.values import Sequenced as Sequenced
from mmrec_serving.change_log.values import StoreState as StoreState
from mmrec_serving.change_log.values import Upsert as Upsert

__all__ = [
    "Change",
    "ChangeReader",
    "ChangeStore",
    "Delete",
    "Kind",
    "Recorded",
    "Sequenced",
    "SqliteChangeReader",
    "SqliteChangeStore",
    "StoreConfig",
    "StoreState",
    "Upsert",
]
