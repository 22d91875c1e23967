"""Everything that answers questions about one state of a catalogue; a changed catalogue has a snapshot of its own.

Unit of work: one snapshot, complete when it is made and never written to afterwards. Whoever has begun to answer with
one goes on with it, so that no reply mixes two states of the catalogue. Knows nothing about requests.
"""

# Axes: N items

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mmrec.data.filters import CatalogueFilter
from mmrec.recommender.admission import Admission
from mmrec.recommender.artefact import Parts
from mmrec.recommender.changed_rows import ChangedRows
from mmrec.recommender.changing import Arrivals, change_parts
from mmrec.recommender.checking import Checker
from mmrec.recommender.finding import Finder
from mmrec.recommender.live import LiveEvents
from mmrec.recommender.looking_up import CatalogueLookUp, CodebookPaths
from mmrec.recommender.ranker import Ranker
from mmrec.recommender.sides import CatalogueSides
from mmrec.recommender.suggesting import Suggester
from mmrec.recommender.tagging import Tagger
from mmrec.types import ItemRecord, Versions

__all__ = ["Snapshot", "changed_snapshot", "make_snapshot"]


class Snapshot(NamedTuple):
    """One state of a catalogue.

    Attributes:
        versions: What replies are made with.
        parts: The catalogue, and what it is ranked with.
        ranker: Scores it.
        sides: Its vectors.
        filters: Conditions over its columns.
        suggester: Recommends from it.
        finder: Searches it.
        tagger: Labels its items.
        checker: Finds duplicates and mismatches in it.
        look_up: Reads its rows and semantic IDs.
    """

    versions: Versions
    parts: Parts
    ranker: Ranker
    sides: CatalogueSides
    filters: CatalogueFilter
    suggester: Suggester
    finder: Finder
    tagger: Tagger
    checker: Checker
    look_up: CatalogueLookUp

    def record(self, row: int) -> ItemRecord:
        """A row as clients see it."""
        return _record(self.parts, row)


def make_snapshot(
    ranker: Ranker,
    sides: CatalogueSides,
    live: LiveEvents,
    versions: Versions,
    filters: CatalogueFilter | None = None,
    tagger: Tagger | None = None,
) -> Snapshot:
    """The snapshot of a catalogue.

    Args:
        ranker: Made of the catalogue's parts.
        sides: Of the same catalogue.
        live: What customers did, which outlives snapshots.
        versions: What replies are made with.
        filters: Conditions over the catalogue's columns; None to make them.
        tagger: Labels the catalogue's items; None to make it.
    """
    parts = ranker.parts
    catalogue = parts.catalogue
    filters = filters or CatalogueFilter(catalogue)

    def record(row: int) -> ItemRecord:
        return _record(parts, row)

    # One version of the codebooks is served; one that is being replaced would stand beside it.
    paths = {versions.codebook: CodebookPaths(parts.decode_index, parts.semantic_ids_NP)}
    return Snapshot(
        versions=versions,
        parts=parts,
        ranker=ranker,
        sides=sides,
        filters=filters,
        suggester=Suggester(ranker, live, Admission(catalogue, filters, ranker.index), record, versions),
        finder=Finder(catalogue, sides, filters, record, versions),
        tagger=tagger or Tagger(catalogue, sides, versions),
        checker=Checker(catalogue, sides, filters, record, versions),
        look_up=CatalogueLookUp(catalogue, filters, paths, record, versions),
    )


def changed_snapshot(
    now: Snapshot, arrivals: Arrivals, gone: Sequence[str], live: LiveEvents, versions: Versions
) -> Snapshot:
    """The snapshot of the changed catalogue; the old one stays as it is.

    Raises:
        FailedPreconditionError: see `change_parts`.
    """
    changed = change_parts(now.parts, arrivals, gone)
    ranker = Ranker(changed.parts, now.ranker.device, now.ranker.dtype)
    catalogue, rows_M, gone_R = changed.parts.catalogue, changed.rows_M, changed.gone_R
    rows = ChangedRows(rows_M, arrivals.features, arrivals.thumbnails_M, gone_R, len(catalogue))
    sides = now.sides.over(changed.parts.fused_ND, rows)
    filters = now.filters.over(catalogue, rows_M, gone_R)
    tagger = now.tagger.over(catalogue, sides, versions, rows_M, gone_R)
    return make_snapshot(ranker, sides, live, versions, filters, tagger)


def _record(parts: Parts, row: int) -> ItemRecord:
    record = parts.catalogue.record(row)
    path = tuple(int(code) for code in parts.semantic_ids_NP[row])
    return ItemRecord(record.item_id, record.title, record.description, record.image, record.attributes, path)
