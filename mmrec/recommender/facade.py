"""`Recommender`: a bundle loaded into this process, with the same calls as the gRPC clients.

Unit of work: a batch of requests of one kind. Knows nothing about gRPC.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from mmrec.bundle import Bundle, BundleWriter, FileEntry, open_bundle
from mmrec.catalogue.change_applier import ChangeApplier, EncodeResult, MemoryLog
from mmrec.contract.changes import ChangeResults, DeleteRequest, UpsertRequest
from mmrec.contract.engine import EngineFigures
from mmrec.contract.events import (
    DeletedUser,
    DeleteUserRequest,
    EventPage,
    EventResults,
    ListEventsRequest,
    RecordEventsRequest,
    UserEvent,
)
from mmrec.contract.forgotten_users import ForgottenUsers
from mmrec.contract.items import ItemInput, Versions
from mmrec.contract.outcomes import outcome
from mmrec.contract.replies import ServiceInfo
from mmrec.data.feedback import FeedbackRule
from mmrec.errors import MmrecError
from mmrec.generator.pretrained import Checkpoint
from mmrec.recommender.artefact import (
    ENCODERS,
    HOLDS_DELETIONS,
    HOLDS_EVENTS,
    IGNORE_TYPES,
    REJECTED_BELOW,
    read_features,
    read_index,
    read_parts,
    read_thumbnails,
    with_tables_unread,
)
from mmrec.recommender.catalogue_update import check_change, check_changeable, ready_to_change
from mmrec.recommender.encoded_item_bytes import encoder_version, pack_items, unpack_items
from mmrec.recommender.encoded_items import EncodedItems, encode_items, no_items
from mmrec.recommender.event_memory import EventMemory
from mmrec.recommender.live_events import LiveEvents, live_events
from mmrec.recommender.modality_vectors import ModalityVectors
from mmrec.recommender.partial_update import encode_fields
from mmrec.recommender.publishing import publish_snapshot
from mmrec.recommender.ranking_model import RankingModel, item_states
from mmrec.recommender.reply_wording import NamedWriter, ReplyWording, WordingConfig, load_writer
from mmrec.recommender.snapshot import (
    Reused,
    Snapshot,
    SnapshotAnswers,
    changed_snapshot,
    make_snapshot,
    successor,
)
from mmrec.runtime.device import resolve_device, resolve_dtype
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec.sdk.engine_methods import EngineMethods
from mmrec.understanding.thumbnails import thumbnail_beside
from mmrec_encoders.item_encoder import DecodedAhead, ItemEncoder
from mmrec_encoders.item_encoder_files import load_item_encoder
from mmrec_encoders.picture_decoding import DecodedPicture, PictureSetup, decode_as


class Recommender(SnapshotAnswers, EngineMethods):
    """Recommends from a bundle. Make one with `Recommender.load`.

    Requests come from one thread at a time. Meanwhile another thread may change the catalogue or replace the version of
    the bundle: a request is answered from one snapshot, the current one when it began.
    """

    def __init__(
        self,
        bundle: Bundle,
        ranker: RankingModel,
        encoder: ItemEncoder,
        *,
        device: str = "auto",
        dtype: str = "auto",
        language_model: NamedWriter | None = None,
    ) -> None:
        index = read_index(bundle, ranker.parts.fused_ND.whole(), ranker.device)
        vectors = ModalityVectors(
            ranker.parts.fused_ND, index, encoder, lambda: read_features(bundle), lambda: read_thumbnails(bundle)
        )
        # Everything of one bundle is in one snapshot, so it is replaced in one step. Each request reads `_now` once.
        parameters = bundle.manifest.parameters
        types, below = parameters.get(IGNORE_TYPES), parameters.get(REJECTED_BELOW)
        rule = FeedbackRule(None if types is None else tuple(types), None if below is None else float(below))
        live = LiveEvents.begin(ranker.parts, int(parameters.get(HOLDS_DELETIONS, 0)), rule)
        self._now = make_snapshot(ranker, vectors, live, bundle.manifest.versions, bundle, Reused())
        self._device, self._dtype = device, dtype
        self._language_model = language_model
        self._wording: ReplyWording | None = None
        if language_model is not None:
            self._wording = ReplyWording(
                language_model.writer, lambda: self._now.parts.catalogue, language_model.limits.seconds
            )
        # `_changing` is held while a changed catalogue is made, which is slow; `_following` only while a snapshot is
        # replaced, so that no change and no event recorded meanwhile is lost.
        self._changing = threading.RLock()
        self._following = threading.RLock()
        self._changes = 0
        self._recorded = EventMemory()
        self._applier: ChangeApplier[EncodedItems] = ChangeApplier(self, MemoryLog(self), self._changing)
        self._version: tuple[ItemEncoder, str] | None = None

    @classmethod
    def load(
        cls,
        bundle: str | os.PathLike[str],
        *,
        device: str = "auto",
        dtype: str = "auto",
        language_model: str | Checkpoint | NamedWriter = "",
        wording: WordingConfig | None = None,
        encoders_when_used: bool = False,
    ) -> Recommender:
        """Verify a bundle and load it.

        With a language model, the sentences of `explain`, of `recommend(explain_in_words=True)` and of conversations
        are worded by it, and checked against what they rest on; those that it does not pass stay as templates make
        them. Nothing else depends on it: items, statements, constraints and questions are the same.

        Args:
            bundle: Bundle folder, or one version inside it.
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
            dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
            language_model: A language model for words: ``smollm2-135m``, which comes in a Python package, a hub id, a
                folder, a GGUF file, or what `find_checkpoint` found of them; or a writer of one's own. Empty: none.
            wording: Limits of the language model; a writer of one's own has its own.
            encoders_when_used: Load the image and the text encoder when each is first used, and not now. For a single
                question, which may need neither; the errors about the encoders are then raised by the call that uses
                them.

        Raises:
            NotFoundError: there is no such folder.
            BundleError: it is damaged, mixed or half-written.
            DeviceNotAvailableError: the device is not on this machine.
            MissingExtraError: the package of the language model is not installed.
            ModelNotAvailableError: the language model is nowhere to be found.
            InvalidArgumentError: the files of the language model cannot be read, or it has too few positions.
        """
        where = resolve_device(device)
        number_format = resolve_dtype(dtype, where)
        opened = open_bundle(bundle)
        parts = read_parts(opened, where)
        # Tables were read through Arrow, which keeps memory that it will not need again.
        pa.default_memory_pool().release_unused()
        states = item_states(parts, where, number_format)
        if where.type == "cpu":
            parts = with_tables_unread(parts, opened)
        ranker = RankingModel(parts, where, number_format, states)
        encoder = load_item_encoder(opened.folder / ENCODERS, device, dtype, when_used=encoders_when_used)
        writer = None
        if isinstance(language_model, NamedWriter):
            writer = language_model
        elif language_model:
            writer = load_writer(language_model, where, number_format, wording)
        return cls(opened, ranker, encoder, device=device, dtype=dtype, language_model=writer)

    # --- versions of the bundle --------------------------------------------------------------------------------------

    @property
    def _encoder(self) -> ItemEncoder:
        return self._now.vectors.encoder

    @property
    def bundle(self) -> Bundle:
        """The version of the bundle that is served."""
        return self._now.bundle

    def load_current(self) -> Recommender:
        """Load the current version of the same bundle folder, to be changed and asked independently of this one.

        It computes on the same device. Both are in memory until one of them is released; encoders that are the same in
        both versions are in memory once.

        Raises:
            NotFoundError, BundleError: as `load`.
        """
        now, device, dtype = self._now, self._device, self._dtype
        where, opened, encoder = resolve_device(device), open_bundle(now.bundle.root), now.vectors.encoder
        ranker = RankingModel(read_parts(opened, where), where, resolve_dtype(dtype, where))
        if _encoder_files(opened) != _encoder_files(now.bundle):
            encoder = load_item_encoder(opened.folder / ENCODERS, device=device, dtype=dtype)
        return Recommender(opened, ranker, encoder, device=device, dtype=dtype)

    def adopt(self, other: Recommender, earlier: Iterable[tuple[int, UserEvent]] = ()) -> None:
        """Replace the state by that of another recommender, in one step; safe while requests are answered.

        A request that has begun is answered from the old state. Changes of this catalogue that the other one lacks are
        dropped, so make them in the other one first. Events recorded here are kept, but for those that the other bundle
        was fitted on, and say of their items what they said when they came; deleted users stay deleted. If the
        codebooks differ, semantic IDs of the old ones can still be looked up until the next call. The other recommender
        must not be used afterwards.

        Args:
            other: The other recommender.
            earlier: Where its bundle was fitted on fewer events, those that it lacks and this bundle has, each with its
                number.
        """
        with self._changing, other._changing:
            new = successor(self._now, other._now)
            held = int(new.bundle.manifest.parameters.get(HOLDS_EVENTS, 0))
            with self._following:
                new.live.forget(self._now.live.forgotten)
                later = (event for event in self._now.live if not 0 < event.number <= held)
                before = live_events(earlier, new.live.rule)
                self._now = replace(new, live=new.live.after([*before, *later]))
            self._changes = other._changes
            self._applier.replaced()

    def publish(
        self, writer: BundleWriter, *, catalogue: str, folded: Mapping[str, Any], progress: Progress = NO_PROGRESS
    ) -> Path:
        """Write the current catalogue as a new version of its bundle; nothing is trained or encoded.

        Recorded events are not written. Rows of deleted items stay, marked as deleted, so that histories and counts
        stay valid and recommendations are the same.

        Args:
            writer: An open writer of a bundle folder; it is committed.
            catalogue: Version of the catalogue, named in replies.
            folded: Description of the changes for the manifest, any JSON object.
            progress: Reports the building of the vector index.

        Returns:
            The folder of the new version.
        """
        return publish_snapshot(self._now, writer, catalogue, folded, progress)

    # --- record events ---------------------------------------------------------------------------------------------

    def record_events_many(self, requests: Sequence[RecordEventsRequest]) -> list[EventResults | MmrecError]:
        """Record events of customers; later answers use them.

        They extend histories and transition counts; nothing is trained, and the bundle on disk does not change. Events,
        and the last 100,000 of their ids, are kept as long as this object.
        """
        return [outcome(self._record, request) for request in requests]

    def _record(self, request: RecordEventsRequest) -> EventResults:
        if request.validate_only:
            return request.results()
        with self._following:
            self.add_events((0, event) for event in self._recorded.record(request.identified()))
        return request.results()

    def list_events_many(self, requests: Sequence[ListEventsRequest]) -> list[EventPage | MmrecError]:
        """Pages of the events that `record_events` was given, of one customer each."""
        with self._following:
            return [outcome(self._recorded.page, request) for request in requests]

    def delete_user_many(self, requests: Sequence[DeleteUserRequest]) -> list[DeletedUser | MmrecError]:
        """Delete customers: recorded events, and the use of what the bundle knows of them.

        They are unknown to every later call, as long as this object; of one that comes back, later events count. Counts
        of items that follow one another stay. The bundle on disk does not change, and `publish` writes its histories
        whole.
        """
        return [outcome(self._delete_user, request) for request in requests]

    def _delete_user(self, request: DeleteUserRequest) -> DeletedUser:
        with self._following:
            removed = self._recorded.delete_user(request.user_id)
            self.forget_users(self._now.live.forgotten.with_user(request.user_id), request.user_id)
        return DeletedUser(removed)

    def forget_users(self, forgotten: ForgottenUsers, user_id: str = "") -> None:
        """Use nothing of customers that were deleted elsewhere; safe to call while requests are answered.

        Args:
            forgotten: All that were deleted.
            user_id: One of them, who has just been deleted: the events that `add_events` was given are dropped.
        """
        with self._following:
            self._now.live.forget(forgotten, user_id)

    def deleted_since(self, forgotten: ForgottenUsers) -> list[str]:
        """Customers with recorded events who were deleted elsewhere, and whom no `forget_users` has named yet.

        Args:
            forgotten: All that were deleted.
        """
        with self._following:
            return self._now.live.deleted_since(forgotten)

    def add_events(self, events: Iterable[tuple[int, UserEvent]], *, count: bool = True) -> None:
        """Use events that are recorded elsewhere; safe to call while requests are answered.

        Args:
            events: The number of each, in its store, and the event.
            count: Whether transitions have them at once; False: when `count_events` has been called.
        """
        found = live_events(events, self._now.live.rule)
        if found:
            with self._following:
                self._now = replace(self._now, live=self._now.live.after(found, count=count))

    def count_events(self) -> None:
        """Bring the transitions up to the last event. Takes as long as a pass over all pairs; requests go on."""
        now = self._now
        live = now.live.counting()
        live.transitions(now.parts.catalogue)
        with self._following:
            self._now = replace(self._now, live=self._now.live.counting(live))

    # --- requests ---------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The current snapshot, for several calls that must be answered from one state."""
        return self._now

    def wording(self) -> ReplyWording | None:
        """What words replies; None without a language model. The ``*_many`` methods never use it."""
        return self._wording

    def info(self) -> ServiceInfo:
        """What is served."""
        found, model = super().info(), self._language_model
        if model is None:
            return found
        return replace(found, language_model=model.name, language_model_version=model.version)

    def figures(self) -> EngineFigures:
        """What metrics tell of the inside; see `mmrec.contract.engine.figures_of`."""
        now = self._now
        delta = now.parts.fused_ND.delta
        caches = {"filters": now.filters.cache_use, "labels": now.tagger.cache_use}
        return EngineFigures(0 if delta is None else len(delta), caches)

    # --- change the catalogue ----------------------------------------------------------------------------------------

    def upsert_many(self, requests: Sequence[UpsertRequest]) -> list[ChangeResults | MmrecError]:
        """Add items, or replace those of the same id; they can be recommended, found and filtered when this returns.

        Each item is encoded, fused and quantised with the models of the bundle and gets a free path: nothing is
        trained, and an item with training events keeps what was learned of it. With `UpsertRequest.fields` only these
        fields of existing items are replaced, and other vectors are kept. The bundle on disk does not change. Changes
        are applied one after the other, and the last 10,000 with a request id are remembered as long as this object
        exists. A change fails as a whole with FAILED_PRECONDITION when the bundle's tokenizer gives new items no path.
        """
        return self._applier.apply_many(requests)

    def delete_many(self, requests: Sequence[DeleteRequest]) -> list[ChangeResults | MmrecError]:
        """Delete items; none is shown after this returns, and histories keep them.

        An id that the catalogue lacks is NOT_FOUND in its own entry. A change fails as a whole with
        FAILED_PRECONDITION when no item would be left.
        """
        return self._applier.apply_many(requests)

    def decode_ahead(
        self,
        picture: bytes,
        *,
        thumbnail: bool,
        decode: Callable[[PictureSetup, bytes], DecodedPicture] | None = None,
    ) -> DecodedAhead | None:
        """See `mmrec.contract.engine.PictureDecoder`."""
        return self._encoder.decode_ahead(picture, thumbnail_beside if thumbnail else None, decode or decode_as)

    def encode_items(self, items: Sequence[ItemInput], fields: Sequence[str] = ()) -> EncodeResult[EncodedItems]:
        """Encode items to add; safe to call while requests are answered.

        See `mmrec.recommender.encoded_items.encode_items`, and for a partial update of `fields`
        `mmrec.recommender.partial_update.encode_fields`.
        """
        now = self._now
        if fields:
            return encode_fields(now.parts.catalogue, now.filters, now.vectors, items, fields)
        return encode_items(now.parts.catalogue, now.filters, now.vectors.encoder, items)

    @property
    def encoder_version(self) -> str:
        """A digest of everything that packed items depend on; see `mmrec.recommender.encoded_item_bytes`."""
        encoder, known = self._encoder, self._version
        if known is None or known[0] is not encoder:
            # It reads all weights, and every change needs it.
            self._version = known = encoder, encoder_version(encoder)
        return known[1]

    def check_changeable(self) -> None:
        """Check that items can be added.

        Raises:
            FailedPreconditionError: the bundle's tokenizer gives new items no path.
        """
        check_changeable(self._now.parts)

    def prepare_changes(self) -> None:
        """Prepare the tables that the first change needs; safe to call while requests are answered."""
        with self._changing:
            self._now.filters.fix_kinds()
            parts = ready_to_change(self._now.parts)
            with self._following:
                self._now = replace(self._now, parts=parts)

    def check_deletable(self, item_ids: Sequence[str]) -> None:
        """Check that items would be left after deleting these.

        Raises:
            FailedPreconditionError: the catalogue has no other items than these.
        """
        parts = self._now.parts
        check_change(parts, no_items(parts.fused_ND.shape[1]), item_ids)

    def pack_items(self, items: EncodedItems) -> list[bytes]:
        """Each encoded item as bytes that can be stored."""
        return pack_items(items)

    def unpack_items(
        self, items: Sequence[ItemInput], packed: Sequence[bytes], fields: Sequence[Sequence[str]] = ()
    ) -> EncodedItems:
        """Encoded items from their stored bytes, without running an encoder.

        Args:
            items: The items as they were sent, none twice.
            packed: From `pack_items`, one each.
            fields: For each item the fields of a partial update, none for a whole item. Empty: all are whole.

        Raises:
            BundleError: bytes are damaged.
            NotFoundError: fields are to be replaced of an item that the catalogue does not have.
        """
        now = self._now
        return unpack_items(now.parts.catalogue, now.vectors.encoder, items, packed, fields)

    def known(self, item_ids: Sequence[str]) -> list[bool]:
        """Whether the catalogue has each id."""
        catalogue = self._now.parts.catalogue
        return [catalogue.row_of(item_id) is not None for item_id in item_ids]

    def change(self, items: EncodedItems | None, deleted: Sequence[str] = (), *, version: str = "") -> Versions:
        """Add, replace and delete items in one change; safe to call while requests are answered.

        Args:
            items: From `encode_items`; None for none.
            deleted: Ids of items to delete; unknown ones are ignored.
            version: New version of the catalogue; empty: the bundle's version and the number of changes.

        Returns:
            The versions that replies name after the change.
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
                self._now = replace(made, live=self._now.live)
            return versions


def _encoder_files(bundle: Bundle) -> dict[str, FileEntry]:
    """The files that name and hold the encoders, fingerprints of models from elsewhere included."""
    return {name: entry for name, entry in bundle.manifest.files.items() if name.startswith(f"{ENCODERS}/")}
