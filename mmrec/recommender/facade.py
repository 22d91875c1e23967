"""`Recommender`: a bundle loaded into this process, with the same calls as the gRPC clients.

Unit of work: a batch of requests of one kind. Knows nothing about gRPC.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmrec.bundle import Bundle, BundleWriter, open_bundle
from mmrec.catalogue.change_applier import ChangeApplier, EncodeResult, MemoryLog
from mmrec.contract.changes import ChangeResults, DeleteRequest, UpsertRequest
from mmrec.contract.items import ItemInput, Versions
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
from mmrec.recommender.artefact import ENCODERS, read_features, read_index, read_parts, read_thumbnails
from mmrec.recommender.catalogue_update import check_change, check_changeable, ready_to_change
from mmrec.recommender.encoded_item_bytes import encoder_version, pack_items, unpack_items
from mmrec.recommender.encoded_items import EncodedItems, encode_items, no_items
from mmrec.recommender.live_events import LiveEvents
from mmrec.recommender.modality_vectors import CatalogueSides
from mmrec.recommender.partial_update import encode_fields
from mmrec.recommender.publishing import publish_snapshot
from mmrec.recommender.ranker import Ranker
from mmrec.recommender.snapshot import Snapshot, changed_snapshot, make_snapshot, successor
from mmrec.runtime.device import resolve_device, resolve_dtype
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec.sdk.engine_methods import EngineMethods
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.item_encoder_files import load_item_encoder


class Recommender(EngineMethods):
    """Recommends from a bundle. Make one with `Recommender.load`.

    Questions are asked from one thread at a time. The catalogue may be changed from another one meanwhile, and another
    version of the bundle may take its place: a question is answered wholly from the state in which it found things.
    """

    def __init__(
        self, bundle: Bundle, ranker: Ranker, encoder: ItemEncoder, *, device: str = "auto", dtype: str = "auto"
    ) -> None:
        index = read_index(bundle, ranker.parts.fused_ND.whole(), ranker.device)
        sides = CatalogueSides(
            ranker.parts.fused_ND, index, encoder, lambda: read_features(bundle), lambda: read_thumbnails(bundle)
        )
        # All that belongs to one bundle is in one snapshot, so that it changes in one step.
        # Every question reads it once and is answered by what it has read; see `Snapshot`.
        self._now = make_snapshot(ranker, sides, LiveEvents.begin(ranker.parts), bundle.manifest.versions, bundle)
        self._device, self._dtype = device, dtype
        # Held while a changed catalogue is made, which takes its time; and for the moment in which a snapshot follows
        # another one, so that neither a change nor an event that is recorded meanwhile gets lost.
        self._changing = threading.RLock()
        self._following = threading.Lock()
        self._changes = 0
        self._applier: ChangeApplier[EncodedItems] = ChangeApplier(self, MemoryLog(self), self._changing)
        self._version: tuple[ItemEncoder, str] | None = None

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
        encoder = load_item_encoder(opened.folder / ENCODERS, device=device, dtype=dtype)
        return cls(opened, ranker, encoder, device=device, dtype=dtype)

    # --- versions of the bundle --------------------------------------------------------------------------------------

    @property
    def _encoder(self) -> ItemEncoder:
        return self._now.sides.encoder

    @property
    def bundle(self) -> Bundle:
        """The version of the bundle that is served."""
        return self._now.bundle

    def load_current(self) -> Recommender:
        """The version of the same bundle folder that is current by now, beside this one and independent of it.

        It computes on the same device. Both are in memory until one of them is let go.

        Raises:
            NotFoundError, BundleError: as `load`.
        """
        return Recommender.load(self._now.bundle.root, device=self._device, dtype=self._dtype)

    def adopt(self, other: Recommender) -> None:
        """Go on with all that another recommender has, in one step; safe to call while questions are answered.

        A question that has begun is answered from what was there before. What was changed in this catalogue and not in
        the other one is left behind, so changes that are to stay are made to the other one first. Events recorded
        here go over by item id; those of items that the other one never had are left behind. When its codebooks are
        others, semantic IDs of those before it can be looked up until the next such step. The other one is not to be
        used any more.
        """
        with self._changing, other._changing:
            new, ids = successor(self._now, other._now), self._now.parts.catalogue.item_ids
            row_of = new.parts.catalogue.last_row_of
            with self._following:
                live = self._now.live.over(new.live, lambda row: row_of(ids[row]))
                self._now = new._replace(live=live)
            self._changes = other._changes

    def publish(
        self, writer: BundleWriter, *, catalogue: str, folded: Mapping[str, Any], progress: Progress = NO_PROGRESS
    ) -> Path:
        """Write the catalogue as it is now as a new version of its bundle; nothing is trained or encoded.

        Events that were recorded here are not in it. Rows of items that are gone stay as such, so that histories and
        counts mean what they meant and everybody is recommended the same.

        Args:
            writer: Of a bundle folder, open; it is committed.
            catalogue: Version of the catalogue that replies made with it will name.
            folded: What is told of the changes in the manifest, any JSON object.
            progress: Reports the vector index.

        Returns:
            The folder of the new version.
        """
        return publish_snapshot(self._now, writer, catalogue, folded, progress)

    # --- recommend -------------------------------------------------------------------------------------------------

    def recommend_many(self, requests: Sequence[RecommendRequest]) -> list[Recommendations | MmrecError]:
        """Recommend for several customers at once.

        Every entry holds exactly ``min(k, eligible)`` items of the catalogue. A customer without any known history
        item gets the most popular ones, and the reply says so. A filter is exact inside the search; in relaxed mode a
        list that it leaves too short is filled up with the best of the other items, and the reply says so. What is in
        stock is a column like any other: ``in_stock = true AND price < 50``.
        """
        return self._now.recommend_many(requests)

    # --- take in events --------------------------------------------------------------------------------------------

    def record_events(self, events: Iterable[tuple[str, str]]) -> list[str]:
        """Take in what customers did since the bundle was made; later recommendations build on it.

        A customer's history grows, and so do the counts of what follows what; nothing is trained, and the bundle on
        disk stays as it is. Events live as long as this object. Safe to call from any thread: a question is answered
        with all events of a call or with none of them.

        Args:
            events: Pairs of user id and item id, in the order in which they happened. The user id may be new, or empty
                for nobody known.

        Returns:
            Item ids that the catalogue lacks, in order of first appearance; their events are skipped.
        """
        came, missing = list(events), dict[str, None]()
        with self._following:
            now, taken = self._now, []
            for user_id, item_id in came:
                row = now.parts.catalogue.row_of(item_id)
                if row is None:
                    missing[item_id] = None
                else:
                    taken.append((user_id, row))
            if taken:
                self._now = now._replace(live=now.live.after(taken))
        return list(missing)

    # --- ask about items -------------------------------------------------------------------------------------------

    def similar_many(self, requests: Sequence[SimilarRequest]) -> list[SearchResults | MmrecError]:
        """Nearest items of several items; the item itself is left out."""
        return self._now.similar_many(requests)

    def search_many(self, requests: Sequence[SearchRequest]) -> list[SearchResults | MmrecError]:
        """Nearest items to words, pictures, items, several of them, or vectors."""
        return self._now.search_many(requests)

    def tag_many(self, requests: Sequence[TagRequest]) -> list[TagResults | MmrecError]:
        """Labels of several batches of items, with probabilities."""
        return self._now.tag_many(requests)

    def duplicates_many(self, requests: Sequence[DuplicatesRequest]) -> list[DuplicateGroups | MmrecError]:
        """Things that are in the catalogue twice."""
        return self._now.duplicates_many(requests)

    def mismatches_many(self, requests: Sequence[MismatchRequest]) -> list[Mismatches | MmrecError]:
        """Items whose picture and words do not agree, worst first."""
        return self._now.mismatches_many(requests)

    # --- embed -----------------------------------------------------------------------------------------------------

    def embed_many(self, requests: Sequence[EmbedRequest]) -> list[EmbedResults | MmrecError]:
        """Fused embeddings and semantic IDs of described items, item by item."""
        return self._now.embed_many(requests)

    # --- look up ---------------------------------------------------------------------------------------------------

    def items_many(self, requests: Sequence[Sequence[str]]) -> list[ItemLookup | MmrecError]:
        """Catalogue rows by id, in the asked order."""
        return self._now.items_many(requests)

    def list_items_many(self, requests: Sequence[ListItemsRequest]) -> list[ItemPage | MmrecError]:
        """Pages of the catalogue."""
        return self._now.list_items_many(requests)

    def semantic_ids_many(self, requests: Sequence[SemanticIdsRequest]) -> list[SemanticIds | MmrecError]:
        """Semantic IDs of items."""
        return self._now.semantic_ids_many(requests)

    def resolve_many(self, requests: Sequence[ResolveRequest]) -> list[ResolvedPaths | MmrecError]:
        """Items of semantic IDs."""
        return self._now.resolve_many(requests)

    def info(self) -> ServiceInfo:
        """What this recommender serves."""
        return self._now.info()

    def snapshot(self) -> Snapshot:
        """This recommender as it is now, for several calls that are to be answered from one state."""
        return self._now

    # --- change the catalogue ----------------------------------------------------------------------------------------

    def upsert_many(self, requests: Sequence[UpsertRequest]) -> list[ChangeResults | MmrecError]:
        """Add items, or replace those of the same id; they can be recommended, found and filtered when this returns.

        Each is encoded, fused and quantised with what the bundle was fitted with, and given a free path: nothing is
        trained. An item that training knows keeps what training taught of it. With `UpsertRequest.fields` only these
        are replaced, in items that exist, and the vectors of the rest are kept. The bundle on disk stays as it
        is. One change is made after the other, and the last 10,000 with a request id are remembered as long as this
        object lives. A change fails as a whole with FAILED_PRECONDITION when the bundle's tokenizer gives new items no
        path.
        """
        return self._applier.apply_many(requests)

    def delete_many(self, requests: Sequence[DeleteRequest]) -> list[ChangeResults | MmrecError]:
        """Remove items; none of them is shown again when this returns, and histories that hold them stay.

        An id that the catalogue does not have is NOT_FOUND in its own entry. A change fails as a whole with
        FAILED_PRECONDITION when no item would be left.
        """
        return self._applier.apply_many(requests)

    def encode_items(self, items: Sequence[ItemInput], fields: Sequence[str] = ()) -> EncodeResult[EncodedItems]:
        """Encode items that are to be added; safe to call while questions are answered.

        See `mmrec.recommender.encoded_items.encode_items`, and `mmrec.recommender.partial_update.encode_fields` for
        items of which only `fields` are replaced.
        """
        now = self._now
        if fields:
            return encode_fields(now.parts.catalogue, now.sides, items, fields)
        return encode_items(now.parts.catalogue, now.sides.encoder, items)

    @property
    def encoder_version(self) -> str:
        """Stands for everything that packed items depend on; see `mmrec.recommender.encoded_item_bytes`."""
        encoder, known = self._encoder, self._version
        if known is None or known[0] is not encoder:
            # It looks at all weights, and is asked for at every change.
            self._version = known = encoder, encoder_version(encoder)
        return known[1]

    def check_changeable(self) -> None:
        """Refuse where no item can come in.

        Raises:
            FailedPreconditionError: the bundle's tokenizer gives new items no path.
        """
        check_changeable(self._now.parts)

    def prepare_changes(self) -> None:
        """Make what the first change would have to make; safe to call while questions are answered."""
        with self._changing:
            parts = ready_to_change(self._now.parts)
            with self._following:
                self._now = self._now._replace(parts=parts)

    def check_deletable(self, item_ids: Sequence[str]) -> None:
        """Refuse where no item would be left.

        Raises:
            FailedPreconditionError: the catalogue has no other items than these.
        """
        parts = self._now.parts
        check_change(parts, no_items(parts.fused_ND.shape[1]), item_ids)

    def pack_items(self, items: EncodedItems) -> list[bytes]:
        """Each encoded item as bytes that can be kept."""
        return pack_items(items)

    def unpack_items(
        self, items: Sequence[ItemInput], packed: Sequence[bytes], fields: Sequence[Sequence[str]] = ()
    ) -> EncodedItems:
        """Items with the bytes that were kept, encoded without an encoder.

        Args:
            items: As they were sent, none twice.
            packed: From `pack_items`, one each.
            fields: For each item the fields that are replaced, none for a whole item. Empty: all are whole.

        Raises:
            BundleError: bytes are damaged.
            NotFoundError: fields are to be replaced of an item that the catalogue does not have.
        """
        now = self._now
        return unpack_items(now.parts.catalogue, now.sides.encoder, items, packed, fields)

    def known(self, item_ids: Sequence[str]) -> list[bool]:
        """Which ids the catalogue has."""
        catalogue = self._now.parts.catalogue
        return [catalogue.row_of(item_id) is not None for item_id in item_ids]

    def change(self, items: EncodedItems | None, deleted: Sequence[str] = (), *, version: str = "") -> Versions:
        """Add, replace and delete items at once; safe to call while questions are answered.

        Args:
            items: From `encode_items`; None for none.
            deleted: Ids of items to delete; those that are not there are passed over.
            version: Version of the catalogue from then on; empty for the bundle's with the number of changes so far.

        Returns:
            The versions that replies name from now on.
        """
        with self._changing:
            now = self._now
            if (items is None or not items.records) and not deleted:
                return now.versions
            self._changes += 1
            base = now.bundle.manifest.versions
            versions = replace(base, catalogue=version or f"{base.catalogue}+{self._changes}")
            items = items or no_items(now.parts.fused_ND.shape[1])
            made = changed_snapshot(now, items, deleted, versions)
            with self._following:
                self._now = made._replace(live=self._now.live)
            return versions
