"""The asyncio client: the twin of `mmrec.sdk.client`, with the same methods, results and errors.

Cancelling the task cancels the call, and the server drops the work.

Generated: do not edit; run scripts/generate_sdk.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import TypeVar

from mmrec.contract.changes import ChangeResults
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
from mmrec.sdk import rpcs
from mmrec.sdk.aio_methods import AsyncMethods
from mmrec.sdk.aio_transport import AsyncGrpcTransport, AsyncTransport
from mmrec.sdk.connection import DEFAULT_TARGET, DEFAULT_TIMEOUT_S, Tls, checked_timeout
from mmrec.sdk.inputs import AsyncUpsertBatches
from mmrec.sdk.streams import each
from mmrec.sdk.upsert_stream import UpsertStream

Q = TypeVar("Q")
R = TypeVar("R")


class AsyncClient(AsyncMethods):
    """Calls an mmrec server from one event loop; use it as an async context manager, or await `close`.

    Every call has a deadline. Calls that fail with UNAVAILABLE are tried again, at most three times, with growing and
    random waits, inside that deadline; nothing else is.

    Args:
        target: Address of the server, ``host:port``.
        token: The server's token, if it wants one.
        tls: True for TLS with the usual authorities, or `Tls` for your own; False for none.
        timeout: Seconds a call may take unless it says otherwise, over 0.
        transport: Something else to carry the calls, as `mmrec.sdk.aio_transport.AsyncEngineTransport` in tests;
            `target`, `token` and `tls` are not used then.

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

    async def recommend_many(
        self, requests: Iterable[RecommendRequest], *, timeout: float | None = None
    ) -> list[Recommendations | MmrecError]:
        """Recommend to several customers, at most 1,000: one entry per request, a list or the error of that request.

        Raises:
            MmrecError: the call failed as a whole.
        """
        return await self._call(rpcs.BATCH_RECOMMEND, RecommendBatch(requests), timeout)  # type: ignore[arg-type]

    async def similar_many(
        self, requests: Iterable[SimilarRequest], *, timeout: float | None = None
    ) -> list[SearchResults | MmrecError]:
        """Items nearest to each of several items, at most 1,000: one entry per request, a list or the error of that
        request.

        Raises:
            MmrecError: the call failed as a whole.
        """
        return await self._call(rpcs.BATCH_SIMILAR_ITEMS, SimilarBatch(requests), timeout)  # type: ignore[arg-type]

    async def search_many(
        self, requests: Iterable[SearchRequest], *, timeout: float | None = None
    ) -> list[SearchResults | MmrecError]:
        """Several searches, at most 1,000: one entry per search, a list or the error of that search.

        Raises:
            MmrecError: the call failed as a whole.
        """
        return await self._call(rpcs.BATCH_SEARCH_ITEMS, SearchBatch(requests), timeout)  # type: ignore[arg-type]

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
        state = UpsertStream(
            request_id,
            skip,
            in_flight,
            validate_only=validate_only,
            wait_until_visible=wait_until_visible,
            fields=fields,
        )
        return self._upserts(batches, state, seconds)

    async def info(self, *, timeout: float | None = None) -> ServiceInfo:
        """What the server serves.

        Raises:
            MmrecError: one of the classes of `mmrec.errors`.
        """
        return await self._call(rpcs.GET_SERVICE_INFO, ServiceInfoRequest(), timeout)

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

    async def _call(self, rpc: rpcs.Rpc[Q, R], request: Q, timeout: float | None) -> R:
        seconds = checked_timeout(timeout, self._timeout)
        if not rpc.split(request):
            return rpc.join(request, [])
        reply = await self._transport.call(rpc.path, rpc.encode_request(request), seconds)
        return rpc.rejoin(request, rpc.decode_reply(reply))
