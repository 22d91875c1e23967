"""Folds a store into a bundle again and again, each time in a process of its own that is killed at another point.

    python fold_and_die.py BUNDLE STORE POINT...

A point ``swap:NAME`` is one of a server that has folded and goes on with the new version. After every kill the same
folders are opened as a server would open them, and what is then served is told as a line of JSON. Between two kills one
item comes, one is replaced and one goes.
"""

import json
import signal
import sys
from functools import partial
from pathlib import Path

from mmrec.contract.changes import ChangeResults, DeleteRequest, UpsertRequest
from mmrec.contract.items import ItemInput
from mmrec.recommender import Recommender
from mmrec_serving.updates.bundle_position import open_store
from mmrec_serving.updates.compaction import fold, fold_offline
from mmrec_serving.updates.live_catalogue import CatalogueChanges
from tests.children import die, end_of

bundle, store = Path(sys.argv[1]), Path(sys.argv[2])
loaded = Recommender.load(bundle, device="cpu")


def served(number: int) -> dict[str, object]:
    """What a server would serve now, after which it makes three more changes."""
    engine = loaded.load_current()
    changes = CatalogueChanges(engine, open_store(store, engine.bundle))
    changes.replay()
    items = {item.item_id: item.title for item in engine.list_items(page_size=1000).items}
    state = changes.store.state()
    told = {
        "catalogue": engine.info().versions.catalogue,
        "new": {item_id: title for item_id, title in items.items() if not item_id.startswith("p")},
        "gone": [item_id for item_id in (f"p{row + 1:04}" for row in range(60)) if item_id not in items],
        "base": state.base,
        "recorded": state.position,
    }
    upsert = UpsertRequest((ItemInput(f"n{number}", title="a lamp"), ItemInput("last", title=f"lamp {number}")))
    for done in changes.apply_many([upsert, DeleteRequest((f"p{number + 1:04}",))]):
        assert isinstance(done, ChangeResults), done
        assert not done.refused, done
    changes.close()
    return told


def fold_until(point: str) -> None:
    def failpoint(name: str) -> None:
        if name == point:
            die()

    if not point.startswith("swap:"):
        fold_offline(bundle, store, failpoint=failpoint)
        return
    engine = loaded.load_current()
    opened = open_store(store, engine.bundle)
    changes = CatalogueChanges(engine, opened, failpoint=lambda name: failpoint(f"swap:{name}"))
    changes.replay()
    fold(bundle, changes.store, changes.store.announce)
    changes.adopt()


served(0)
for number, point in enumerate(sys.argv[3:], start=1):
    killed = end_of(partial(fold_until, point)) == -signal.SIGKILL
    print(json.dumps({"point": point, "killed": killed, **served(number)}), flush=True)
