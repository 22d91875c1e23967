"""Everything that answers questions about one state of a catalogue; a changed catalogue has a snapshot of its own.

Unit of work: one snapshot, complete when it is made and never written to afterwards; what customers did until then is a
value of it too. It answers every kind of question by itself, so that whoever has begun to answer with one goes on with
it, and no reply mixes two states of the catalogue. What its parts keep so as not to work it out twice follows from the
snapshot alone.
"""

# Axes: N items

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from mmrec.bundle import Bundle
from mmrec.contract.items import ItemRecord, Versions
from mmrec.contract.replies import (
    DuplicateGroups,
    EmbedResults,
    ItemLookup,
    ItemPage,
    Mismatches,
    Recommendations,
    ResolvedPaths,
    SearchResults,
    SemanticIds,
    ServiceInfo,
    TagResults,
)
from mmrec.contract.requests import (
    DuplicatesRequest,
    EmbedRequest,
    ListItemsRequest,
    MismatchRequest,
    RecommendRequest,
    ResolveRequest,
    SearchRequest,
    SemanticIdsRequest,
    SimilarRequest,
    TagRequest,
)
from mmrec.errors import MmrecError
from mmrec.filters.filter import CatalogueFilter
from mmrec.recommender.artefact import Parts
from mmrec.recommender.candidate_filter import CandidateFilter
from mmrec.recommender.catalogue_quality import Checker
from mmrec.recommender.catalogue_update import change_parts
from mmrec.recommender.embedding import Embedder
from mmrec.recommender.encoded_items import EncodedItems
from mmrec.recommender.id_order import IdOrder
from mmrec.recommender.live_events import LiveEvents
from mmrec.recommender.lookup import CatalogueLookUp, CodebookPaths, FormerCodebook
from mmrec.recommender.modality_vectors import CatalogueSides
from mmrec.recommender.ranker import Ranker
from mmrec.recommender.recommendation import Suggester
from mmrec.recommender.retrieval import Finder
from mmrec.recommender.tagging import Tagger


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
        embedder: Embeds described items as its own were.
        live: What customers did since its bundle was made, up to when this snapshot was current.
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
    embedder: Embedder
    live: LiveEvents
    bundle: Bundle
    former: FormerCodebook | None = None

    def record(self, row: int) -> ItemRecord:
        """A row as clients see it."""
        return _record(self.parts, row)

    # --- questions, as `mmrec.contract.engine.Questions` says
    # ------------------------------------------------------------------

    def recommend_many(self, requests: Sequence[RecommendRequest]) -> list[Recommendations | MmrecError]:
        """Recommend for several customers at once."""
        return self.suggester.recommend_many(requests, self.live)

    def similar_many(self, requests: Sequence[SimilarRequest]) -> list[SearchResults | MmrecError]:
        """Nearest items of several items; the item itself is left out."""
        return self.finder.similar_many(requests)

    def search_many(self, requests: Sequence[SearchRequest]) -> list[SearchResults | MmrecError]:
        """Nearest items to words, pictures, items, several of them, or vectors."""
        return self.finder.search_many(requests)

    def embed_many(self, requests: Sequence[EmbedRequest]) -> list[EmbedResults | MmrecError]:
        """Fused embeddings and semantic IDs of described items."""
        return self.embedder.embed_many(requests)

    def tag_many(self, requests: Sequence[TagRequest]) -> list[TagResults | MmrecError]:
        """Labels of several batches of items, with probabilities."""
        return self.tagger.tag_many(requests)

    def duplicates_many(self, requests: Sequence[DuplicatesRequest]) -> list[DuplicateGroups | MmrecError]:
        """Things that are in the catalogue twice."""
        return self.checker.duplicates_many(requests)

    def mismatches_many(self, requests: Sequence[MismatchRequest]) -> list[Mismatches | MmrecError]:
        """Items whose picture and words do not agree, worst first."""
        return self.checker.mismatches_many(requests)

    def list_items_many(self, requests: Sequence[ListItemsRequest]) -> list[ItemPage | MmrecError]:
        """Pages of the catalogue."""
        return self.look_up.list_items_many(requests)

    def semantic_ids_many(self, requests: Sequence[SemanticIdsRequest]) -> list[SemanticIds | MmrecError]:
        """Semantic IDs of items."""
        return self.look_up.semantic_ids_many(requests)

    def resolve_many(self, requests: Sequence[ResolveRequest]) -> list[ResolvedPaths | MmrecError]:
        """Items of semantic IDs."""
        return self.look_up.resolve_many(requests)

    def items_many(self, requests: Sequence[Sequence[str]]) -> list[ItemLookup | MmrecError]:
        """Rows of items, in the asked order."""
        return self.look_up.items_many(requests)

    def info(self) -> ServiceInfo:
        """What is served."""
        fusion, manifest = self.sides.encoder.fusion, self.bundle.manifest
        return ServiceInfo(
            name=manifest.name,
            versions=self.versions,
            items=self.parts.catalogue.items,
            users=self.parts.interactions.users,
            dimension=self.parts.fused_ND.shape[1],
            prefixes=fusion.prefixes if fusion else (),
            levels=self.parts.semantic_ids_NP.shape[1],
            codebook_size=max(self.parts.tokenizer.widths),
            device=str(self.ranker.device),
            preset=manifest.preset,
            codebook_versions=self.look_up.codebook_versions,
        )


def make_snapshot(
    ranker: Ranker,
    sides: CatalogueSides,
    live: LiveEvents,
    versions: Versions,
    bundle: Bundle,
    former: FormerCodebook | None = None,
    filters: CatalogueFilter | None = None,
    tagger: Tagger | None = None,
    order: IdOrder | None = None,
) -> Snapshot:
    """The snapshot of a catalogue.

    Args:
        ranker: Made of the catalogue's parts.
        sides: Of the same catalogue.
        live: What customers did.
        versions: What replies are made with.
        bundle: What it was loaded from.
        former: Paths that the items had under the codebooks before these; None for none.
        filters: Conditions over the catalogue's columns; None to make them.
        tagger: Labels the catalogue's items; None to make it.
        order: That of a catalogue from which this one was changed; None for none.
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
        suggester=Suggester(ranker, CandidateFilter(catalogue, filters), record, versions),
        finder=Finder(catalogue, sides, filters, record, versions),
        tagger=tagger or Tagger(catalogue, sides, versions),
        checker=Checker(catalogue, sides, filters, record, versions),
        look_up=CatalogueLookUp(catalogue, filters, paths, record, versions, order),
        embedder=Embedder(sides.encoder, parts.tokenizer, versions),
        live=live,
        bundle=bundle,
        former=former,
    )


def changed_snapshot(now: Snapshot, arrivals: EncodedItems, gone: Sequence[str], versions: Versions) -> Snapshot:
    """The snapshot of the changed catalogue; the old one stays as it is.

    Raises:
        FailedPreconditionError: see `change_parts`.
    """
    changed = change_parts(now.parts, arrivals, gone)
    ranker = now.ranker.over(changed)
    catalogue, rows_M, gone_R = changed.parts.catalogue, changed.rows_M, changed.gone_R
    sides = now.sides.over(changed.parts.fused_ND, rows_M, arrivals, gone_R)
    filters = now.filters.over(catalogue, rows_M)
    tagger = now.tagger.over(catalogue, sides, versions, rows_M, gone_R)
    former = now.former and now.former.without(gone_R)
    return make_snapshot(ranker, sides, now.live, versions, now.bundle, former, filters, tagger, now.look_up.order)


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
    return make_snapshot(
        new.ranker,
        new.sides,
        new.live,
        new.versions,
        new.bundle,
        carried,
        new.filters,
        new.tagger,
        new.look_up.order,
    )


def _record(parts: Parts, row: int) -> ItemRecord:
    record = parts.catalogue.record(row)
    path = tuple(int(code) for code in parts.semantic_ids_NP[row])
    return ItemRecord(record.item_id, record.title, record.description, record.image, record.attributes, path)
