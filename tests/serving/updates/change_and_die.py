"""Makes three changes of a catalogue, told one by one on stdout when they are acknowledged, and dies at a failpoint."""

import sys
from pathlib import Path

from mmrec.contract.changes import DeleteRequest, UpsertRequest
from mmrec.contract.items import ItemInput
from mmrec_serving.change_log import SqliteChangeStore, StoreFolder
from mmrec_serving.updates.live_catalogue import CatalogueChanges
from tests.children import die
from tests.serving.dict_engine import BASE, DictEngine

folder, where, nth = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
passed = 0


def failpoint(name: str) -> None:
    global passed
    passed += name == where
    if name == where and passed == nth:
        die()


store = SqliteChangeStore(StoreFolder(folder), BASE.catalogue, failpoint=failpoint)
changes = CatalogueChanges(DictEngine("old", "kept"), store, failpoint=failpoint)
changes.replay()
for name, request in (
    ("new", UpsertRequest((ItemInput("new", title="first"), ItemInput("other", title="bad")), request_id="1")),
    ("gone", DeleteRequest(("old", "ghost"), request_id="2")),
    ("newer", UpsertRequest((ItemInput("new", title="second"),), request_id="3", wait_until_visible=True)),
):
    (result,) = changes.apply_many([request])
    if isinstance(result, Exception):
        raise result
    print(name, flush=True)
changes.close()
print("end", flush=True)
