"""A small real engine for tests: 20 items on a circle, answers that can be worked out by hand, and some
traps.

Item i is ``item-i``; its path is i, 255, 0; its embedding is the point at i/20 of a turn, and only even items have a
picture. A recommendation continues the circle from the last known item of the history. The length of a search's words
names an item, and that of a label a point; some words are traps. Items 0 and 1 are the same thing, and so are 4, 5 and
6; pictures and words of 7 and 3 do not agree.

Items that come are kept in a dictionary: `items_many`, `list_items_many` and `info` know them, and what has gone is not
recommended. The circle stays as it is.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mmrec.catalogue.catalogue import Catalogue
from mmrec.catalogue.change_applier import ChangeApplier, EncodeResult, MemoryLog
from mmrec.contract.changes import ChangeResults, DeleteRequest, UpsertRequest
from mmrec.contract.conversation import ConversationState, ConversationTurn, ConverseRequest
from mmrec.contract.engine import Recommend
from mmrec.contract.events import (
    DeletedUser,
    DeleteUserRequest,
    EventPage,
    EventResults,
    ListEventsRequest,
    RecordEventsRequest,
)
from mmrec.contract.items import (
    ChannelShare,
    Evidence,
    Fallback,
    FilterMode,
    HistoryShare,
    ItemFailure,
    ItemInput,
    ItemRecord,
    Modality,
    ScoredItem,
    Statement,
    StatementKind,
    Versions,
)
from mmrec.contract.replies import (
    DuplicateGroup,
    DuplicateGroups,
    EmbedResults,
    Explanation,
    Explanations,
    ItemEmbedding,
    ItemLookup,
    ItemPage,
    ItemPath,
    ItemTags,
    Mismatch,
    Mismatches,
    PredictedRating,
    PredictedRatings,
    Recommendations,
    ResolvedPath,
    ResolvedPaths,
    SearchResults,
    SemanticIds,
    ServiceInfo,
    Tag,
    TagCalibration,
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
from mmrec.data.feedback import FeedbackRule
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, InvalidImageError, MmrecError, NotFoundError
from mmrec.filters.filter import CatalogueFilter
from mmrec.recommender.event_memory import EventMemory
from mmrec.recommender.live_events import given_events
from mmrec.recommender.page_tokens import ReturnedItems, last_id, page_by_id, page_by_rank
from mmrec.recommender.partial_update import replaced_record
from mmrec.sdk.engine_methods import EngineMethods
from tests.serving.dict_engine import RecordItems

ITEMS = 20
VERSIONS = Versions(model="m1", catalogue="c1", codebook="b1")
GROUPS = (((0, 1), 0.99, Evidence.BOTH), ((4, 5, 6), 0.97, Evidence.PICTURE))
DISAGREEING = ((7, -0.5, 0.0, 0.1), (3, 0.0, 0.5, 0.4))
TRAPS = ("trap: raise", "trap: exit", "trap: wait", "trap: slow")


class EngineExit(BaseException):
    """Ends the engine's thread, as nothing an engine does on purpose would."""


class FakeEngine(EngineMethods):
    """Deterministic; `asked` lists the sizes of the batches it was given."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.recorded: list[RecordEventsRequest] = []
        self.memory = EventMemory()
        self.threads: set[int] = set()
        self.entered = threading.Event()
        self.release = threading.Event()
        self.versions = VERSIONS
        self.records = {f"item-{row}": _record(row) for row in range(ITEMS)}
        self._applier = ChangeApplier(self, MemoryLog(self))
        self._changes = 0

    def recommend_many(self, requests: Sequence[RecommendRequest]) -> list[Recommendations | MmrecError]:
        self._note("recommend", len(requests))
        return [_answered(self._recommend, request) for request in requests]

    def rank_many(self, requests: Sequence[RankRequest]) -> list[Recommendations | MmrecError]:
        self._note("rank", len(requests))
        return [_answered(self._recommend, _restricted(request)) for request in requests]

    def converse_many(
        self, requests: Sequence[ConverseRequest], recommend: Recommend | None = None
    ) -> list[ConversationTurn | MmrecError]:
        self._note("converse", len(requests))
        return [_answered(self._converse, request) for request in requests]

    def embed_user_many(self, requests: Sequence[EmbedUserRequest]) -> list[UserEmbedding | MmrecError]:
        self._note("embed-user", len(requests))
        return [_answered(self._embed_user, request) for request in requests]

    def _embed_user(self, request: EmbedUserRequest) -> UserEmbedding:
        """The point of the item that would be recommended first, or that the words name."""
        if request.dimension not in (0, 1, 2):
            raise InvalidArgumentError("dimension is not 0, 1 or 2", field="dimension")
        found = self._recommend(RecommendRequest(request.history, k=1))
        row = len(request.text) % ITEMS if request.text else _row(found.items[0].item_id)
        assert row is not None
        angle = 2 * math.pi * row / ITEMS
        vector = np.array([math.cos(angle), math.sin(angle)], np.float32)
        if request.dimension == 1:
            vector = np.sign(vector[:1])
        return UserEmbedding(vector, found.missing_ids, Fallback.NONE if request.text else found.fallback, VERSIONS)

    def explain_many(self, requests: Sequence[ExplainRequest]) -> list[Explanations | MmrecError]:
        self._note("explain", len(requests))
        return [_answered(self._explain, request) for request in requests]

    def _explain(self, request: ExplainRequest) -> Explanations:
        """The last known item of the history speaks for every item."""
        asked = request.customer
        customer = RecommendRequest(
            asked.history,
            history_events=tuple(one for one in asked.history_events if FeedbackRule().takes(one.event_type)),
            allow=request.item_ids,
            include_seen=True,
            explain=True,
        )
        found = self._recommend(
            replace(customer, expected_versions=asked.expected_versions, validate_only=asked.validate_only)
        )
        by_id = {item.item_id: item for item in found.items}
        explanations = []
        for item_id in dict.fromkeys(request.item_ids):
            if item_id in by_id:
                last = by_id[item_id].shares[0].history_item_id if by_id[item_id].shares else ""
                said = (Statement(StatementKind.HISTORY, f"Because of {last}.", (last,), share=0.5),) if last else ()
                text = said[0].text if said else ""
                explanations.append(Explanation(item_id, text, said, by_id[item_id].shares))
        return Explanations(tuple(explanations), found.missing_ids, VERSIONS)

    def predict_ratings_many(self, requests: Sequence[RatingRequest]) -> list[PredictedRatings | MmrecError]:
        self._note("predict-ratings", len(requests))
        return [_answered(_rated, request) for request in requests]

    def similar_many(self, requests: Sequence[SimilarRequest]) -> list[SearchResults | MmrecError]:
        self._note("similar", len(requests))
        return [_answered(_similar, request) for request in requests]

    def search_many(self, requests: Sequence[SearchRequest]) -> list[SearchResults | MmrecError]:
        self._note("search", len(requests))
        for request in requests:
            self.spring(request.text)
        return [_answered(_search, request) for request in requests]

    def embed_many(self, requests: Sequence[EmbedRequest]) -> list[EmbedResults | MmrecError]:
        self._note("embed", len(requests))
        return [
            EmbedResults(tuple(_embed(item, request.modality) for item in request.items), VERSIONS)
            if not request.validate_only
            else EmbedResults(tuple(_checked(item, request.modality) for item in request.items), VERSIONS)
            for request in requests
        ]

    def tag_many(self, requests: Sequence[TagRequest]) -> list[TagResults | MmrecError]:
        self._note("tag", len(requests))
        return [_answered(_tag, request) for request in requests]

    def duplicates_many(self, requests: Sequence[DuplicatesRequest]) -> list[DuplicateGroups | MmrecError]:
        self._note("duplicates", len(requests))
        return [_answered(_duplicates, request) for request in requests]

    def mismatches_many(self, requests: Sequence[MismatchRequest]) -> list[Mismatches | MmrecError]:
        self._note("mismatches", len(requests))
        return [_answered(_mismatches, request) for request in requests]

    def list_items_many(self, requests: Sequence[ListItemsRequest]) -> list[ItemPage | MmrecError]:
        self._note("list-items", len(requests))
        return [_answered(self._list_items, request) for request in requests]

    def semantic_ids_many(self, requests: Sequence[SemanticIdsRequest]) -> list[SemanticIds | MmrecError]:
        self._note("semantic-ids", len(requests))
        return [_answered(_semantic_ids, request) for request in requests]

    def resolve_many(self, requests: Sequence[ResolveRequest]) -> list[ResolvedPaths | MmrecError]:
        self._note("resolve", len(requests))
        return [_answered(_resolve, request) for request in requests]

    def items_many(self, requests: Sequence[ItemsRequest]) -> list[ItemLookup | MmrecError]:
        self._note("items", len(requests))
        return [self._items(request) for request in requests]

    def _items(self, request: ItemsRequest) -> ItemLookup:
        missing = dict.fromkeys(item_id for item_id in request.item_ids if item_id not in self.records)
        found = (self.records[item_id] for item_id in request.item_ids if item_id in self.records)
        return ItemLookup(tuple(row.only(request.item_fields) for row in found), tuple(missing), self.versions)

    def snapshot(self) -> FakeEngine:
        """Itself: its answers follow from the circle, which stays as it is."""
        return self

    def upsert_many(self, requests: Sequence[UpsertRequest]) -> list[ChangeResults | MmrecError]:
        self._note("upsert", len(requests))
        for request in requests:
            self.spring(request.valid[0].title if request.valid else "")
        return self._applier.apply_many(requests)

    def delete_many(self, requests: Sequence[DeleteRequest]) -> list[ChangeResults | MmrecError]:
        self._note("delete", len(requests))
        return self._applier.apply_many(requests)

    def record_events_many(self, requests: Sequence[RecordEventsRequest]) -> list[EventResults | MmrecError]:
        self._note("record-events", len(requests))
        self.recorded += requests
        for request in requests:
            self.memory.record(() if request.validate_only else request.identified())
        return [request.results() for request in requests]

    def list_events_many(self, requests: Sequence[ListEventsRequest]) -> list[EventPage | MmrecError]:
        self._note("list-events", len(requests))
        return [_answered(self.memory.page, request) for request in requests]

    def delete_user_many(self, requests: Sequence[DeleteUserRequest]) -> list[DeletedUser | MmrecError]:
        self._note("delete-user", len(requests))
        return [DeletedUser(self.memory.delete_user(request.user_id)) for request in requests]

    def info(self) -> ServiceInfo:
        return ServiceInfo("fake", self.versions, len(self.records), 1, 2, (1,), 3, 256, "cpu", "fake")

    def known(self, item_ids: Sequence[str]) -> list[bool]:
        return [item_id in self.records for item_id in item_ids]

    def check_changeable(self) -> None:
        pass

    def check_deletable(self, item_ids: Sequence[str]) -> None:
        if not set(self.records) - set(item_ids):
            raise FailedPreconditionError("no item would be left")

    def encode_items(self, items: Sequence[ItemInput], fields: Sequence[str] = ()) -> EncodeResult[RecordItems]:
        encoded: dict[str, tuple[int, ItemRecord]] = {}
        errors: dict[int, MmrecError] = {}
        for place, item in enumerate(items):
            if not item.item_id or item.item_id in encoded:
                errors[place] = InvalidArgumentError("the id is empty or there twice", field="item_id")
            elif item.image is not None and not item.image.startswith(b"\xff\xd8"):
                errors[place] = InvalidImageError("the picture is no JPEG", field="image")
            elif fields and item.item_id not in self.records:
                errors[place] = NotFoundError(f"there is no item {item.item_id!r}")
            elif fields:
                encoded[item.item_id] = place, replaced_record(self.records[item.item_id], item, fields)
            else:
                attributes = {name: item.attributes.get(name, "") for name in ("b", "a", "half")}
                path = (len(item.title), 254, len(self.records) + len(encoded))
                record = ItemRecord(item.item_id, item.title, item.description, "", attributes, path)
                encoded[item.item_id] = place, record
        places, records = zip(*encoded.values(), strict=True) if encoded else ((), ())
        return EncodeResult(RecordItems(tuple(records)), tuple(places), errors)

    def change(self, items: RecordItems | None, deleted: Sequence[str] = (), *, version: str = "") -> Versions:
        added = {record.item_id: record for record in (items.records if items else ())}
        if added or deleted:
            self._changes += 1
            self.versions = replace(VERSIONS, catalogue=f"c1+{self._changes}")
            self.records = {i: record for i, record in (self.records | added).items() if i not in deleted}
        return self.versions

    def _list_items(self, request: ListItemsRequest) -> ItemPage:
        last, records = last_id(request), sorted(self.records.values(), key=lambda record: record.item_id)
        passing = CatalogueFilter(_catalogue_of(records)).bitmap(request.filter)
        left = [r for r, passes in zip(records, passing, strict=True) if passes and r.item_id > last]
        shown, more = left[: request.page_size], len(left) > request.page_size
        page = page_by_id(request, shown, more, lambda record: record.item_id)
        items = tuple(record.only(request.item_fields) for record in page.entries)
        return ItemPage(items, int(passing.sum()), page.next_page_token, self.versions)

    def _note(self, kind: str, count: int) -> None:
        self.asked.append((kind, count))
        self.threads.add(threading.get_ident())

    def spring(self, text: str) -> None:
        if text == "trap: raise":
            raise ZeroDivisionError("a secret of the engine")
        if text == "trap: exit":
            raise EngineExit
        if text == "trap: wait":
            self.entered.set()
            assert self.release.wait(30)
        if text == "trap: slow":
            self.entered.set()
            time.sleep(1.0)

    def _converse(self, request: ConverseRequest) -> ConversationTurn:
        """Suggests one item after the other, whatever is said."""
        seen = (*request.history, *request.state.shown_ids, *request.state.rejected_ids)
        left = [record for item_id, record in self.records.items() if item_id not in seen]
        items = tuple(ScoredItem(record, 1.0) for record in left[: request.k])
        state = ConversationState(
            constraints=request.state.constraints,
            shown_ids=tuple(scored.item_id for scored in items),
            rejected_ids=(*request.state.rejected_ids, *request.state.shown_ids),
            turns=request.state.turns + 1,
        )
        named = " and ".join(scored.title or scored.item_id for scored in items)
        return ConversationTurn(f"I suggest {named} to you, my friend.", items, state, versions=self.versions)

    def _recommend(self, request: RecommendRequest) -> Recommendations:
        VERSIONS.check_expected(request.expected_versions)
        if request.user_id == "nobody":
            raise NotFoundError("user 'nobody' is not in the bundle; leave user_id empty")
        acted = [
            (row, event.taken)
            for event in given_events(request.history, request.history_events)
            if (row := _row(event.item_id)) is not None
        ]
        known = [row for row, taken in acted if taken]
        rejected = {f"item-{row}" for row, taken in dict(acted).items() if not taken}
        events = (event.item_id for event in request.history_events)
        mentioned = (*request.history, *events, *request.allow, *request.deny)
        missing = tuple(dict.fromkeys(i for i in mentioned if _row(i) is None))
        start = known[-1] if known else -1
        order = [(start + 1 + step) % ITEMS for step in range(ITEMS)]
        seen = set() if request.include_seen else {f"item-{row}" for row in known}
        kept = [
            row
            for row in order
            if f"item-{row}" in self.records
            and f"item-{row}" not in seen
            and f"item-{row}" not in rejected
            and f"item-{row}" not in request.deny
            and (not request.allow or f"item-{row}" in request.allow)
        ]
        passing = _passing(request.filter)
        kept = [row for row in kept if passing[row]] + [
            row for row in kept if not passing[row] and request.filter_mode is FilterMode.RELAXED
        ]
        relaxed = any(not passing[row] for row in kept[: request.k])
        if request.validate_only:
            return Recommendations("", (), versions=VERSIONS)
        shares = _shares(known) if request.explain and known else ()
        return Recommendations(
            recommendation_id="r-1",
            items=tuple(
                ScoredItem(_record(row).only(request.item_fields), 1.0 / (rank + 1), shares)
                for rank, row in enumerate(kept[: request.k])
            ),
            missing_ids=missing,
            fallback=_FALLBACKS[bool(known), relaxed],
            versions=VERSIONS,
        )


_FALLBACKS = {
    (True, False): Fallback.NONE,
    (True, True): Fallback.FILTER_RELAXED,
    (False, False): Fallback.POPULARITY,
    (False, True): Fallback.POPULARITY_FILTER_RELAXED,
}
"""By whether an item of the history is known, and whether the list goes beyond its filter."""


def _restricted(request: RankRequest) -> RecommendRequest:
    """A request to rank as one to recommend; the fake's catalogue is smaller than any list."""
    return replace(request.customer, allow=request.item_ids, include_seen=True, k=ITEMS)


def _rated(request: RatingRequest) -> PredictedRatings:
    """An item has the rating that the history gives it, or 3; ratings lie between 1 and 5."""
    for place, event in enumerate(request.history):
        if event.rating is not None and not 1 <= event.rating <= 5:
            field = f"history[{place}].rating"
            raise InvalidArgumentError(f"{field} is {event.rating:g}; ratings lie between 1 and 5", field=field)
    given = {event.item_id: event.rating for event in request.history if event.rating is not None}
    mentioned = (*(event.item_id for event in request.history), *request.item_ids)
    missing = tuple(dict.fromkeys(item_id for item_id in mentioned if _row(item_id) is None))
    known = [item_id for item_id in dict.fromkeys(request.item_ids) if _row(item_id) is not None]
    ratings = (PredictedRating(item_id, given.get(item_id, 3.0), 0.5) for item_id in known)
    return PredictedRatings(tuple(ratings), missing, VERSIONS)


def _answered(answer: Callable[[Any], Any], request: Any) -> Any:
    try:
        return answer(request)
    except MmrecError as err:
        return err


def _row(item_id: str) -> int | None:
    number = item_id.removeprefix("item-")
    is_row = item_id.startswith("item-") and number.isascii() and number.isdigit() and str(int(number)) == number
    return int(number) if is_row and int(number) < ITEMS else None


def _record(row: int) -> ItemRecord:
    return ItemRecord(
        f"item-{row}",
        f"Item {row}",
        "Ein Ding, schön",
        f"images/{row}.jpg",
        {"b": "2", "a": "1", "half": "first" if row < ITEMS // 2 else "second half"},
        (row, 255, 0),
    )


def _shares(known: list[int]) -> tuple[ChannelShare, ...]:
    """Half of the score rests on the last history item, the rest on the first and on none."""
    first, last = f"item-{known[0]}", f"item-{known[-1]}"
    parts = {first: 0.25, last: 0.5} if first != last else {last: 0.75}
    history = tuple(HistoryShare(item_id, share) for item_id, share in parts.items())
    return (ChannelShare("transitions", 0.75, last, history), ChannelShare("popularity", -0.25))


def _present(row: int, modality: Modality) -> bool:
    return modality is not Modality.PICTURE or row % 2 == 0


def _known_row(item_id: str, modality: Modality) -> int:
    row = _row(item_id)
    if row is None:
        raise NotFoundError(f"item {item_id!r} is not in the catalogue; check the id")
    if not _present(row, modality):
        raise InvalidArgumentError(f"item {item_id!r} has no picture; compare its words", field="modality")
    return row


def _passing(condition: str) -> list[bool]:
    return list(_FILTERS.bitmap(condition))


def _similar(request: SimilarRequest) -> SearchResults:
    row = _known_row(request.item_id, request.modality)
    return _scored(float(row), request, _nearest(float(row), request, row)[: request.k])


def _search(request: SearchRequest) -> SearchResults:
    if request.vector and len(request.vector) != 2:
        raise InvalidArgumentError(f"vector has {len(request.vector)} numbers; it must have 2", field="vector")
    without = _known_row(request.item_id, request.modality) if request.item_id else None
    if request.vector:
        place = math.atan2(request.vector[1], request.vector[0]) * ITEMS / (2 * math.pi)
    else:
        place = float(len(request.text) % ITEMS) if without is None else float(without)
    returned = ReturnedItems(request)
    remaining = [row for row in _nearest(place, request, without) if f"item-{row}" not in returned]
    page = page_by_rank(request, request.k, returned, remaining, lambda row: (f"item-{row}",))
    if request.validate_only:
        return SearchResults((), VERSIONS)
    return _scored(place, request, page.entries, page.next_page_token)


def _nearest(place: float, request: SearchRequest | SimilarRequest, without: int | None) -> list[int]:
    """Rows, best first; in relaxed mode those that do not pass come last."""
    passing = _passing(request.filter)
    rows = [row for row in range(ITEMS) if row != without and _present(row, request.modality)]
    best_first = sorted(rows, key=lambda row: (not passing[row], -round(_cosine(row - place), 9), row))
    return [row for row in best_first if passing[row] or request.filter_mode is FilterMode.RELAXED]


def _scored(
    place: float, request: SearchRequest | SimilarRequest, rows: Sequence[int], token: str = ""
) -> SearchResults:
    passing = _passing(request.filter)
    relaxed = any(not passing[row] for row in rows)
    items = tuple(ScoredItem(_record(row).only(request.item_fields), _cosine(row - place)) for row in rows)
    return SearchResults(items, VERSIONS, token, Fallback.FILTER_RELAXED if relaxed else Fallback.NONE)


def _cosine(steps: float) -> float:
    return math.cos(2 * math.pi * steps / ITEMS)


def _embed(item: ItemInput | ItemFailure, modality: Modality) -> ItemEmbedding | ItemFailure:
    assert isinstance(item, ItemInput)
    if item.image is not None and not item.image.startswith(b"\xff\xd8"):
        return ItemFailure(item.item_id, InvalidImageError("the picture is no JPEG", field="image"))
    if modality is Modality.PICTURE and item.image is None:
        return ItemFailure(item.item_id, InvalidArgumentError("the item has no picture", field="modality"))
    angle = 2 * math.pi * len(item.title) / ITEMS
    vector = np.array([math.cos(angle), math.sin(angle)], dtype=np.float32)
    return ItemEmbedding(item.item_id, vector, (len(item.title), 7))


def _checked(item: ItemInput | ItemFailure, modality: Modality) -> ItemEmbedding | ItemFailure:
    found = _embed(item, modality)
    return found if isinstance(found, ItemFailure) else ItemEmbedding(found.item_id, found.vector[:0])


def _tag(request: TagRequest) -> TagResults:
    labels = request.labels
    if request.column:
        if request.column not in _CATALOGUE.attributes:
            raise InvalidArgumentError(f"there is no column {request.column!r}", field="column")
        labels = tuple(dict.fromkeys(_CATALOGUE.attributes[request.column]))
    entries: list[ItemTags | ItemFailure] = []
    for item in request.items:
        embedded = _embed(item, request.modality)
        assert isinstance(item, ItemInput)
        tagged = ItemTags(item.item_id, _tags(len(item.title), labels, request))
        entries.append(embedded if isinstance(embedded, ItemFailure) else tagged)
    rows = {item_id: _row(item_id) for item_id in request.item_ids}
    entries += [ItemTags(i, _tags(row, labels, request)) for i in request.item_ids if (row := rows[i]) is not None]
    missing = tuple(item_id for item_id, row in rows.items() if row is None)
    calibration = TagCalibration(bool(request.column), 0.5, 4, 0.75, 0.125) if request.column else TagCalibration()
    return TagResults(tuple(entries), missing, calibration, VERSIONS)


def _tags(row: int, labels: Sequence[str], request: TagRequest) -> tuple[Tag, ...]:
    strengths = [math.exp(_cosine(row - len(label))) for label in labels]
    ranked = sorted(zip(strengths, labels, strict=True), key=lambda pair: -pair[0])[: request.k]
    tags = [Tag(label, strength / sum(strengths)) for strength, label in ranked]
    return tuple(tag for tag in tags if tag.score >= request.min_score)


def _asked(item_ids: Sequence[str]) -> tuple[set[str], tuple[str, ...]]:
    missing = tuple(dict.fromkeys(item_id for item_id in item_ids if _row(item_id) is None))
    return set(item_ids) - set(missing), missing


def _duplicates(request: DuplicatesRequest) -> DuplicateGroups:
    wanted, missing = _asked(request.item_ids)
    returned = ReturnedItems(request)
    shown = {f"item-{row}" for row, passes in enumerate(_passing(request.filter)) if passes}
    groups = []
    for rows, similarity, evidence in GROUPS:
        ids = tuple(f"item-{row}" for row in rows if f"item-{row}" in shown)
        fits = request.modality is not Modality.WORDS or evidence is Evidence.BOTH
        alike = similarity >= (request.min_similarity or 0.9)
        if len(ids) > 1 and fits and alike and (not request.item_ids or wanted & set(ids)):
            groups.append(DuplicateGroup(ids, similarity, evidence))
    remaining = (group for group in groups if not any(item_id in returned for item_id in group.item_ids))
    page = page_by_rank(request, request.page_size, returned, remaining, lambda group: group.item_ids)
    return DuplicateGroups(
        tuple(page.entries), missing, len(groups), 0.9, None, "drawn by hand", page.next_page_token, VERSIONS
    )


def _mismatches(request: MismatchRequest) -> Mismatches:
    wanted, missing = _asked(request.item_ids)
    passing = _passing(request.filter)
    found = [
        Mismatch(_record(row).only(request.item_fields), agreement, percentile, fit)
        for row, agreement, percentile, fit in DISAGREEING
        if passing[row]
        and (not request.item_ids or f"item-{row}" in wanted)
        and (request.max_agreement is None or agreement < request.max_agreement)
    ]
    returned = ReturnedItems(request)
    remaining = (one for one in found if one.item.item_id not in returned)
    page = page_by_rank(request, request.page_size, returned, remaining, lambda one: (one.item.item_id,))
    return Mismatches(
        tuple(page.entries),
        missing,
        len(found),
        request.max_agreement,
        "known by heart",
        page.next_page_token,
        VERSIONS,
    )


def _check_version(version: str) -> None:
    if version not in ("", VERSIONS.codebook):
        raise FailedPreconditionError(f"codebook_version is {version!r}; here it is {VERSIONS.codebook}")


def _semantic_ids(request: SemanticIdsRequest) -> SemanticIds:
    _check_version(request.codebook_version)
    rows = {item_id: _row(item_id) for item_id in request.item_ids}
    known = [(item_id, row) for item_id in request.item_ids if (row := rows[item_id]) is not None]
    missing = tuple(item_id for item_id, row in rows.items() if row is None)
    return SemanticIds(tuple(ItemPath(i, _record(row).semantic_id) for i, row in known), missing, VERSIONS)


def _resolve(request: ResolveRequest) -> ResolvedPaths:
    _check_version(request.codebook_version)
    entries = []
    for i, path in enumerate(request.semantic_ids):
        if not 1 <= len(path) <= 3:
            error = InvalidArgumentError("a path has 1 to 3 codes", field=f"semantic_ids[{i}]")
            entries.append(ResolvedPath(path, error=error))
            continue
        found = [_record(row) for row in range(ITEMS) if _record(row).semantic_id[: len(path)] == path]
        entries.append(ResolvedPath(path, tuple(found[: request.page_size]), len(found)))
    return ResolvedPaths(tuple(entries), VERSIONS)


def _catalogue_of(records: Sequence[ItemRecord]) -> Catalogue:
    return Catalogue(
        item_ids=tuple(record.item_id for record in records),
        titles=tuple(record.title for record in records),
        descriptions=tuple(record.description for record in records),
        images=tuple(record.image for record in records),
        attributes={name: tuple(record.attributes[name] for record in records) for name in records[0].attributes},
    )


_CATALOGUE = _catalogue_of([_record(row) for row in range(ITEMS)])
_FILTERS = CatalogueFilter(_CATALOGUE)
