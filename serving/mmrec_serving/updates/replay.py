"""Recorded changes into an engine's catalogue: at the start of a server, before a swap, and when they are folded.

Unit of work: changes that are applied at once. What encoders made of an item is kept with it, so that it comes in
without one; where the encoders are others by now, it is encoded again. Knows nothing of threads and requests.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmrec_serving.change_log import Delete, Sequenced, StoreState, Upsert
from mmrec_serving.updates.engine import LiveEngine

if TYPE_CHECKING:
    from mmrec.recommender.encoded_items import Arrivals

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pending:
    """Recorded changes that an engine does not have yet.

    Attributes:
        last: Number of the last one.
        arrivals: Items that come.
        gone: Items that go.
    """

    last: int
    arrivals: Arrivals | None
    gone: tuple[str, ...] = ()


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
                apply(engine, _ready(engine, run), name(run[-1].sequence))
        if len(wanted) < len(batch):
            break
    return done


def apply(engine: LiveEngine, pending: Sequence[Pending], version: str) -> None:
    """Apply changes at once: of every item the last that happened to it."""
    last: dict[str, tuple[Arrivals, int] | None] = {}
    for one in pending:
        for place, record in enumerate(one.arrivals.records if one.arrivals else ()):
            assert one.arrivals is not None
            last[record.item_id] = (one.arrivals, place)
        last |= dict.fromkeys(one.gone)
    taken: dict[int, tuple[Arrivals, list[int]]] = {}
    for found in last.values():
        if found is not None:
            taken.setdefault(id(found[0]), (found[0], []))[1].append(found[1])
    parts = [arrivals.take(places) for arrivals, places in taken.values()]
    arrivals = type(parts[0]).join(parts) if parts else None
    gone = [item_id for item_id, found in last.items() if found is None]
    engine.change(arrivals, gone, version=version)


def _runs(entries: Sequence[Sequenced]) -> Iterator[list[Sequenced]]:
    """Changes that can be made ready together: fields are replaced in an item as it was left by what came before."""
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


def _ready(engine: LiveEngine, entries: Sequence[Sequenced]) -> list[Pending]:
    # What came twice comes in once, as it was the last time, and in the place where it came first.
    entries = list({entry.change.item_id: entry for entry in entries}.values())
    ready = _restored(engine, [entry.change for entry in entries if isinstance(entry.change, Upsert)])
    return [
        Pending(entry.sequence, None, (entry.change.item_id,))
        if isinstance(entry.change, Delete)
        else Pending(entry.sequence, ready.get(id(entry.change)))
        for entry in entries
    ]


def _restored(engine: LiveEngine, upserts: Sequence[Upsert]) -> dict[int, Arrivals]:
    """What is to come in for each change, by its identity; without an encoder where the kept bytes still fit."""
    version = engine.encoder_version
    amended = [upsert.item_id for upsert in upserts if upsert.fields]
    # A bundle that was fitted anew may lack an item of which fields were replaced.
    lacking = {item_id for item_id, there in zip(amended, engine.known(amended), strict=True) if not there}
    for item_id in sorted(lacking):
        _log.warning("fields of item %r cannot be replaced: the catalogue does not have it", item_id)
    upserts = [upsert for upsert in upserts if not upsert.fields or upsert.item_id not in lacking]
    kept = [upsert for upsert in upserts if upsert.payload and upsert.encoder_version == version]
    others = [upsert for upsert in upserts if not (upsert.payload and upsert.encoder_version == version)]
    ready: dict[int, Arrivals] = {}
    if kept:
        fields = [one.fields for one in kept]
        arrivals = engine.restore_items([one.item for one in kept], [one.payload for one in kept], fields)
        ready |= {id(upsert): arrivals.take([place]) for place, upsert in enumerate(kept)}
    for upsert in others:
        described = engine.describe_items([upsert.item], upsert.fields)
        for error in described.errors.values():
            _log.warning("item %r cannot be brought back with today's encoders: %s", upsert.item_id, error)
        if described.places:
            ready[id(upsert)] = described.arrivals
    return ready
