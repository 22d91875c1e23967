"""Everything that answers questions about one state of a catalogue; a changed catalogue has a snapshot of its own.

Unit of work: one snapshot, complete when it is made and never written to afterwards. Whoever has begun to answer with
one goes on with it, so that no reply mixes two states of the catalogue. Knows nothing about requests.
"""

# Axes: N items

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from mmrec.bundle import Bundle
from mmrec.data.filters import CatalogueFilter
from mmrec.recommender.admission import Admission
from mmrec.recommender.arriving import Arrivals
from mmrec.recommender.artefact import Parts
from mmrec.recommender.changed_rows import ChangedRows
from mmrec.recommender.changing import change_parts
from mmrec.recommender.checking import Checker
from mmrec.recommender.finding import Finder
from mmrec.recommender.live import LiveEvents
from mmrec.recommender.looking_up import CatalogueLookUp, CodebookPaths, FormerCodebook
from mmrec.recommender.ranker import Ranker
from mmrec.recommender.sides import CatalogueSides
from mmrec.recommender.suggesting import Suggester
from mmrec.recommender.tagging import Tagger
from mmrec.types import ItemRecord, Versions

__all__ = ["Snapshot", "changed_snapshot", "make_snapshot", "successor"]


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
        live: What customers did since its bundle was made; it grows, and later snapshots of the same bundle share it.
        bundle: What it was loaded from.
        former: Paths of the codebooks that were served before; None for none.
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
    live: LiveEvents
    bundle: Bundle
    former: FormerCodebook | None = None

    def record(self, row: int) -> ItemRecord:
        """A row as clients see it."""
        return _record(self.parts, row)


def make_snapshot(
    ranker: Ranker,
    sides: CatalogueSides,
    live: LiveEvents,
    versions: Versions,
    bundle: Bundle,
    former: FormerCodebook | None = None,
    filters: CatalogueFilter | None = None,
    tagger: Tagger | None = None,
) -> Snapshot:
    """The snapshot of a catalogue.

    Args:
        ranker: Made of the catalogue's parts.
        sides: Of the same catalogue.
        live: What customers did, which outlives snapshots.
        versions: What replies are made with.
        bundle: What it was loaded from.
        former: Paths that the items had under the codebooks before these; None for none.
        filters: Conditions over the catalogue's columns; None to make them.
        tagger: Labels the catalogue's items; None to make it.
    """
    parts = ranker.parts
    catalogue = parts.catalogue
    filters = filters or CatalogueFilter(catalogue)

    def record(row: int) -> ItemRecord:
        return _record(parts, row)

    # One version of the codebooks is served; the one that it took the place of stands beside it.
    paths = {former.version: former.paths} if former else {}
    paths[versions.codebook] = CodebookPaths(parts.decode_index, parts.semantic_ids_NP)
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
        live=live,
        bundle=bundle,
        former=former,
    )


def changed_snapshot(now: Snapshot, arrivals: Arrivals, gone: Sequence[str], versions: Versions) -> Snapshot:
    """The snapshot of the changed catalogue; the old one stays as it is.

    Raises:
        FailedPreconditionError: see `change_parts`.
    """
    changed = change_parts(now.parts, arrivals, gone)
    ranker = now.ranker.over(changed)
    catalogue, rows_M, gone_R = changed.parts.catalogue, changed.rows_M, changed.gone_R
    rows = ChangedRows(rows_M, arrivals.features, arrivals.thumbnails_M, gone_R, len(catalogue))
    sides = now.sides.over(changed.parts.fused_ND, rows)
    filters = now.filters.over(catalogue, rows_M, gone_R)
    tagger = now.tagger.over(catalogue, sides, versions, rows_M, gone_R)
    former = now.former and now.former.without(gone_R)
    return make_snapshot(ranker, sides, now.live, versions, now.bundle, former, filters, tagger)


def successor(now: Snapshot, new: Snapshot) -> Snapshot:
    """The snapshot of another bundle as it follows one that was served: it knows the codebooks of before.

    A bundle of the same codebooks keeps those that were there before them; one of others keeps the ones of now.
    """
    former = now.former
    if now.versions.codebook != new.versions.codebook:
        paths = CodebookPaths(now.parts.decode_index.to(torch.device("cpu")), now.parts.semantic_ids_NP)
        former = FormerCodebook(now.versions.codebook, paths)
    if former is None or former.version == new.versions.codebook:
        return new
    carried = former.over(now.parts.catalogue, new.parts.catalogue)
    return make_snapshot(new.ranker, new.sides, new.live, new.versions, new.bundle, carried, new.filters, new.tagger)


def _record(parts: Parts, row: int) -> ItemRecord:
    record = parts.catalogue.record(row)
    path = tuple(int(code) for code in parts.semantic_ids_NP[row])
    return ItemRecord(record.item_id, record.title, record.description, record.image, record.attributes, path)
