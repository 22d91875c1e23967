"""The asyncio client: like `mmrec.sdk.client`, with the same methods, results and errors.

Cancelling the task cancels the call, and the server drops the work.

Generated: do not edit; run scripts/generate_sdk.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import TypeVar, Unpack

from mmrec.contract.changes import ChangeResults
from mmrec.contract.conversation import BEGINNING, NO_STATE, ConversationState, ConverseRequest
from mmrec.contract.replies import Recommendations, SearchResults, ServiceInfo
from mmrec.contract.requests import (
    RecommendBatch,
    RecommendRequest,
    SearchBatch,
    SearchRequest,
    ServiceInfoRequest,
    SimilarBatch,
    SimilarRequest,
)
from mmrec.errors import MmrecError
from mmrec.sdk import options as keywords
from mmrec.sdk import rpcs
from mmrec.sdk.aio_conversation import AsyncConversation
from mmrec.sdk.aio_methods import AsyncMethods
from mmrec.sdk.aio_transport import AsyncGrpcTransport, AsyncTransport
from mmrec.sdk.connection import DEFAULT_TARGET, DEFAULT_TIMEOUT_S, Tls, Token, checked_timeout
from mmrec.sdk.environment import access_from_env
from mmrec.sdk.inputs import AsyncUpsertBatches
from mmrec.sdk.parts import OnProgress, joined_results, listed, sized_parts
from mmrec.sdk.streams import each
from mmrec.sdk.timing import OnTiming
from mmrec.sdk.upsert_stream import UpsertStream

Q = TypeVar("Q")
R = TypeVar("R")


class AsyncClient(AsyncMethods):
    """Calls an mmrec server from one event loop. Use it as an async context manager, or await `close`.

    Every call has a deadline. A call that fails with UNAVAILABLE, or that a closing server cancels, is retried at most
    three times within its deadline, with exponential backoff and jitter, or after the wait that the server asks for; if
    that is longer than what is left of the deadline, it is not retried. Other errors are not retried.

    The first call connects. From then on, processes that are forked from this one must not use the client, and are told
    so.

    Args:
        target: Address of the server, ``host:port``; of several, ``ipv4:10.0.0.1:50051,10.0.0.2:50051``, or a name that
            has them all, ``dns:///name:port``.
        token: The server's token or API key, if it requires one; or a function that returns it and is called for each
            call, so that the key can be replaced while the client is used. It must be quick, and safe to call from
            several threads.
        tls: True for TLS with the default authorities, or `Tls` for your own; False for none.
        timeout: Default timeout of a call in seconds, above 0.
        transport: Replaces gRPC, and the other arguments but `timeout` are not used; for tests, see
            `mmrec.sdk.fake.AsyncFakeTransport`, or for an engine in this process
            `mmrec.sdk.aio_transport.AsyncEngineTransport`.
        on_timing: Called with how long the server worked on each call, stage by stage, failed ones included, before
            the call returns; streams tell nothing. None: the server is not asked.
        round_robin: Whether calls go to all addresses of `target` in turn, and only to servers whose health is SERVING;
            otherwise to one of them, until its connection ends. None: with several addresses, or ``dns:``.

    Raises:
        InvalidArgumentError: an argument breaks a rule.
        NotFoundError: a TLS file cannot be read.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        token: Token | None = None,
        tls: bool | Tls = False,
        timeout: float = DEFAULT_TIMEOUT_S,
        transport: AsyncTransport | None = None,
        on_timing: OnTiming | None = None,
        round_robin: bool | None = None,
    ) -> None:
        self._timeout = checked_timeout(timeout, DEFAULT_TIMEOUT_S)
        own_tls = (Tls() if tls else None) if isinstance(tls, bool) else tls
        self._transport: AsyncTransport = transport or AsyncGrpcTransport(
            target, token=token, tls=own_tls, on_timing=on_timing, round_robin=round_robin
        )

    @classmethod
    def from_env(cls, *, timeout: float = DEFAULT_TIMEOUT_S, on_timing: OnTiming | None = None) -> AsyncClient:
        """Make a client of the server that environment variables name. An empty variable counts as not set.

        ``MMREC_TARGET`` is the server's ``host:port``, and must be set. ``MMREC_TOKEN`` is its token or API key; or
        ``MMREC_TOKEN_FILE`` is a file that has it, which is read for each call, so that the key can be replaced.
        ``MMREC_TLS`` is 1 for TLS, or 0; ``MMREC_TLS_CA``, ``MMREC_TLS_CERT``, ``MMREC_TLS_KEY`` (PEM files) and
        ``MMREC_TLS_SERVER_NAME`` are the attributes of `Tls`, and imply it.

        Args:
            timeout: Default timeout of a call in seconds, above 0.
            on_timing: As for the class.

        Raises:
            InvalidArgumentError: a variable is missing, breaks a rule, or contradicts another; the message names it.
            NotFoundError: a file that a variable names cannot be read.
        """
        target, token, tls = access_from_env()
        return cls(target, token=token, tls=tls, timeout=timeout, on_timing=on_timing)

    async def recommend_many(
        self,
        requests: Iterable[RecommendRequest],
        *,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
    ) -> list[Recommendations | MmrecError]:
        """Recommend items to several customers.

        Args:
            requests: More than 1,000, or 24 MiB, are sent in several calls, one after the other.
            on_progress: Called with the number of requests answered so far, after each call.
            timeout: Timeout of each call in seconds.

        Returns:
            One entry per request, in order: the recommendations, or the error of that request.

        Raises:
            MmrecError: the call failed as a whole.
        """
        batches = [RecommendBatch(part) for part in sized_parts(listed(RecommendBatch, "requests", requests))]
        return joined_results(await self._call_each(rpcs.BATCH_RECOMMEND, batches, timeout, on_progress))

    async def similar_many(
        self,
        requests: Iterable[SimilarRequest],
        *,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
    ) -> list[SearchResults | MmrecError]:
        """Find the nearest items of several items.

        Args:
            requests: More than 1,000, or 24 MiB, are sent in several calls, one after the other.
            on_progress: Called with the number of requests answered so far, after each call.
            timeout: Timeout of each call in seconds.

        Returns:
            One entry per request, in order: the results, or the error of that request.

        Raises:
            MmrecError: the call failed as a whole.
        """
        batches = [SimilarBatch(part) for part in sized_parts(listed(SimilarBatch, "requests", requests))]
        return joined_results(await self._call_each(rpcs.BATCH_SIMILAR_ITEMS, batches, timeout, on_progress))

    async def search_many(
        self,
        requests: Iterable[SearchRequest],
        *,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
    ) -> list[SearchResults | MmrecError]:
        """Run several searches.

        Args:
            requests: More than 1,000, or 24 MiB, are sent in several calls, one after the other.
            on_progress: Called with the number of requests answered so far, after each call.
            timeout: Timeout of each call in seconds.

        Returns:
            One entry per request, in order: the results, or the error of that request.

        Raises:
            MmrecError: the call failed as a whole.
        """
        batches = [SearchBatch(part) for part in sized_parts(listed(SearchBatch, "requests", requests))]
        return joined_results(await self._call_each(rpcs.BATCH_SEARCH_ITEMS, batches, timeout, on_progress))

    def stream_upserts(
        self,
        batches: AsyncUpsertBatches,
        *,
        request_id: str = "",
        skip: int = 0,
        in_flight: int = 1,
        validate_only: bool = False,
        wait_until_visible: bool = False,
        fields: Iterable[str] = (),
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[ChangeResults]:
        """Add or replace any number of items, batch by batch, over one stream.

        The next batch is read from `batches` when an earlier one has been answered, so the server sets the pace. Each
        result is returned as soon as its batch is saved. If the stream breaks, `MmrecError.answered` is the number of
        answered batches: call again with the same batches, the same `request_id` and ``skip=error.answered`` to
        continue.

        Args:
            batches: Lists of items as for `upsert_items`, at most 1,000 items each.
            request_id: Idempotency key of the whole upload, at most 120 characters; batch n, from 0, has the request
                id ``request_id/n``, so that it is applied only once even if it is sent again. Empty for none.
            skip: Number of first batches that were answered before; they are read and not sent.
            in_flight: Batches sent ahead of their replies, 1 to 16. With more than one, the next batch is transferred
                while the server processes another.
            validate_only: Whether to validate the batches without changing anything.
            wait_until_visible: Whether to wait until the items can be recommended, not only until they are saved.
            fields: As for `upsert_items`.
            on_progress: Called with the number of items answered so far, before the result of each batch is returned.
            timeout: Timeout of each reply in seconds; None: the client's default.

        Returns:
            The result of each batch, in order, as `upsert_items` returns it.

        Raises:
            InvalidArgumentError: an argument (or, while iterating, a batch) breaks a rule.
            MmrecError: while iterating, the stream broke; `answered` is set.
        """
        seconds = checked_timeout(timeout, self._timeout)
        state = UpsertStream(
            request_id,
            skip,
            in_flight,
            validate_only=validate_only,
            wait_until_visible=wait_until_visible,
            fields=fields,
            on_progress=on_progress,
        )
        return self._upserts(batches, state, seconds)

    def converse(
        self,
        history: Iterable[str] = (),
        *,
        state: ConversationState = NO_STATE,
        timeout: float | None = None,
        **options: Unpack[keywords.ConverseOptions],
    ) -> AsyncConversation:
        """Begin a conversation with a customer, or go on with one.

        Args:
            history: Item ids of the customer's events, oldest first; they are never shown.
            state: The state of a conversation that is taken up again; by default it begins.
            timeout: Timeout of each part of a turn, in seconds; None: the client's own.
            options: The other fields of `ConverseRequest`.

        Returns:
            The conversation; nothing is sent before its first message.

        Raises:
            InvalidArgumentError: an argument breaks a rule.
        """
        request = ConverseRequest(BEGINNING, state, history, **options)  # type: ignore[arg-type]
        return AsyncConversation(self._transport, request, checked_timeout(timeout, self._timeout))

    async def info(self, *, timeout: float | None = None) -> ServiceInfo:
        """Describe what the server serves.

        Raises:
            MmrecError: one of the classes of `mmrec.errors`.
        """
        return await self._call(rpcs.GET_SERVICE_INFO, ServiceInfoRequest(), timeout)

    async def close(self) -> None:
        """Close the connection."""
        await self._transport.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _upserts(
        self, batches: AsyncUpsertBatches, state: UpsertStream, seconds: float
    ) -> AsyncIterator[ChangeResults]:
        stream = await self._transport.stream(state.path, seconds)
        try:
            failure = None
            source = each(batches)
            while True:
                try:
                    request = state.encoded(await anext(source))
                except StopAsyncIteration:
                    break
                except Exception as err:  # raised after the replies of sent batches, so that `answered` is exact
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

    async def _call(self, rpc: rpcs.Rpc[Q, R], request: Q, timeout: float | None) -> R:
        seconds = checked_timeout(timeout, self._timeout)
        if not rpc.split(request):
            return rpc.join(request, [])
        reply = await self._transport.call(rpc.path, rpc.encode_request(request), seconds)
        return rpc.rejoin(request, rpc.decode_reply(reply))
