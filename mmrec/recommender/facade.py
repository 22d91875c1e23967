"""`Recommender`: a bundle loaded into this process, with the same calls as the gRPC clients.

Unit of work: a batch of requests of one kind. Knows nothing about gRPC.
"""

# Axes: B customers, N items, D fused dimensions

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.bundle import Bundle, open_bundle
from mmrec.calls import EngineCalls
from mmrec.data.filters import CatalogueFilter
from mmrec.device import resolve_device, resolve_dtype
from mmrec.errors import InvalidArgumentError, MmrecError
from mmrec.recommender.artefact import ENCODERS, read_features, read_index, read_parts, read_thumbnails
from mmrec.recommender.checking import Checker
from mmrec.recommender.explaining import explain_ranking
from mmrec.recommender.finding import Finder
from mmrec.recommender.live import LiveEvents
from mmrec.recommender.looking_up import CatalogueLookUp, CodebookPaths
from mmrec.recommender.ranker import Ranker, top_k
from mmrec.recommender.sides import CatalogueSides, item_side, no_side
from mmrec.recommender.tagging import Tagger
from mmrec.types import (
    ChannelShare,
    DuplicateGroups,
    DuplicatesRequest,
    EmbedRequest,
    EmbedResults,
    Fallback,
    ItemEmbedding,
    ItemFailure,
    ItemInput,
    ItemPage,
    ItemRecord,
    ListItemsRequest,
    Mismatches,
    MismatchRequest,
    Modality,
    Recommendations,
    RecommendRequest,
    ResolvedPaths,
    ResolveRequest,
    ScoredItem,
    SearchRequest,
    SearchResults,
    SemanticIds,
    SemanticIdsRequest,
    ServiceInfo,
    SimilarRequest,
    TagRequest,
    TagResults,
)
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.protocols import Vectors

__all__ = ["Recommender"]


class _Customer(NamedTuple):
    """A request as catalogue rows.

    Attributes:
        request: As it came.
        history: Stored and given, oldest first.
        missing: Ids of the request that the catalogue lacks.
        eligible_N: What may be returned. Shape: (N,), bool.
    """

    request: RecommendRequest
    history: npt.NDArray[np.int32]
    missing: list[str]
    eligible_N: npt.NDArray[np.bool_]


class Recommender(EngineCalls):
    """Recommends from a bundle. Make one with `Recommender.load`; call it from one thread at a time."""

    def __init__(self, bundle: Bundle, ranker: Ranker, encoder: ItemEncoder) -> None:
        self._bundle = bundle
        self._ranker = ranker
        self._encoder = encoder
        self._parts = ranker.parts
        self._live = LiveEvents(ranker.parts)
        catalogue, fused_ND = self._parts.catalogue, self._parts.fused_ND
        index = read_index(bundle, fused_ND, ranker.device)
        sides = CatalogueSides(fused_ND, index, encoder, lambda: read_features(bundle), lambda: read_thumbnails(bundle))
        filters, versions = CatalogueFilter(catalogue), bundle.manifest.versions
        self._finder = Finder(catalogue, sides, filters, self._record, versions)
        self._tagger = Tagger(catalogue, sides, versions)
        self._checker = Checker(catalogue, sides, filters, self._record, versions)
        # One version of the codebooks is served; one that is being replaced would stand beside it.
        paths = {versions.codebook: CodebookPaths(self._parts.decode_index, self._parts.semantic_ids_NP)}
        self._look_up = CatalogueLookUp(catalogue, filters, paths, self._record, versions)

    @classmethod
    def load(cls, bundle: str | os.PathLike[str], *, device: str = "auto", dtype: str = "auto") -> Recommender:
        """Verify a bundle and load it.

        Args:
            bundle: Bundle folder, or one version inside it.
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
            dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.

        Raises:
            NotFoundError: there is no such folder.
            BundleError: it is damaged, mixed or half-written.
            DeviceNotAvailableError: the device is not on this machine.
        """
        where = resolve_device(device)
        number_format = resolve_dtype(dtype, where)
        opened = open_bundle(bundle)
        ranker = Ranker(read_parts(opened, where), where, number_format)
        encoder = ItemEncoder.load(opened.folder / ENCODERS, device=device, dtype=dtype)
        return cls(opened, ranker, encoder)

    # --- recommend -------------------------------------------------------------------------------------------------

    def recommend_many(self, requests: Sequence[RecommendRequest]) -> list[Recommendations | MmrecError]:
        """Recommend for several customers at once.

        Every entry holds exactly ``min(k, eligible)`` items of the catalogue. A customer without any known history
        item gets the most popular ones, and the reply says so.
        """
        customers = [self._customer(request) for request in requests]
        replies = {row: self._popular(customer) for row, customer in enumerate(customers) if not len(customer.history)}
        known = [row for row, customer in enumerate(customers) if len(customer.history)]
        for width in sorted({self._beam_width(requests[row]) for row in known}):
            group = [row for row in known if self._beam_width(requests[row]) == width]
            for chunk in self._ranker.chunks(len(group)):
                rows = group[chunk.begin : chunk.end]
                replies |= zip(rows, self._personal([customers[row] for row in rows], width), strict=True)
        return [replies[row] for row in range(len(requests))]

    def _personal(self, customers: Sequence[_Customer], width: int) -> list[Recommendations]:
        """Replies to customers of whom something is known."""
        blend = self._parts.blend
        self._ranker.parts = self._live.updated(self._parts)
        eligible_BN = np.stack([customer.eligible_N for customer in customers])
        features = self._ranker.features(
            [customer.history for customer in customers],
            eligible_BN,
            beam_width=width,
            channels=blend.channels,
        ).by_channel
        if not features:
            return [self._popular(customer) for customer in customers]
        scores_BN, lifts_B = self._ranker.blend(blend, features, eligible_BN)
        replies = []
        for place, customer in enumerate(customers):
            own = {name: feature[place] for name, feature in features.items()}
            ranked = top_k(scores_BN[place], customer.eligible_N, customer.request.k)
            shares: Sequence[tuple[ChannelShare, ...]] = [()] * len(ranked.rows_K)
            if customer.request.explain:
                shares = explain_ranking(self._ranker, customer.history, ranked.rows_K, own, lift=float(lifts_B[place]))
            items = [
                ScoredItem(self._record(int(row)), float(score), parts)
                for row, score, parts in zip(ranked.rows_K, ranked.scores_K, shares, strict=True)
            ]
            replies.append(self._recommendations(items, customer.missing, Fallback.NONE))
        return replies

    def _customer(self, request: RecommendRequest) -> _Customer:
        history, missing = self._history(request)
        return _Customer(request, history, missing, self._eligible(request, history))

    def _beam_width(self, request: RecommendRequest) -> int:
        return max(request.beam_width or self._parts.beam_width, request.k)

    def _history(self, request: RecommendRequest) -> tuple[npt.NDArray[np.int32], list[str]]:
        """Catalogue rows of stored and given history, and every id of the request that the catalogue lacks."""
        catalogue = self._parts.catalogue
        stored = self._live.history(request.user_id)
        rows = [catalogue.row_of(item_id) for item_id in request.history]
        given = np.array([row for row in rows if row is not None], dtype=np.int32)
        mentioned = (*request.history, *request.allow, *request.deny)
        missing = list(dict.fromkeys(item_id for item_id in mentioned if catalogue.row_of(item_id) is None))
        return np.concatenate([stored, given]), missing

    def _eligible(self, request: RecommendRequest, history: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        catalogue = self._parts.catalogue
        eligible_N = np.full(self._ranker.items, not request.allow)
        for listed, value in ((request.allow, True), (request.deny, False)):
            rows = [row for item_id in listed if (row := catalogue.row_of(item_id)) is not None]
            eligible_N[rows] = value
        if not request.include_seen:
            eligible_N[history] = False
        return eligible_N

    def _popular(self, customer: _Customer) -> Recommendations:
        """The most popular eligible items."""
        ranked = top_k(self._ranker.most_popular(), customer.eligible_N, customer.request.k)
        items = [
            ScoredItem(
                self._record(int(row)),
                float(score),
                (ChannelShare("popularity", float(score)),) if customer.request.explain else (),
            )
            for row, score in zip(ranked.rows_K, ranked.scores_K, strict=True)
        ]
        return self._recommendations(items, customer.missing, Fallback.POPULARITY)

    def _recommendations(self, items: list[ScoredItem], missing: list[str], fallback: Fallback) -> Recommendations:
        return Recommendations(
            recommendation_id=uuid.uuid4().hex,
            items=tuple(items),
            missing_ids=tuple(missing),
            fallback=fallback,
            versions=self._bundle.manifest.versions,
        )

    # --- take in events --------------------------------------------------------------------------------------------

    def record_events(self, events: Iterable[tuple[str, str]]) -> list[str]:
        """Take in what customers did since the bundle was made; later recommendations build on it.

        A customer's history grows, and so do the counts of what follows what; nothing is trained, and the bundle on
        disk stays as it is. Events live as long as this object.

        Args:
            events: Pairs of user id and item id, in the order in which they happened. The user id may be new, or empty
                for nobody known.

        Returns:
            Item ids that the catalogue lacks, in order of first appearance; their events are skipped.
        """
        missing: dict[str, None] = {}
        for user_id, item_id in events:
            row = self._parts.catalogue.row_of(item_id)
            if row is None:
                missing[item_id] = None
            else:
                self._live.record(user_id, row)
        return list(missing)

    # --- ask about items -------------------------------------------------------------------------------------------

    def similar_many(self, requests: Sequence[SimilarRequest]) -> list[SearchResults | MmrecError]:
        """Nearest items of several items; the item itself is left out."""
        return self._finder.similar_many(requests)

    def search_many(self, requests: Sequence[SearchRequest]) -> list[SearchResults | MmrecError]:
        """Nearest items to words, pictures, items, several of them, or vectors."""
        return self._finder.search_many(requests)

    def tag_many(self, requests: Sequence[TagRequest]) -> list[TagResults | MmrecError]:
        """Labels of several batches of items, with probabilities."""
        return self._tagger.tag_many(requests)

    def duplicates_many(self, requests: Sequence[DuplicatesRequest]) -> list[DuplicateGroups | MmrecError]:
        """Things that are in the catalogue twice."""
        return self._checker.duplicates_many(requests)

    def mismatches_many(self, requests: Sequence[MismatchRequest]) -> list[Mismatches | MmrecError]:
        """Items whose picture and words do not agree, worst first."""
        return self._checker.mismatches_many(requests)

    # --- embed -----------------------------------------------------------------------------------------------------

    def embed_many(self, requests: Sequence[EmbedRequest]) -> list[EmbedResults | MmrecError]:
        """Fused embeddings and semantic IDs of described items, item by item."""
        return [self._embed(request) for request in requests]

    def _embed(self, request: EmbedRequest) -> EmbedResults | MmrecError:
        fusion = self._encoder.fusion
        lengths = (*fusion.prefixes, fusion.dimension) if fusion else ()
        if request.dimension and request.dimension not in lengths:
            return InvalidArgumentError(
                f"dimension is {request.dimension}; this bundle's vectors may have {', '.join(map(str, lengths))} "
                "dimensions, or 0 for all",
                field="dimension",
            )
        good = [item for item in request.items if isinstance(item, ItemInput)]
        vectors = iter(self._side_vectors(good, request.modality))
        entries: list[ItemEmbedding | ItemFailure] = []
        for item in request.items:
            vector = next(vectors) if isinstance(item, ItemInput) else item
            item_id = item.item_id if isinstance(item, ItemInput) else ""
            if isinstance(vector, MmrecError):
                entries.append(ItemFailure(item_id, vector))
                continue
            # Paths that only number the items of the catalogue say nothing of any other item.
            tokenizer = self._parts.tokenizer
            codes = tokenizer.encode(vector[None])[0] if tokenizer.encodes_new else ()
            if request.dimension and fusion:
                vector = fusion.shorten(vector[None], request.dimension)[0]
            entries.append(ItemEmbedding(item_id, vector, tuple(int(code) for code in codes)))
        return EmbedResults(tuple(entries), self._bundle.manifest.versions)

    def _side_vectors(self, items: Sequence[ItemInput], modality: Modality) -> list[Vectors | MmrecError]:
        """One side of described items, each a vector or an error of its own."""
        if modality is Modality.FUSED or self._encoder.fusion is None:
            return self._encoder.encode_inputs(items)
        encoded = self._encoder.input_features(items)
        features = item_side(encoded.features, modality)
        has_side_M = features.has_image_N if modality is Modality.PICTURE else features.has_text_N
        vectors_MD = self._encoder.fusion.fuse(features)
        results: dict[int, Vectors | MmrecError] = dict(encoded.errors)
        for place, row in enumerate(encoded.rows):
            results[row] = vectors_MD[place] if has_side_M[place] else no_side(modality)
        return [results[row] for row in range(len(items))]

    # --- look up ---------------------------------------------------------------------------------------------------

    def get_items(self, item_ids: Sequence[str]) -> tuple[list[ItemRecord], list[str]]:
        """Catalogue rows in the asked order, and the ids that are not there."""
        rows = {item_id: self._parts.catalogue.row_of(item_id) for item_id in item_ids}
        found = [self._record(row) for item_id in item_ids if (row := rows[item_id]) is not None]
        return found, [item_id for item_id, row in rows.items() if row is None]

    def list_items_many(self, requests: Sequence[ListItemsRequest]) -> list[ItemPage | MmrecError]:
        """Pages of the catalogue."""
        return self._look_up.list_items_many(requests)

    def semantic_ids_many(self, requests: Sequence[SemanticIdsRequest]) -> list[SemanticIds | MmrecError]:
        """Semantic IDs of items."""
        return self._look_up.semantic_ids_many(requests)

    def resolve_many(self, requests: Sequence[ResolveRequest]) -> list[ResolvedPaths | MmrecError]:
        """Items of semantic IDs."""
        return self._look_up.resolve_many(requests)

    def info(self) -> ServiceInfo:
        """What this recommender serves."""
        fusion = self._encoder.fusion
        return ServiceInfo(
            name=self._bundle.manifest.name,
            versions=self._bundle.manifest.versions,
            items=self._ranker.items,
            users=self._parts.interactions.users,
            dimension=self._parts.fused_ND.shape[1],
            prefixes=fusion.prefixes if fusion else (),
            levels=self._parts.semantic_ids_NP.shape[1],
            codebook_size=max(self._parts.tokenizer.widths),
            device=str(self._ranker.device),
            preset=self._bundle.manifest.preset,
        )

    def _record(self, row: int) -> ItemRecord:
        record = self._parts.catalogue.record(row)
        path = tuple(int(code) for code in self._parts.semantic_ids_NP[row])
        return ItemRecord(record.item_id, record.title, record.description, record.image, record.attributes, path)
