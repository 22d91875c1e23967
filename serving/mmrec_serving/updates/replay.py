"""Replaying recorded changes into an engine's catalogue: at the start of a server, before a swap, and in compaction.

Unit of work: changes that are applied at once. Items are stored encoded, so that a replay needs no encoder; if the
encoders have changed since, they are encoded again. Knows nothing about threads and requests.
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

    ``c+17`` is the catalogue ``c`` with the first 17 changes, whether they were compacted into its bundle or not, so
    that replies name the same version before and after a compaction.

    Args:
        state: State of the store, whose base is the bundle that is served.
        last: Number of the last change.
    """
    if last <= state.folded:
        return state.base
    folded = f"+{state.folded}"
    return f"{state.base.removesuffix(folded) if state.folded else state.base}+{last}"


def replay_changes(
    engine: LiveEngine,
    batches: Iterable[Sequence[Sequenced]],
    name: Callable[[int], str],
    upto: int | None = None,
) -> int:
    """Apply recorded changes in order.

    Args:
        engine: Its catalogue has all changes before these.
        batches: The changes.
        name: Gives the version of the catalogue after a change.
        upto: Number of the last change to apply; None for all.

    Returns:
        Number of the last change that was applied; 0: none.
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
    """Changes that can be decoded together: a partial update needs all earlier changes of its item to be applied."""
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
    # Of several changes of an item only the last one is applied, at the place of the first.
    changes = list({entry.change.item_id: entry.change for entry in entries}.values())
    encoded = _encoded(engine, [change for change in changes if isinstance(change, Upsert)])
    return [
        CatalogueChange(None, (change.item_id,))
        if isinstance(change, Delete)
        else CatalogueChange(encoded.get(change.item_id))
        for change in changes
    ]


def _encoded(engine: LiveEngine, upserts: Sequence[Upsert]) -> dict[str, Any]:
    """Encoded items by id; an encoder runs only for stored bytes that do not fit the current encoders."""
    version = engine.encoder_version
    partial = [upsert.item_id for upsert in upserts if upsert.fields]
    # A newly fitted bundle may lack the item of a partial update.
    unknown_ids = {item_id for item_id, found in zip(partial, engine.known(partial), strict=True) if not found}
    for item_id in sorted(unknown_ids):
        _log.warning("fields of item %r cannot be replaced: the catalogue does not have it", item_id)
    stored: list[Upsert] = []
    others: list[Upsert] = []
    for upsert in upserts:
        if not (upsert.fields and upsert.item_id in unknown_ids):
            (stored if upsert.payload and upsert.encoder_version == version else others).append(upsert)
    encoded: dict[str, Any] = {}
    if stored:
        packed, fields = [upsert.payload for upsert in stored], [upsert.fields for upsert in stored]
        items = engine.unpack_items([upsert.item for upsert in stored], packed, fields)
        encoded |= {upsert.item_id: items.take([place]) for place, upsert in enumerate(stored)}
    for upsert in others:
        result = engine.encode_items([upsert.item], upsert.fields)
        for error in result.errors.values():
            _log.warning("item %r cannot be brought back with today's encoders: %s", upsert.item_id, error)
        if result.places:
            encoded[upsert.item_id] = result.items
    return encoded
