"""The asyncio client: the twin of `mmrec.client`, with the same calls, results and errors.

Unit of work: one call. Cancelling the task cancels the call, and the server drops the work. Knows nothing of
protobuf.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, TypeVar

import grpc
import grpc.aio

from mmrec import calls, rpcs
from mmrec.errors import MmrecError
from mmrec.transport import (
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
from mmrec.types import (
    DEFAULT_K,
    EmbedResults,
    Engine,
    ItemInput,
    ItemLookup,
    Recommendations,
    RecommendRequest,
    SearchResults,
    ServiceInfo,
    SimilarRequest,
    checked_item_ids,
)

__all__ = ["AsyncClient", "AsyncEngineTransport", "AsyncGrpcTransport", "AsyncTransport", "Tls"]

Q = TypeVar("Q")
R = TypeVar("R")


class AsyncTransport(Protocol):
    """Carries calls; see `mmrec.transport.Transport`."""

    async def call(self, path: str, request: bytes, timeout: float) -> bytes:
        """Bytes of the reply to one call."""
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
        if self._closed:
            raise closed_error(self.target)
        if self._channel is None:
            self._channel = (
                grpc.aio.insecure_channel(self.target, self._options)
                if self._credentials is None
                else grpc.aio.secure_channel(self.target, self._credentials, self._options)
            )
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
            explain: Whether to return each score's parts by channel and history item.
            timeout: Seconds this call may take; None: the client's own.

        Raises:
            MmrecError: one of the classes of `mmrec.errors`.
        """
        request = calls.recommend_request(history, user_id, k, allow, deny, include_seen, explain)
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

    async def similar(self, item_id: str, k: int = DEFAULT_K, *, timeout: float | None = None) -> SearchResults:
        """Items nearest to an item of the catalogue, which is not among them.

        Raises:
            NotFoundError: the catalogue does not have it.
            MmrecError: another of the classes of `mmrec.errors`.
        """
        return await self._call(rpcs.SIMILAR_ITEMS, SimilarRequest(item_id=item_id, k=k), timeout)

    async def search(
        self,
        text: str = "",
        *,
        image: bytes | str | os.PathLike[str] | None = None,
        text_weight: float = 0.5,
        k: int = DEFAULT_K,
        timeout: float | None = None,
    ) -> SearchResults:
        """Items nearest to words, to a picture, or to both.

        Args:
            text: Words to search by.
            image: Encoded picture (JPEG, PNG, WebP, GIF, BMP) or the path of one.
            text_weight: Share of the words when both are given, 0 to 1.
            k: How many items, 1 to 1,000; 0 means 10.
            timeout: Seconds this call may take; None: the client's own.

        Raises:
            InvalidImageError: the picture cannot be read.
            MmrecError: another of the classes of `mmrec.errors`.
        """
        return await self._call(rpcs.SEARCH_ITEMS, calls.search_request(text, image, text_weight, k), timeout)

    async def embed(
        self,
        items: Iterable[ItemInput | Mapping[str, object]],
        dimension: int = 0,
        *,
        timeout: float | None = None,
    ) -> EmbedResults:
        """Fused embeddings and semantic IDs of items, known or not, at most 1,000.

        Args:
            items: Items, or mappings with the fields of `ItemInput`.
            dimension: Length of the vectors: 0 for all, else one of `ServiceInfo.prefixes`.
            timeout: Seconds this call may take; None: the client's own.

        Returns:
            One entry per item: an embedding, or why that item failed.

        Raises:
            MmrecError: the call failed as a whole.
        """
        batch = calls.embed_batch(items, dimension)
        if not batch.split():
            return batch.join([])
        return batch.rejoin(await self._call(rpcs.EMBED_ITEMS, batch, timeout))

    async def items(self, item_ids: Sequence[str], *, timeout: float | None = None) -> ItemLookup:
        """Catalogue rows by id, at most 1,000; unknown ids come back in `missing_ids`.

        Raises:
            MmrecError: one of the classes of `mmrec.errors`.
        """
        return await self._call(rpcs.GET_ITEMS, checked_item_ids(item_ids), timeout)

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

    async def _call(self, rpc: rpcs.Rpc[Q, R], request: Q, timeout: float | None) -> R:
        seconds = checked_timeout(timeout, self._timeout)
        return rpc.decode_reply(await self._transport.call(rpc.path, rpc.encode_request(request), seconds))
