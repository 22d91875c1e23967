"""A snapshot: one immutable state of a catalogue, with everything that answers requests from it.

Unit of work: one snapshot, the events of customers up to its moment included. A change makes a new snapshot, and a
request is answered from one snapshot only, so no reply mixes two states. Caches inside a snapshot depend on it alone.
"""

# Axes: N items

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch

from mmrec import __version__
from mmrec.bundle import Bundle
from mmrec.contract.conversation import ConversationTurn, ConverseRequest
from mmrec.contract.engine import Questions, Recommend
from mmrec.contract.items import ItemRecord, Versions
from mmrec.contract.replies import (
    DuplicateGroups,
    EmbedResults,
    Explanations,
    ItemLookup,
    ItemPage,
    Mismatches,
    PredictedRatings,
    Recommendations,
    ResolvedPaths,
    SearchResults,
    SemanticIds,
    ServiceInfo,
    TagResults,
    UserEmbedding,
)
from mmrec.contract.requests import (
    DuplicatesRequest,
    EmbedRequest,
    EmbedUserRequest,
    ExplainRequest,
    ItemsRequest,
    ListItemsRequest,
    MismatchRequest,
    RankRequest,
    RatingRequest,
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
from mmrec.recommender.catalogue_quality import QualityChecker
from mmrec.recommender.catalogue_update import change_parts
from mmrec.recommender.conversation import Conversations, TextVectors
from mmrec.recommender.embedding import Embedder
from mmrec.recommender.encoded_items import EncodedItems
from mmrec.recommender.id_order import IdOrder
from mmrec.recommender.live_events import LiveEvents
from mmrec.recommender.lookup import CatalogueLookup, CodebookPaths, FormerCodebook
from mmrec.recommender.modality_vectors import ModalityVectors
from mmrec.recommender.ranking_model import RankingModel
from mmrec.recommender.rating import RatingPredictor
from mmrec.recommender.recommendation import RecommendationPipeline
from mmrec.recommender.retrieval import Retriever
from mmrec.recommender.steering import Steering
from mmrec.recommender.tagging import Tagger
from mmrec.recommender.user_embedding import UserEmbedder


class SnapshotAnswers(Questions):
    """The requests of `Questions`, each answered from one snapshot: itself, or the current one of a recommender."""

    def snapshot(self) -> Snapshot:
        """The snapshot that answers."""
        raise NotImplementedError

    def recommend_many(self, requests: Sequence[RecommendRequest]) -> list[Recommendations | MmrecError]:
        """Recommend for several customers at once.

        Every entry has exactly ``min(k, eligible)`` items. A customer without a known history item gets the most
        popular ones, and the reply says so. A filter is applied exactly, inside the search; in relaxed mode a list that
        is too short is filled with the best other items, and the reply says so. Stock is a column like any other:
        ``in_stock = true AND price < 50``.
        """
        now = self.snapshot()
        return now.pipeline.recommend_many(requests, now.live)

    def rank_many(self, requests: Sequence[RankRequest]) -> list[Recommendations | MmrecError]:
        """Order the items of several requests, each for its customer, as `recommend_many` would among these items."""
        now = self.snapshot()
        return now.pipeline.rank_many(requests, now.live)

    def converse_many(
        self, requests: Sequence[ConverseRequest], recommend: Recommend | None = None
    ) -> list[ConversationTurn | MmrecError]:
        """Answer messages of several conversations; see `mmrec.contract.engine.Questions`."""
        now = self.snapshot()
        return now.conversations.converse_many(requests, recommend or now.recommend_many)

    def embed_user_many(self, requests: Sequence[EmbedUserRequest]) -> list[UserEmbedding | MmrecError]:
        """Embed several customers in the space of items."""
        now = self.snapshot()
        return UserEmbedder(now.parts.catalogue, now.vectors, now.recommend_many, now.versions).embed_many(requests)

    def explain_many(self, requests: Sequence[ExplainRequest]) -> list[Explanations | MmrecError]:
        """Say in words why items would be recommended, for several customers; every statement rests on evidence."""
        now = self.snapshot()
        return now.pipeline.explain_many(requests, now.live)

    def predict_ratings_many(self, requests: Sequence[RatingRequest]) -> list[PredictedRatings | MmrecError]:
        """Predict ratings for several customers at once.

        Stored and given ratings are read, none is learned from. A rating is that of now: what a customer rated a moment
        ago counts for more than what was rated long ago.
        """
        now = self.snapshot()
        return now.rater.predict_many(requests, now.live.forgets)

    def similar_many(self, requests: Sequence[SimilarRequest]) -> list[SearchResults | MmrecError]:
        """Nearest items of several items; the item itself is left out."""
        return self.snapshot().retriever.similar_many(requests)

    def search_many(self, requests: Sequence[SearchRequest]) -> list[SearchResults | MmrecError]:
        """Nearest items to words, pictures, items, several of them, or vectors."""
        return self.snapshot().retriever.search_many(requests)

    def embed_many(self, requests: Sequence[EmbedRequest]) -> list[EmbedResults | MmrecError]:
        """Fused embeddings and semantic IDs of described items, item by item."""
        return self.snapshot().embedder.embed_many(requests)

    def tag_many(self, requests: Sequence[TagRequest]) -> list[TagResults | MmrecError]:
        """Labels of several batches of items, with probabilities."""
        return self.snapshot().tagger.tag_many(requests)

    def duplicates_many(self, requests: Sequence[DuplicatesRequest]) -> list[DuplicateGroups | MmrecError]:
        """Groups of duplicate items."""
        return self.snapshot().checker.duplicates_many(requests)

    def mismatches_many(self, requests: Sequence[MismatchRequest]) -> list[Mismatches | MmrecError]:
        """Items whose picture and words do not agree, worst first."""
        return self.snapshot().checker.mismatches_many(requests)

    def list_items_many(self, requests: Sequence[ListItemsRequest]) -> list[ItemPage | MmrecError]:
        """Pages of the catalogue."""
        return self.snapshot().lookup.list_items_many(requests)

    def semantic_ids_many(self, requests: Sequence[SemanticIdsRequest]) -> list[SemanticIds | MmrecError]:
        """Semantic IDs of items."""
        return self.snapshot().lookup.semantic_ids_many(requests)

    def resolve_many(self, requests: Sequence[ResolveRequest]) -> list[ResolvedPaths | MmrecError]:
        """Items of semantic IDs."""
        return self.snapshot().lookup.resolve_many(requests)

    def items_many(self, requests: Sequence[ItemsRequest]) -> list[ItemLookup | MmrecError]:
        """Catalogue rows by id, in the asked order."""
        return self.snapshot().lookup.items_many(requests)

    def info(self) -> ServiceInfo:
        """What is served."""
        now = self.snapshot()
        manifest = now.bundle.manifest
        return ServiceInfo(
            name=manifest.name,
            versions=now.versions,
            items=now.parts.catalogue.items,
            users=now.parts.interactions.users,
            dimension=now.parts.fused_ND.shape[1],
            prefixes=now.vectors.fusion.prefixes,
            levels=now.parts.semantic_ids_NP.shape[1],
            codebook_size=max(now.parts.tokenizer.widths),
            device=str(now.ranker.device),
            preset=manifest.preset,
            codebook_versions=now.lookup.codebook_versions,
            mmrec_version=__version__,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot(SnapshotAnswers):
    """One state of a catalogue.

    Attributes:
        versions: Named in every reply.
        parts: The catalogue, and everything that it is ranked with.
        ranker: Scores its items.
        vectors: Its vectors by modality.
        filters: Conditions over its columns.
        pipeline: Answers recommendation requests.
        retriever: Searches.
        tagger: Labels items.
        checker: Finds duplicates and mismatches.
        lookup: Reads rows and semantic IDs.
        embedder: Embeds described items with the encoders of the bundle.
        conversations: Talks about its items.
        rater: Predicts ratings.
        live: Events of customers since the bundle was made.
        bundle: The bundle that it was loaded from.
        former: Paths of the codebooks that were served before; None for none.
    """

    versions: Versions
    parts: Parts
    ranker: RankingModel
    vectors: ModalityVectors
    filters: CatalogueFilter
    pipeline: RecommendationPipeline
    retriever: Retriever
    tagger: Tagger
    checker: QualityChecker
    lookup: CatalogueLookup
    embedder: Embedder
    conversations: Conversations
    rater: RatingPredictor
    live: LiveEvents
    bundle: Bundle
    former: FormerCodebook | None = None

    def record(self, row: int) -> ItemRecord:
        """A row as clients see it."""
        return _record(self.parts, row)

    def snapshot(self) -> Snapshot:
        """Itself."""
        return self


class Reused(NamedTuple):
    """What a snapshot takes over from the one before it; None: it makes its own.

    Attributes:
        filters: Conditions over the columns of the new catalogue.
        tagger: Labels the items of the new catalogue.
        order: Order of the ids of the catalogue that was changed.
        former: Paths of the items under the codebooks that were served before.
        texts: Vectors of short texts by the same encoder.
        checker: Makes the checker of duplicates and mismatches, of the arguments that `QualityChecker` takes.
    """

    filters: CatalogueFilter | None = None
    tagger: Tagger | None = None
    order: IdOrder | None = None
    former: FormerCodebook | None = None
    texts: TextVectors | None = None
    checker: Callable[..., QualityChecker] = QualityChecker


def make_snapshot(
    ranker: RankingModel, vectors: ModalityVectors, live: LiveEvents, versions: Versions, bundle: Bundle, reused: Reused
) -> Snapshot:
    """The snapshot of a catalogue; `ranker` and `vectors` are of this catalogue. See `Snapshot`."""
    parts = ranker.parts
    catalogue = parts.catalogue
    filters = reused.filters or CatalogueFilter(catalogue)
    record = partial(_record, parts)
    former = reused.former
    paths = {former.version: former.paths} if former else {}
    paths[versions.codebook] = CodebookPaths(parts.decode_index, parts.semantic_ids_NP)
    conversations = Conversations(parts, vectors, filters, record, versions, reused.texts)
    reads = parts.generator.sentences is not None or parts.prompts is not None
    chances = None if parts.value_reader is None else ranker.wish
    explained = None
    if parts.value_reader is not None and parts.dictionary is not None:
        known, names = parts.value_reader.column_words, parts.value_reader.value_names
        explained = partial(parts.dictionary.explained, known=known, names=names)
    steering = Steering(conversations.parser, filters, vectors, parts.value_reader, chances, explained, sentences=reads)
    return Snapshot(
        versions=versions,
        parts=parts,
        ranker=ranker,
        vectors=vectors,
        filters=filters,
        pipeline=RecommendationPipeline(
            ranker, CandidateFilter(catalogue, filters), record, versions, vectors, steering
        ),
        retriever=Retriever(catalogue, vectors, filters, record, versions),
        tagger=reused.tagger or Tagger(catalogue, vectors, versions),
        checker=reused.checker(catalogue, vectors, filters, record, versions),
        lookup=CatalogueLookup(catalogue, filters, paths, record, versions, reused.order),
        embedder=Embedder(vectors.encoder, parts.tokenizer, versions),
        conversations=conversations,
        rater=RatingPredictor(parts, versions),
        live=live,
        bundle=bundle,
        former=former,
    )


def changed_snapshot(now: Snapshot, encoded: EncodedItems, deleted: Sequence[str], versions: Versions) -> Snapshot:
    """The snapshot of the changed catalogue; `now` does not change.

    Raises:
        FailedPreconditionError: see `change_parts`.
    """
    changed = change_parts(now.parts, encoded, deleted)
    ranker = now.ranker.with_changes(changed)
    catalogue, rows_M, deleted_R = changed.parts.catalogue, changed.rows_M, changed.deleted_R
    vectors = now.vectors.with_changes(changed.parts.fused_ND, rows_M, encoded, deleted_R)
    filters = now.filters.with_changes(catalogue, rows_M)
    tagger = now.tagger.with_changes(catalogue, vectors, versions, rows_M, deleted_R)
    reused = Reused(
        filters,
        tagger,
        now.lookup.order,
        now.former and now.former.without(deleted_R),
        now.conversations.texts,
        partial(now.checker.with_changes, rows_M=rows_M, deleted_R=deleted_R),
    )
    return make_snapshot(ranker, vectors, now.live, versions, now.bundle, reused)


def successor(now: Snapshot, new: Snapshot) -> Snapshot:
    """The snapshot `new` of another bundle when it replaces `now`: it also knows the codebooks that were served before.

    With the same codebooks it keeps the former ones of `now`; otherwise those of `now` become the former ones.
    """
    former = now.former
    if now.versions.codebook != new.versions.codebook:
        paths = CodebookPaths(now.parts.decode_index.to(torch.device("cpu")), now.parts.semantic_ids_NP)
        former = FormerCodebook(now.versions.codebook, paths)
    if former is None or former.version == new.versions.codebook:
        return new
    former = former.moved_to(now.parts.catalogue, new.parts.catalogue)
    reused = Reused(new.filters, new.tagger, new.lookup.order, former, new.conversations.texts)
    return make_snapshot(new.ranker, new.vectors, new.live, new.versions, new.bundle, reused)


def _record(parts: Parts, row: int) -> ItemRecord:
    record = parts.catalogue.record(row)
    path = tuple(int(code) for code in parts.semantic_ids_NP[row])
    return ItemRecord(record.item_id, record.title, record.description, record.image, record.attributes, path)
