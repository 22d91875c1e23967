"""The methods shared by `Client`, `AsyncClient` and `mmrec.Recommender`: each creates a request and calls.

`AsyncMethods` is generated from this module by scripts/generate_sdk.py. The keyword arguments of a method are the
fields of its request, in `mmrec.sdk.options`. Knows nothing of protobuf, channels or models.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar, Unpack

from mmrec.contract.changes import ChangeResults, DeleteRequest, UpsertRequest
from mmrec.contract.events import (
    DeletedUser,
    DeleteUserRequest,
    EventPage,
    EventResults,
    ListEventsRequest,
    RecordEventsRequest,
)
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
from mmrec.contract.rules import DEFAULT_K
from mmrec.errors import MmrecError
from mmrec.sdk import options as keywords
from mmrec.sdk import rpcs
from mmrec.sdk.inputs import Events, Items, item_inputs, user_events
from mmrec.sdk.parts import (
    OnProgress,
    broken_after,
    distinct_parts,
    joined_changes,
    joined_deletions,
    joined_events,
    joined_items,
    joined_lookups,
    joined_paths,
    joined_semantic_ids,
    joined_tags,
    listed,
    numbered,
    numbered_parts,
    size,
    sized_parts,
    tag_parts,
)

Q = TypeVar("Q")
R = TypeVar("R")

# Argument types are ignored because requests convert and validate them: any iterable, values of enums, paths of
# pictures. Names of keyword arguments are checked.


class Methods(ABC):
    """One method per RPC. `timeout` is the timeout of the call in seconds; None: the client's default."""

    @abstractmethod
    def _call(self, rpc: rpcs.Rpc[Q, R], request: Q, timeout: float | None) -> R:
        """Send a request, and return the reply."""

    def _call_each(
        self, rpc: rpcs.Rpc[Q, R], requests: Sequence[Q], timeout: float | None, on_progress: OnProgress | None = None
    ) -> list[R]:
        """Send the parts of a request one after the other, and return their replies."""
        replies: list[R] = []
        done = 0
        for request in requests:
            try:
                replies.append(self._call(rpc, request, timeout))
            except MmrecError as err:
                raise (broken_after(len(replies), err) if replies else err) from None
            if on_progress is not None:
                done += size(request)
                on_progress(done)
        return replies

    def recommend(
        self,
        history: Iterable[str] = (),
        *,
        timeout: float | None = None,
        **options: Unpack[keywords.RecommendOptions],
    ) -> Recommendations:
        """Recommend items to one customer.

        Args:
            history: Item ids of the customer's events, oldest first; unknown ids are returned in `missing_ids`.
            timeout: Timeout in seconds.
            options: The other fields of `RecommendRequest`.

        Raises:
            MmrecError: one of the classes of `mmrec.errors`.
        """
        request = RecommendRequest(history=history, **options)  # type: ignore[arg-type]
        return self._call(rpcs.RECOMMEND, request, timeout)

    def rank(
        self,
        item_ids: Iterable[str],
        history: Iterable[str] = (),
        *,
        timeout: float | None = None,
        **options: Unpack[keywords.RankOptions],
    ) -> Recommendations:
        """Order given items for one customer: the order of `recommend` among these items.

        Items of the history are ranked like the others. Items that do not pass the filter, or that `deny` names, are
        left out.

        Args:
            item_ids: The items to rank, 1 to 10,000 ids; unknown ones are returned in `missing_ids`.
            history: Item ids of the customer's events, oldest first.
            timeout: Timeout in seconds.
            options: Other fields of `RecommendRequest`.

        Returns:
            The items, best first; ties keep the order of the catalogue.

        Raises:
            MmrecError: one of the classes of `mmrec.errors`.
        """
        customer = RecommendRequest(history=history, **options)  # type: ignore[arg-type]
        return self._call(rpcs.RANK_ITEMS, RankRequest(item_ids, customer), timeout)  # type: ignore[arg-type]

    def embed_user(
        self,
        history: Iterable[str] = (),
        *,
        timeout: float | None = None,
        **options: Unpack[keywords.EmbedUserOptions],
    ) -> UserEmbedding:
        """Embed a customer, by history and words, in the space of items.

        Searching by the vector finds items that the customer would like; the best of them are those of `recommend`, but
        a vector holds less than the recommender knows. At least one of history, `user_id` and `text` must be given.

        Args:
            history: Item ids of the customer's events, oldest first.
            timeout: Timeout in seconds.
            options: Other fields of `EmbedUserRequest`.

        Raises:
            MmrecError: one of the classes of `mmrec.errors`.
        """
        request = EmbedUserRequest(history, **options)  # type: ignore[arg-type]
        return self._call(rpcs.EMBED_USER, request, timeout)

    def explain(
        self,
        item_ids: Iterable[str],
        history: Iterable[str] = (),
        *,
        language: str = "",
        timeout: float | None = None,
        **options: Unpack[keywords.ExplainOptions],
    ) -> Explanations:
        """Say in words why items would be recommended to a customer.

        Every statement rests on evidence that it names: items of the history, a value that they share with the item, a
        likeness of pictures or words, numbers of customers, a value that `instruction` asks for, a promotion. Where the
        engine has a language model, it words the first two of an item; `Statement.worded` says where.

        Args:
            item_ids: The items to explain, 1 to 100 ids; unknown ones are returned in `missing_ids`.
            history: Item ids of the customer's events, oldest first.
            language: BCP 47 tag of the language of the sentences; only English is built.
            timeout: Timeout in seconds.
            options: Other fields of `RecommendRequest`.

        Raises:
            MmrecError: one of the classes of `mmrec.errors`.
        """
        customer = RecommendRequest(history=history, **options)  # type: ignore[arg-type]
        request = ExplainRequest(item_ids, customer, language)  # type: ignore[arg-type]
        return self._call(rpcs.EXPLAIN, request, timeout)

    def predict_ratings(
        self, item_ids: Iterable[str], *, timeout: float | None = None, **options: Unpack[keywords.RatingOptions]
    ) -> PredictedRatings:
        """Predict how a customer would rate items.

        The customer is a user of the training data, or anybody whose ratings are given as `history`; nothing is
        trained. Without either, the ratings are those of the average user.

        Args:
            item_ids: The items, 1 to 1,000 ids; unknown ones are returned in `missing_ids`.
            timeout: Timeout of this call, in seconds.
            options: The other fields of `RatingRequest`.

        Raises:
            FailedPreconditionError: the bundle was fitted without ratings.
            InvalidArgumentError: a rating of the history lies outside the range of the dataset's ratings.
            MmrecError: another of the classes of `mmrec.errors`.
        """
        request = RatingRequest(item_ids, **options)  # type: ignore[arg-type]
        return self._call(rpcs.PREDICT_RATING, request, timeout)

    def similar(
        self,
        item_id: str,
        k: int = DEFAULT_K,
        *,
        timeout: float | None = None,
        **options: Unpack[keywords.SimilarOptions],
    ) -> SearchResults:
        """Find the items nearest to an item of the catalogue.

        Args:
            item_id: The query item, which is not among the results.
            k: Number of items, 1 to 1,000; 0 means 10.
            timeout: Timeout in seconds.
            options: The other fields of `SimilarRequest`.

        Raises:
            NotFoundError: the catalogue does not have it.
            MmrecError: another of the classes of `mmrec.errors`.
        """
        request = SimilarRequest(item_id, k, **options)  # type: ignore[arg-type]
        return self._call(rpcs.SIMILAR_ITEMS, request, timeout)

    def search(
        self, text: str = "", *, timeout: float | None = None, **options: Unpack[keywords.SearchOptions]
    ) -> SearchResults:
        """Find the items nearest to a text, a picture, an item, a combination of them, or a vector.

        Args:
            text: Query text.
            timeout: Timeout in seconds.
            options: The other fields of `SearchRequest`; the picture may be the path of a file.

        Raises:
            InvalidImageError: the picture cannot be read.
            NotFoundError: the picture file cannot be read.
            MmrecError: another of the classes of `mmrec.errors`.
        """
        return self._call(rpcs.SEARCH_ITEMS, SearchRequest(text, **options), timeout)  # type: ignore[arg-type]

    def embed(
        self,
        items: Items,
        dimension: int = 0,
        *,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
        **options: Unpack[keywords.EmbedOptions],
    ) -> EmbedResults:
        """Compute fused embeddings and semantic IDs of items, in the catalogue or not.

        Args:
            items: Items, or mappings with the fields of `ItemInput`. More than 1,000, or 24 MiB, are sent in several
                calls, one after the other.
            dimension: Length of the vectors: 0 for full length, else one of `ServiceInfo.prefixes`.
            on_progress: Called with the number of items answered so far, after each call.
            timeout: Timeout of each call in seconds.
            options: The other fields of `EmbedRequest`.

        Returns:
            One entry per item: an embedding, or why that item failed.

        Raises:
            MmrecError: the call failed as a whole.
        """
        request = EmbedRequest((), dimension, **options)  # type: ignore[arg-type]
        requests = [replace(request, items=part) for part in sized_parts(item_inputs(items))]
        return joined_items(self._call_each(rpcs.EMBED_ITEMS, requests, timeout, on_progress))

    def tag(
        self,
        items: Items = (),
        *,
        item_ids: Iterable[str] = (),
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
        **options: Unpack[keywords.TagOptions],
    ) -> TagResults:
        """Label items with probabilities.

        Args:
            items: Items, or mappings with the fields of `ItemInput`. More than 1,000 items and ids, or 24 MiB, are sent
                in several calls, one after the other, and `versions` are those of the last.
            item_ids: Items of the catalogue, answered after those of `items`.
            on_progress: Called with the number of items and ids answered so far, after each call.
            timeout: Timeout of each call in seconds.
            options: The other fields of `TagRequest`.

        Returns:
            One entry per item: its labels, best first, or why that item failed.

        Raises:
            MmrecError: the call failed as a whole.
        """
        request = TagRequest(**options)  # type: ignore[arg-type]
        parts = tag_parts(item_inputs(items), listed(TagRequest, "item_ids", item_ids))
        requests = [replace(request, items=described, item_ids=ids) for described, ids in parts]
        return joined_tags(self._call_each(rpcs.TAG_ITEMS, requests, timeout, on_progress))

    def duplicates(
        self,
        item_ids: Iterable[str] = (),
        *,
        timeout: float | None = None,
        **options: Unpack[keywords.DuplicatesOptions],
    ) -> DuplicateGroups:
        """Find groups of duplicate items.

        Args:
            item_ids: Only groups with one of these items; empty for the whole catalogue.
            timeout: Timeout in seconds.
            options: The other fields of `DuplicatesRequest`.

        Raises:
            MmrecError: one of the classes of `mmrec.errors`.
        """
        request = DuplicatesRequest(item_ids, **options)  # type: ignore[arg-type]
        return self._call(rpcs.FIND_DUPLICATES, request, timeout)

    def mismatches(
        self,
        item_ids: Iterable[str] = (),
        *,
        timeout: float | None = None,
        **options: Unpack[keywords.MismatchOptions],
    ) -> Mismatches:
        """Find items whose picture and words do not agree, worst first.

        Args:
            item_ids: Only these items; empty for the whole catalogue.
            timeout: Timeout in seconds.
            options: The other fields of `MismatchRequest`.

        Raises:
            MmrecError: one of the classes of `mmrec.errors`.
        """
        request = MismatchRequest(item_ids, **options)  # type: ignore[arg-type]
        return self._call(rpcs.FIND_MISMATCHES, request, timeout)

    def items(
        self,
        item_ids: Iterable[str],
        *,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
        **options: Unpack[keywords.ItemsOptions],
    ) -> ItemLookup:
        """Catalogue rows by id, each once; unknown ids are returned in `missing_ids`.

        Args:
            item_ids: The items. More than 1,000 are asked for in several calls, one after the other, and `versions` are
                those of the last.
            on_progress: Called with the number of ids answered so far, after each call.
            timeout: Timeout of each call in seconds.
            options: The other fields of `ItemsRequest`.

        Raises:
            MmrecError: one of the classes of `mmrec.errors`.
        """
        request = ItemsRequest((), **options)  # type: ignore[arg-type]
        parts = distinct_parts(listed(ItemsRequest, "item_ids", item_ids))
        requests = [replace(request, item_ids=part) for part in parts]
        return joined_lookups(self._call_each(rpcs.GET_ITEMS, requests, timeout, on_progress))

    def list_items(
        self, filter: str = "", *, timeout: float | None = None, **options: Unpack[keywords.ListItemsOptions]
    ) -> ItemPage:
        """A page of the catalogue, in the order of the item ids; the catalogue may change between pages.

        Args:
            filter: AIP-160 condition over the columns, as in ``colour = "red" AND price < 50``; empty for every item.
            timeout: Timeout in seconds.
            options: The other fields of `ListItemsRequest`.

        Raises:
            MmrecError: one of the classes of `mmrec.errors`.
        """
        return self._call(rpcs.LIST_ITEMS, ListItemsRequest(filter, **options), timeout)  # type: ignore[arg-type]

    def semantic_ids(
        self,
        item_ids: Iterable[str],
        *,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
        **options: Unpack[keywords.SemanticIdsOptions],
    ) -> SemanticIds:
        """Semantic IDs of items; unknown ids are returned in `missing_ids`.

        Args:
            item_ids: The items. More than 1,000 are asked for in several calls, one after the other, and `versions` are
                those of the last.
            on_progress: Called with the number of ids answered so far, after each call.
            timeout: Timeout of each call in seconds.
            options: The other fields of `SemanticIdsRequest`.

        Raises:
            FailedPreconditionError: the server does not know the items' paths in that version.
            MmrecError: another of the classes of `mmrec.errors`.
        """
        request = SemanticIdsRequest((), **options)
        parts = numbered_parts(listed(SemanticIdsRequest, "item_ids", item_ids))
        requests = [replace(request, item_ids=part) for part in parts]
        return joined_semantic_ids(self._call_each(rpcs.GET_SEMANTIC_IDS, requests, timeout, on_progress))

    def resolve_semantic_ids(
        self,
        semantic_ids: Iterable[Iterable[int]],
        *,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
        **options: Unpack[keywords.ResolveOptions],
    ) -> ResolvedPaths:
        """Find the items of semantic IDs, or of prefixes of semantic IDs.

        Args:
            semantic_ids: Paths of one code or more, as in ``[(12, 200, 7, 0), (12, 200)]``. More than 1,000 are asked
                for in several calls, one after the other, and `versions` are those of the last.
            on_progress: Called with the number of paths answered so far, after each call.
            timeout: Timeout of each call in seconds.
            options: The other fields of `ResolveRequest`.

        Returns:
            One entry per path: its items, or why that path was refused.

        Raises:
            FailedPreconditionError: the server does not know the items' paths in that version.
            MmrecError: another of the classes of `mmrec.errors`.
        """
        request = ResolveRequest((), **options)
        parts = numbered_parts(listed(ResolveRequest, "semantic_ids", semantic_ids))
        requests = [replace(request, semantic_ids=part) for part in parts]
        return joined_paths(self._call_each(rpcs.RESOLVE_SEMANTIC_IDS, requests, timeout, on_progress))

    def upsert_items(
        self,
        items: Items,
        *,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
        **options: Unpack[keywords.UpsertOptions],
    ) -> ChangeResults:
        """Add items, or replace those with the same id.

        They can be recommended, found and filtered within seconds, without training. An item is replaced as a whole:
        fields that are not given become empty. With `fields`, only these fields of existing items are replaced
        (partial update).

        More than 1,000, or 24 MiB, are sent in several calls, one after the other, with the request ids
        ``request_id/0``, ``request_id/1`` and so on. Where one fails as a whole, those before it are done, and
        `MmrecError.answered` is their number: with a request id, send all again.

        Args:
            items: Items with ids, or mappings with the fields of `ItemInput`.
            on_progress: Called with the number of items answered so far, after each call.
            timeout: Timeout of each call in seconds.
            options: The other fields of `UpsertRequest`.

        Returns:
            One entry per item, with the error of an item that was refused.

        Raises:
            FailedPreconditionError: the request id was used for another change, or the server's bundle takes no new
                items.
            MmrecError: the call failed as a whole.
        """
        request = UpsertRequest((), **options)  # type: ignore[arg-type]
        requests = numbered([replace(request, items=part) for part in sized_parts(item_inputs(items))])
        return joined_changes(self._call_each(rpcs.UPSERT_ITEMS, requests, timeout, on_progress), request.request_id)

    def delete_items(
        self,
        item_ids: Iterable[str],
        *,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
        **options: Unpack[keywords.DeleteOptions],
    ) -> ChangeResults:
        """Delete items. Later replies do not contain them; they stay in histories.

        More than 1,000 are sent in several calls, each id once, one after the other, with the request ids
        ``request_id/0``, ``request_id/1`` and so on. Where one fails as a whole, those before it are done, and
        `MmrecError.answered` is their number: with a request id, send all again.

        Args:
            item_ids: The items.
            on_progress: Called with the number of ids answered so far, after each call.
            timeout: Timeout of each call in seconds.
            options: The other fields of `DeleteRequest`.

        Returns:
            One entry per id, with the error of an id that was refused, such as NOT_FOUND.

        Raises:
            FailedPreconditionError: the request id was used for another change, or no item would be left.
            MmrecError: the call failed as a whole.
        """
        request, ids = DeleteRequest((), **options), listed(DeleteRequest, "item_ids", item_ids)
        requests = numbered([replace(request, item_ids=part) for part in distinct_parts(ids)])
        replies = self._call_each(rpcs.DELETE_ITEMS, requests, timeout, on_progress)
        return joined_deletions(replies, ids, request.request_id)

    def record_events(
        self,
        events: Events,
        *,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
        **options: Unpack[keywords.RecordEventsOptions],
    ) -> EventResults:
        """Record what customers did, oldest first; the next answers build on it.

        A server that keeps events has them on disk when this returns.

        More than 1,000 are sent in several calls, one after the other, with the request ids ``request_id/0``,
        ``request_id/1`` and so on. Where one fails as a whole, those before it are done, and `MmrecError.answered` is
        their number: with a request id, send all again.

        Args:
            events: Events, or mappings with the fields of `UserEvent`.
            on_progress: Called with the number of events answered so far, after each call.
            timeout: Timeout of each call in seconds.
            options: The other fields of `RecordEventsRequest`.

        Returns:
            One entry per event, with the error of an event that was refused.

        Raises:
            FailedPreconditionError: the server keeps no events.
            MmrecError: the call failed as a whole.
        """
        request = RecordEventsRequest((), **options)
        requests = numbered([replace(request, events=part) for part in numbered_parts(user_events(events))])
        return joined_events(self._call_each(rpcs.RECORD_EVENTS, requests, timeout, on_progress), request.request_id)

    def list_events(
        self, user_id: str, *, timeout: float | None = None, **options: Unpack[keywords.ListEventsOptions]
    ) -> EventPage:
        """A page of the recorded events of a customer, the one that was recorded last first.

        Events may come in between pages; what a dataset has of the customer is not among them.

        Args:
            user_id: The customer.
            timeout: Timeout in seconds.
            options: The other fields of `ListEventsRequest`.

        Raises:
            FailedPreconditionError: the server keeps no events.
            MmrecError: another of the classes of `mmrec.errors`.
        """
        return self._call(rpcs.LIST_EVENTS, ListEventsRequest(user_id, **options), timeout)

    def delete_user(self, user_id: str, *, timeout: float | None = None) -> DeletedUser:
        """Delete a customer, who is an unknown one to every later call; only events recorded later count.

        Recorded events are removed; what the bundle knows of the customer is no longer used, also after a restart and
        with another version of the bundle. Calling it again is safe, and right when this has failed.

        Args:
            user_id: The customer.
            timeout: Timeout in seconds.

        Raises:
            FailedPreconditionError: the server keeps no events.
            UnavailableError: another program reads the store, whose files still hold bytes of the customer; call again.
            MmrecError: another of the classes of `mmrec.errors`.
        """
        return self._call(rpcs.DELETE_USER, DeleteUserRequest(user_id), timeout)
