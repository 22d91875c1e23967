"""Recorded changes into an engine's catalogue: at the start of a server, before a swap, and in compaction.

Unit of work: changes that are applied at once. Items are kept as encoded, so that they are added again without an
encoder; where the encoders have changed since, they are encoded again. Knows nothing of threads and requests.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from mmrec.catalogue.change_applier import CatalogueChange, apply_changes
from mmrec_serving.change_log import Delete, Sequenced, StoreState, Upsert
from mmrec_serving.updates.engine import LiveEngine

_log = logging.getLogger(__name__)


def catalogue_name(state: StoreState, last: int) -> str:
    """Version of the catalogue with all changes up to a number.

    ``c+17`` is the catalogue ``c`` with the first 17 changes, whether they were folded into its bundle or not: a reply
    names the same version before and after.

    Args:
        state: Of the store, whose base is the bundle that is served.
        last: Number of the last change.
    """
    if last <= state.folded:
        return state.base
    folded = f"+{state.folded}"
    return f"{state.base.removesuffix(folded) if state.folded else state.base}+{last}"


def bring_forward(
    engine: LiveEngine,
    batches: Iterable[Sequence[Sequenced]],
    name: Callable[[int], str],
    upto: int | None = None,
) -> int:
    """Apply recorded changes in their order.

    Args:
        engine: Its catalogue has all changes before these.
        batches: The changes.
        name: Version of the catalogue after a change.
        upto: Number of the last change that is wanted; None for all.

    Returns:
        Number of the last one that was applied; 0: there was none.
    """
    done = 0
    for batch in batches:
        wanted = [entry for entry in batch if upto is None or entry.sequence <= upto]
        if wanted:
            done = wanted[-1].sequence
            for run in _runs(wanted):
                apply_changes(engine, _decoded(engine, run), name(run[-1].sequence))
        if len(wanted) < len(batch):
            break
    return done


def _runs(entries: Sequence[Sequenced]) -> Iterator[list[Sequenced]]:
    """Changes that can be decoded together: fields are replaced in an item as it was left by what came before."""
    run: list[Sequenced] = []
    ids: set[str] = set()
    for entry in entries:
        change = entry.change
        if isinstance(change, Upsert) and change.fields and change.item_id in ids:
            yield run
            run, ids = [], set()
        run.append(entry)
        ids.add(change.item_id)
    yield run


def _decoded(engine: LiveEngine, entries: Sequence[Sequenced]) -> list[CatalogueChange[Any]]:
    # An item that was changed twice is changed once, to what it was the last time, and in its first place.
    changes = list({entry.change.item_id: entry.change for entry in entries}.values())
    encoded = _encoded(engine, [change for change in changes if isinstance(change, Upsert)])
    return [
        CatalogueChange(None, (change.item_id,))
        if isinstance(change, Delete)
        else CatalogueChange(encoded.get(change.item_id))
        for change in changes
    ]


def _encoded(engine: LiveEngine, upserts: Sequence[Upsert]) -> dict[str, Any]:
    """Encoded items by id; without an encoder where the kept bytes still fit."""
    version = engine.encoder_version
    partial = [upsert.item_id for upsert in upserts if upsert.fields]
    # A bundle that was fitted anew may lack an item of which fields were replaced.
    lacking = {item_id for item_id, there in zip(partial, engine.known(partial), strict=True) if not there}
    for item_id in sorted(lacking):
        _log.warning("fields of item %r cannot be replaced: the catalogue does not have it", item_id)
    kept: list[Upsert] = []
    others: list[Upsert] = []
    for upsert in upserts:
        if not (upsert.fields and upsert.item_id in lacking):
            (kept if upsert.payload and upsert.encoder_version == version else others).append(upsert)
    encoded: dict[str, Any] = {}
    if kept:
        packed, fields = [upsert.payload for upsert in kept], [upsert.fields for upsert in kept]
        items = engine.unpack_items([upsert.item for upsert in kept], packed, fields)
        encoded |= {upsert.item_id: items.take([place]) for place, upsert in enumerate(kept)}
    for upsert in others:
        result = engine.encode_items([upsert.item], upsert.fields)
        for error in result.errors.values():
            _log.warning("item %r cannot be brought back with today's encoders: %s", upsert.item_id, error)
        if result.places:
            encoded[upsert.item_id] = result.items
    return encoded
