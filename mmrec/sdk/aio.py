"""The asyncio client: the twin of `mmrec.sdk.client`, with the same calls, results and errors.

Unit of work: one call. Cancelling the task cancels the call, and the server drops the work. Knows nothing of
protobuf.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, TypeVar

import grpc
import grpc.aio

from mmrec.contract.changes import ChangeResults
from mmrec.contract.engine import Engine
from mmrec.contract.items import FilterMode, ItemInput, Modality, NumberFormat
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
from mmrec.contract.requests import Promotion, RecommendRequest, SearchRequest, SimilarRequest
from mmrec.contract.rules import DEFAULT_K, DEFAULT_PAGE, DEFAULT_TAGS, Ids
from mmrec.errors import MmrecError
from mmrec.sdk import calls
from mmrec.sdk import methods as rpcs
from mmrec.sdk.streams import AsyncEngineStream, AsyncGrpcStream, AsyncStream
from mmrec.sdk.transport import (
    DEFAULT_TARGET,
    DEFAULT_TIMEOUT_S,
    EngineTransport,
    Tls,
    channel_options,
    checked_target,
    checked_timeout,
    closed_error,
    error_from_rpc,
    metadata_for,
)
from mmrec.sdk.upsert_stream import UpsertStream

Q = TypeVar("Q")
R = TypeVar("R")
T = TypeVar("T")


class AsyncTransport(Protocol):
    """Carries calls; see `mmrec.sdk.transport.Transport`."""

    async def call(self, path: str, request: bytes, timeout: float) -> bytes:
        """Bytes of the reply to one call."""
        ...

    async def stream(self, path: str, timeout: float) -> AsyncStream:
        """A stream of messages, each with its answer."""
        ...

    async def close(self) -> None:
        """Let go of connections; calls after this are refused."""
        ...


class AsyncGrpcTransport:
    """Calls over one gRPC channel; it is made at the first call, since it belongs to the loop that is running
    then.

    Raises:
        InvalidArgumentError: target, token or TLS files cannot be used.
        NotFoundError: a TLS file cannot be read.
    """

    def __init__(self, target: str, *, token: str | None = None, tls: Tls | None = None) -> None:
        self.target = checked_target(target)
        self._metadata = metadata_for(token)
        self._options = channel_options(tls)
        self._credentials = tls.credentials() if tls is not None else None
        self._channel: Any = None
        self._calls: dict[str, Any] = {}
        self._closed = False

    async def call(self, path: str, request: bytes, timeout: float) -> bytes:
        """See `AsyncTransport.call`."""
        self._open()
        if path not in self._calls:
            self._calls[path] = self._channel.unary_unary(path)
        try:
            reply: bytes = await self._calls[path](request, timeout=timeout, metadata=self._metadata)
        except grpc.aio.AioRpcError as err:
            trailer = tuple(err.trailing_metadata() or ())
            raise error_from_rpc(err.code().name, err.details() or "", trailer, self.target, timeout) from None
        except grpc.aio.UsageError:
            raise closed_error(self.target) from None
        return reply

    async def stream(self, path: str, timeout: float) -> AsyncStream:
        """See `AsyncTransport.stream`."""
        self._open()
        method = self._channel.stream_stream(path)

        def explain(err: grpc.aio.AioRpcError) -> MmrecError:
            trailer = tuple(err.trailing_metadata() or ())
            return error_from_rpc(err.code().name, err.details() or "", trailer, self.target, timeout)

        return AsyncGrpcStream(lambda requests: method(requests, metadata=self._metadata), explain, timeout)

    def _open(self) -> None:
        if self._closed:
            raise closed_error(self.target)
        if self._channel is None:
            self._channel = (
                grpc.aio.insecure_channel(self.target, self._options)
                if self._credentials is None
                else grpc.aio.secure_channel(self.target, self._credentials, self._options)
            )

    async def close(self) -> None:
        """See `AsyncTransport.close`."""
        self._closed = True
        if self._channel is not None:
            await self._channel.close()
            self._channel = None
            self._calls.clear()


class AsyncEngineTransport:
    """An engine in this process behind the same bytes, without a server; the work is done in a thread."""

    def __init__(self, engine: Engine) -> None:
        self._inner = EngineTransport(engine)

    async def call(self, path: str, request: bytes, timeout: float) -> bytes:
        """See `AsyncTransport.call`."""
        return await asyncio.to_thread(self._inner.call, path, request, timeout)

    async def stream(self, path: str, timeout: float) -> AsyncStream:
        """See `AsyncTransport.stream`."""
        return AsyncEngineStream(self._inner.stream(path, timeout))

    async def close(self) -> None:
        """See `AsyncTransport.close`."""
        self._inner.close()


class AsyncClient:
    """Calls an mmrec server from one event loop; use it as an async context manager, or await `close`.

    Every call has a deadline. Calls that fail with UNAVAILABLE are tried again, at most three times, with
    growing and random waits, inside that deadline; nothing else is.

    Args:
        target: Address of the server, ``host:port``.
        token: The server's token, if it wants one.
        tls: True for TLS with the usual authorities, or `Tls` for your own; False for none.
        timeout: Seconds a call may take unless it says otherwise, over 0.
        transport: Something else to carry the calls, as `AsyncEngineTransport` in tests; `target`, `token`
            and `tls` are not used then.

    Raises:
        InvalidArgumentError: an argument breaks a rule.
        NotFoundError: a TLS file cannot be read.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        token: str | None = None,
        tls: bool | Tls = False,
        timeout: float = DEFAULT_TIMEOUT_S,
        transport: AsyncTransport | None = None,
    ) -> None:
        self._timeout = checked_timeout(timeout, DEFAULT_TIMEOUT_S)
        own_tls = (Tls() if tls else None) if isinstance(tls, bool) else tls
        self._transport: AsyncTransport = transport or AsyncGrpcTransport(target, token=token, tls=own_tls)

    async def recommend(
        self,
        history: Iterable[str] = (),
        *,
        user_id: str = "",
        k: int = DEFAULT_K,
        allow: Iterable[str] = (),
        deny: Iterable[str] = (),
        include_seen: bool = False,
        filter: str = "",
        filter_mode: FilterMode | str = FilterMode.STRICT,
        diversity: float = 0.0,
        exploration: float = 0.0,
        exploration_column: str = "",
        exploration_max_age_days: float = 0.0,
        popularity_damping: float = 0.0,
        promotions: Iterable[Promotion] = (),
        explain: bool = False,
        timeout: float | None = None,
    ) -> Recommendations:
        """Recommend items to one customer.

        Args:
            history: Item ids the customer has acted on, oldest first; unknown ones come back in
                `missing_ids`.
            user_id: A user the server knows; that user's stored history is put before `history`.
            k: How many items, 1 to 1,000; 0 means 10.
            allow: If not empty, only these items may be returned.
            deny: These items are never returned.
            include_seen: Whether items of the history may be returned again.
            filter: AIP-160 condition over the columns, exact inside the search; what is in stock is a column like any
                other: ``in_stock = true AND price < 50``.
            filter_mode: ``strict``, or ``relaxed`` to fill up with items that do not pass when fewer than `k` do.
            diversity: 0 (best first) to 1 (as different from each other as possible).
            exploration: Share of the places that goes to items training has seen no event of, 0 to 1.
            exploration_column: A column of dates, for `exploration_max_age_days`.
            exploration_max_age_days: Only new items whose date is no longer ago are explored; 0 for no age limit.
            popularity_damping: How much popular items are held back, 0 (not at all) to 1.
            promotions: Items to be shown more, by share of the places or by what is added to their scores.
            explain: Whether to return each score's parts by channel and history item.
            timeout: Seconds this call may take; None: the client's own.

        Raises:
            MmrecError: one of the classes of `mmrec.errors`.
        """
        request = calls.recommend_request(
            history,
            user_id,
            k,
            allow,
            deny,
            include_seen,
            filter,
            filter_mode,
            diversity,
            exploration,
            exploration_column,
            exploration_max_age_days,
            popularity_damping,
            promotions,
            explain,
        )
        return await self._call(rpcs.RECOMMEND, request, timeout)

    async def recommend_many(
        self, requests: Iterable[RecommendRequest], *, timeout: float | None = None
    ) -> list[Recommendations | MmrecError]:
        """Recommend to several customers, at most 1,000: one entry per request, a list or the error of that
        request.

        Raises:
            MmrecError: the call failed as a whole.
        """
        return await self._call(rpcs.BATCH_RECOMMEND, calls.recommend_batch(requests), timeout)

    async def similar(
        self,
        item_id: str,
        k: int = DEFAULT_K,
        *,
        modality: Modality | str = Modality.FUSED,
        filter: str = "",
        filter_mode: FilterMode | str = FilterMode.STRICT,
        diversity: float = 0.0,
        item_fields: Iterable[str] = (),
        timeout: float | None = None,
    ) -> SearchResults:
        """Items nearest to an item of the catalogue, which is not among them.

        Args:
            item_id: The item to start from.
            k: How many items, 1 to 1,000; 0 means 10.
            modality: Which side of the items to compare: ``fused``, ``picture`` or ``words``; items without that side
                are not found.
            filter: AIP-160 condition over the columns, as in ``colour = "red" AND price < 50``.
            filter_mode: ``strict``, or ``relaxed`` to fill up with items that do not pass when fewer than `k` do.
            diversity: 0 (nearest first) to 1 (as different from each other as possible).
            item_fields: Fields of the rows to return besides the id; empty for all.
            timeout: Seconds this call may take; None: the client's own.

        Raises:
            NotFoundError: the catalogue does not have it.
            MmrecError: another of the classes of `mmrec.errors`.
        """
        request = calls.similar_request(item_id, k, modality, filter, filter_mode, diversity, item_fields)
        return await self._call(rpcs.SIMILAR_ITEMS, request, timeout)

    async def similar_many(
        self, requests: Iterable[SimilarRequest], *, timeout: float | None = None
    ) -> list[SearchResults | MmrecError]:
        """Items nearest to each of several items, at most 1,000: one entry per request, a list or the error of that
        request.

        Raises:
            MmrecError: the call failed as a whole.
        """
        return await self._call(rpcs.BATCH_SIMILAR_ITEMS, calls.similar_batch(requests), timeout)

    async def search(
        self,
        text: str = "",
        *,
        image: bytes | str | os.PathLike[str] | None = None,
        text_weight: float = 0.5,
        item_id: str = "",
        item_weight: float = 0.5,
        vector: Iterable[float] | None = None,
        k: int = DEFAULT_K,
        modality: Modality | str = Modality.FUSED,
        filter: str = "",
        filter_mode: FilterMode | str = FilterMode.STRICT,
        page_token: str = "",
        item_fields: Iterable[str] = (),
        timeout: float | None = None,
    ) -> SearchResults:
        """Items nearest to words, to a picture, to an item, to several of them at once, or to a vector.

        Args:
            text: Words to search by.
            image: Encoded picture (JPEG, PNG, WebP, GIF, BMP) or the path of one.
            text_weight: Share of the words when words and a picture are given, 0 to 1.
            item_id: An item of the catalogue to search by, never among the results.
            item_weight: Share of the item when words or a picture are given too, 0 to 1: "the same in blue".
            vector: A vector as `embed` returns it, given alone. Shape: (D,).
            k: How many items a page, 1 to 1,000; 0 means 10.
            modality: Which side of the items to compare: ``fused``, ``picture`` or ``words``; items without that side
                are not found.
            filter: AIP-160 condition over the columns, as in ``colour = "red" AND price < 50``.
            filter_mode: ``strict``, or ``relaxed`` to fill up with items that do not pass when fewer than `k` do.
            page_token: `next_page_token` of the page before, with the same arguments otherwise.
            item_fields: Fields of the rows to return besides the id; empty for all.
            timeout: Seconds this call may take; None: the client's own.

        Raises:
            InvalidImageError: the picture cannot be read.
            MmrecError: another of the classes of `mmrec.errors`.
        """
        request = calls.search_request(
            text,
            image,
            text_weight,
            item_id,
            item_weight,
            vector,
            k,
            modality,
            filter,
            filter_mode,
            page_token,
            item_fields,
        )
        return await self._call(rpcs.SEARCH_ITEMS, request, timeout)

    async def search_many(
        self, requests: Iterable[SearchRequest], *, timeout: float | None = None
    ) -> list[SearchResults | MmrecError]:
        """Several searches, at most 1,000: one entry per search, a list or the error of that search.

        Raises:
            MmrecError: the call failed as a whole.
        """
        return await self._call(rpcs.BATCH_SEARCH_ITEMS, calls.search_batch(requests), timeout)

    async def embed(
        self,
        items: Iterable[ItemInput | Mapping[str, object]],
        dimension: int = 0,
        *,
        modality: Modality | str = Modality.FUSED,
        dtype: NumberFormat | str = NumberFormat.FLOAT32,
        timeout: float | None = None,
    ) -> EmbedResults:
        """Fused embeddings and semantic IDs of items, known or not, at most 1,000.

        Args:
            items: Items, or mappings with the fields of `ItemInput`.
            dimension: Length of the vectors: 0 for all, else one of `ServiceInfo.prefixes`.
            modality: Which side of the items to embed: ``fused``, ``picture`` or ``words``; an item without it fails
                by itself.
            dtype: What the numbers are rounded to, ``float32``, ``float16`` or ``bfloat16``; the vectors are float32
                all the same.
            timeout: Seconds this call may take; None: the client's own.

        Returns:
            One entry per item: an embedding, or why that item failed.

        Raises:
            MmrecError: the call failed as a whole.
        """
        batch = calls.embed_batch(items, dimension, modality, dtype)
        if not batch.split():
            return batch.join([])
        return batch.rejoin(await self._call(rpcs.EMBED_ITEMS, batch, timeout))

    async def tag(
        self,
        items: Iterable[ItemInput | Mapping[str, object]] = (),
        *,
        item_ids: Iterable[str] = (),
        labels: Iterable[str] = (),
        column: str = "",
        templates: Iterable[str] = (),
        k: int = DEFAULT_TAGS,
        min_score: float = 0.0,
        modality: Modality | str = Modality.FUSED,
        timeout: float | None = None,
    ) -> TagResults:
        """Labels that fit items, with probabilities; at most 1,000 items and ids.

        Args:
            items: Items, or mappings with the fields of `ItemInput`.
            item_ids: Items of the catalogue, answered after those of `items`.
            labels: The labels to choose from, at most 10,000; none with `column`.
            column: A column of the catalogue whose values are the labels, with probabilities calibrated on the items
                that have one; what an item itself has in it is not looked at.
            templates: Sentences with ``{label}`` (and ``{column}``) that labels are put into; none: the server's own.
            k: How many labels per item, 1 to 1,000; 0 means 5.
            min_score: Labels with a lower probability are left out, 0 to 1.
            modality: Which side of the items to look at: ``fused`` (both), ``picture`` or ``words``.
            timeout: Seconds this call may take; None: the client's own.

        Returns:
            One entry per item: its labels, best first, or why that item failed.

        Raises:
            MmrecError: the call failed as a whole.
        """
        batch = calls.tag_batch(items, item_ids, labels, column, templates, k, min_score, modality)
        if not batch.split():
            return batch.join([])
        return batch.rejoin(await self._call(rpcs.TAG_ITEMS, batch, timeout))

    async def duplicates(
        self,
        item_ids: Iterable[str] = (),
        *,
        min_similarity: float | None = None,
        filter: str = "",
        modality: Modality | str = Modality.FUSED,
        page_size: int = DEFAULT_PAGE,
        page_token: str = "",
        timeout: float | None = None,
    ) -> DuplicateGroups:
        """Things that are in the catalogue twice.

        Args:
            item_ids: Only groups with one of these items; empty for the whole catalogue.
            min_similarity: Cosine from which on two pictures are the same whatever the words, over 0 to 1; when the
                words alone are looked at, the least share of words in common. None: chosen from the catalogue, and the
                reply says how.
            filter: AIP-160 condition over the columns: only items that pass it are told.
            modality: What must be alike: ``picture``, ``words``, or either (``fused``).
            page_size: Groups a page, 1 to 1,000; 0 means 100.
            page_token: `next_page_token` of the page before, with the same arguments otherwise.
            timeout: Seconds this call may take; None: the client's own.

        Raises:
            MmrecError: one of the classes of `mmrec.errors`.
        """
        request = calls.duplicates_request(item_ids, min_similarity, filter, modality, page_size, page_token)
        return await self._call(rpcs.FIND_DUPLICATES, request, timeout)

    async def mismatches(
        self,
        item_ids: Iterable[str] = (),
        *,
        max_agreement: float | None = None,
        filter: str = "",
        page_size: int = DEFAULT_PAGE,
        page_token: str = "",
        item_fields: Iterable[str] = (),
        timeout: float | None = None,
    ) -> Mismatches:
        """Items whose picture and words do not agree, worst first.

        Args:
            item_ids: Only these items; empty for the whole catalogue.
            max_agreement: Cosine of picture and words below which they do not agree, -1 to 1; None: the 1% of the
                catalogue that fit worst, or every one of `item_ids`.
            filter: AIP-160 condition over the columns.
            page_size: Items a page, 1 to 1,000; 0 means 100.
            page_token: `next_page_token` of the page before, with the same arguments otherwise.
            item_fields: Fields of the rows to return besides the id; empty for all.
            timeout: Seconds this call may take; None: the client's own.

        Raises:
            MmrecError: one of the classes of `mmrec.errors`.
        """
        request = calls.mismatch_request(item_ids, max_agreement, filter, page_size, page_token, item_fields)
        return await self._call(rpcs.FIND_MISMATCHES, request, timeout)

    async def items(self, item_ids: Sequence[str], *, timeout: float | None = None) -> ItemLookup:
        """Catalogue rows by id, at most 1,000; unknown ids come back in `missing_ids`.

        Raises:
            MmrecError: one of the classes of `mmrec.errors`.
        """
        return await self._call(rpcs.GET_ITEMS, Ids().check(item_ids, "item_ids"), timeout)

    async def list_items(
        self,
        filter: str = "",
        *,
        page_size: int = DEFAULT_PAGE,
        page_token: str = "",
        item_fields: Iterable[str] = (),
        timeout: float | None = None,
    ) -> ItemPage:
        """A page of the catalogue, in the order of the item ids; pages go on while it changes.

        Args:
            filter: AIP-160 condition over the columns, as in ``colour = "red" AND price < 50``; empty for every item.
            page_size: Items a page, 1 to 1,000; 0 means 100.
            page_token: `next_page_token` of the page before, with the same arguments otherwise.
            item_fields: Fields of the rows to return besides the id; empty for all.
            timeout: Seconds this call may take; None: the client's own.

        Raises:
            MmrecError: one of the classes of `mmrec.errors`.
        """
        request = calls.list_items_request(filter, page_size, page_token, item_fields)
        return await self._call(rpcs.LIST_ITEMS, request, timeout)

    async def semantic_ids(
        self, item_ids: Iterable[str], *, codebook_version: str = "", timeout: float | None = None
    ) -> SemanticIds:
        """Semantic IDs of items, at most 1,000; unknown ids come back in `missing_ids`.

        Args:
            item_ids: The items.
            codebook_version: Version of the codebooks the answer must be in; empty for the one being served.
            timeout: Seconds this call may take; None: the client's own.

        Raises:
            FailedPreconditionError: the server does not know the items' paths in that version.
            MmrecError: another of the classes of `mmrec.errors`.
        """
        request = calls.semantic_ids_request(item_ids, codebook_version)
        return await self._call(rpcs.GET_SEMANTIC_IDS, request, timeout)

    async def resolve_semantic_ids(
        self,
        semantic_ids: Iterable[Iterable[int]],
        *,
        page_size: int = DEFAULT_K,
        codebook_version: str = "",
        timeout: float | None = None,
    ) -> ResolvedPaths:
        """Items of semantic IDs, or of the beginnings of them, at most 1,000.

        Args:
            semantic_ids: Paths of one code or more, as in ``[(12, 200, 7, 0), (12, 200)]``.
            page_size: Items returned per path, 1 to 1,000; 0 means 10. With more than 100 paths it is lowered so that
                at most 100,000 items come back in all.
            codebook_version: Version of the codebooks that the paths are in; empty for the one being served.
            timeout: Seconds this call may take; None: the client's own.

        Returns:
            One entry per path: its items, or why that path was refused.

        Raises:
            FailedPreconditionError: the server does not know the items' paths in that version.
            MmrecError: another of the classes of `mmrec.errors`.
        """
        request = calls.resolve_request(semantic_ids, page_size, codebook_version)
        return await self._call(rpcs.RESOLVE_SEMANTIC_IDS, request, timeout)

    async def upsert_items(
        self,
        items: Iterable[ItemInput | Mapping[str, object]],
        *,
        request_id: str = "",
        validate_only: bool = False,
        wait_until_visible: bool = False,
        fields: Iterable[str] = (),
        timeout: float | None = None,
    ) -> ChangeResults:
        """Add items, at most 1,000, or put them in place of those of the same id.

        They can be recommended, found and filtered within seconds, without any training. An item comes as a whole, and
        what is left out is empty afterwards; or with `fields`, only these are replaced in items that exist.

        Args:
            items: Items with ids, or mappings with the fields of `ItemInput`.
            request_id: Your name of this change, at most 128 characters: sent again with the same content it changes
                nothing and gets the first reply. Empty: no such protection.
            validate_only: Whether to check everything and change nothing.
            wait_until_visible: Whether to wait until the items can be recommended, rather than until they are safe.
            fields: What to replace: ``title``, ``description``, ``image``, ``attributes`` for every column,
                ``attributes.NAME`` for one. The others of an item are not read and stay as they were, the picture too,
                which need not be sent again. An item that does not exist is refused. Empty: the whole items.
            timeout: Seconds this call may take; None: the client's own.

        Returns:
            One entry per item: that it was done, or why that item was refused.

        Raises:
            FailedPreconditionError: another change was made under this request id, or the server's bundle takes no new
                items.
            MmrecError: the call failed as a whole.
        """
        batch = calls.upsert_batch(items, request_id, validate_only, wait_until_visible, fields)
        if not batch.split():
            return batch.join([])
        return batch.rejoin(await self._call(rpcs.UPSERT_ITEMS, batch, timeout))

    async def delete_items(
        self,
        item_ids: Iterable[str],
        *,
        request_id: str = "",
        validate_only: bool = False,
        timeout: float | None = None,
    ) -> ChangeResults:
        """Remove items, at most 1,000; they are not shown again from the reply on. Histories that hold them stay.

        Args:
            item_ids: The items.
            request_id: As for `upsert_items`.
            validate_only: Whether to check everything and change nothing.
            timeout: Seconds this call may take; None: the client's own.

        Returns:
            One entry per id: that it was done, or why it was refused, as NOT_FOUND for one that the catalogue lacks.

        Raises:
            FailedPreconditionError: another change was made under this request id, or no item would be left.
            MmrecError: the call failed as a whole.
        """
        return await self._call(rpcs.DELETE_ITEMS, calls.delete_request(item_ids, request_id, validate_only), timeout)

    def stream_upserts(
        self,
        batches: Iterable[Iterable[ItemInput | Mapping[str, object]]]
        | AsyncIterable[Iterable[ItemInput | Mapping[str, object]]],
        *,
        request_id: str = "",
        skip: int = 0,
        in_flight: int = 1,
        validate_only: bool = False,
        wait_until_visible: bool = False,
        fields: Iterable[str] = (),
        timeout: float | None = None,
    ) -> AsyncIterator[ChangeResults]:
        """Add or replace any number of items, batch by batch, over one stream.

        A batch is taken when the one before it has been answered, so the server sets the pace, and each result is there
        as soon as its batch is safe. When the stream breaks, `MmrecError.answered` says how many batches were answered:
        call again with the same batches, the same `request_id` and ``skip=error.answered`` to go on from there.

        Args:
            batches: Lists of items as for `upsert_items`, at most 1,000 items each.
            request_id: Your name of the whole, at most 120 characters; batch n, counted from 0, is the change
                ``request_id/n``, which is made once however often it is sent. Empty: no such protection.
            skip: Batches at the beginning that were answered before; they are taken and not sent.
            in_flight: Batches that are sent before the first of them is answered, 1 to 16. More than one lets the
                next batch travel while one is worked on.
            validate_only: Whether to check everything and change nothing.
            wait_until_visible: Whether to wait until the items can be recommended, rather than until they are safe.
            fields: As for `upsert_items`.
            timeout: Seconds that each answer may take; None: the client's own.

        Returns:
            The result of each batch, in order, as `upsert_items` returns it.

        Raises:
            InvalidArgumentError: an argument breaks a rule; while iterating, a batch does.
            MmrecError: while iterating: the stream broke; `answered` is set.
        """
        seconds = checked_timeout(timeout, self._timeout)
        state = UpsertStream(request_id, skip, in_flight, validate_only, wait_until_visible, fields)
        return self._upserts(batches, state, seconds)

    async def info(self, *, timeout: float | None = None) -> ServiceInfo:
        """What the server serves.

        Raises:
            MmrecError: one of the classes of `mmrec.errors`.
        """
        return await self._call(rpcs.GET_SERVICE_INFO, None, timeout)

    async def close(self) -> None:
        """Let go of the connection."""
        await self._transport.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _upserts(
        self,
        batches: Iterable[Iterable[ItemInput | Mapping[str, object]]]
        | AsyncIterable[Iterable[ItemInput | Mapping[str, object]]],
        state: UpsertStream,
        seconds: float,
    ) -> AsyncIterator[ChangeResults]:
        stream, source = await self._transport.stream(state.path, seconds), _each(batches)
        try:
            failure = None
            while True:
                try:
                    request = state.encoded(await anext(source))
                except StopAsyncIteration:
                    break
                except Exception as err:  # what is under way is answered first, so that `answered` is exact
                    failure = err
                    break
                if request is None:
                    continue
                await stream.send(request)
                if state.full:
                    yield state.answered(await stream.receive())
            while state.waiting:
                yield state.answered(await stream.receive())
            if failure is not None:
                raise failure
            await stream.finish()
        except MmrecError as err:
            raise state.broken(err) from None
        finally:
            await stream.close()
            await source.aclose()

    async def _call(self, rpc: rpcs.Rpc[Q, R], request: Q, timeout: float | None) -> R:
        seconds = checked_timeout(timeout, self._timeout)
        return rpc.decode_reply(await self._transport.call(rpc.path, rpc.encode_request(request), seconds))


async def _each(entries: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T, None]:
    if isinstance(entries, AsyncIterable):
        async for entry in entries:
            yield entry
    else:
        for entry in entries:
            yield entry
