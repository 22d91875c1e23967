"""`Recommender`: a bundle loaded into this process, with the same calls as the gRPC clients.

Unit of work: a batch of requests of one kind. Knows nothing about gRPC.
"""

# Axes: M described items, D fused dimensions

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from mmrec.bundle import Bundle, open_bundle
from mmrec.calls import EngineCalls
from mmrec.data.filters import CatalogueFilter
from mmrec.device import resolve_device, resolve_dtype
from mmrec.errors import InvalidArgumentError, MmrecError
from mmrec.recommender.admission import Admission
from mmrec.recommender.artefact import ENCODERS, read_features, read_index, read_parts, read_thumbnails
from mmrec.recommender.checking import Checker
from mmrec.recommender.finding import Finder
from mmrec.recommender.live import LiveEvents
from mmrec.recommender.looking_up import CatalogueLookUp, CodebookPaths
from mmrec.recommender.ranker import Ranker
from mmrec.recommender.sides import CatalogueSides, item_side, no_side
from mmrec.recommender.suggesting import Suggester
from mmrec.recommender.tagging import Tagger
from mmrec.types import (
    DuplicateGroups,
    DuplicatesRequest,
    EmbedRequest,
    EmbedResults,
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
        admission = Admission(catalogue, filters, ranker.index)
        self._suggester = Suggester(ranker, self._live, admission, self._record, versions)
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
        item gets the most popular ones, and the reply says so. A filter is exact inside the search; in relaxed mode a
        list that it leaves too short is filled up with the best of the other items, and the reply says so. What is in
        stock is a column like any other: ``in_stock = true AND price < 50``.
        """
        return self._suggester.recommend_many(requests)

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
