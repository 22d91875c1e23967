"""The blocking client: typed calls on an mmrec server. Knows nothing of protobuf; its twin is `mmrec.aio`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import TypeVar

from mmrec import calls, rpcs
from mmrec.errors import MmrecError
from mmrec.transport import (
    DEFAULT_TARGET,
    DEFAULT_TIMEOUT_S,
    GrpcTransport,
    Tls,
    Transport,
    checked_timeout,
)
from mmrec.types import (
    DEFAULT_K,
    EmbedResults,
    ItemInput,
    ItemLookup,
    Recommendations,
    RecommendRequest,
    SearchResults,
    ServiceInfo,
    SimilarRequest,
    checked_item_ids,
)

__all__ = ["Client", "Tls"]

Q = TypeVar("Q")
R = TypeVar("R")


class Client:
    """Calls an mmrec server. Safe to share between threads; use it as a context manager, or call `close`.

    Every call has a deadline. Calls that fail with UNAVAILABLE are tried again, at most three times, with
    growing and random waits, inside that deadline; nothing else is.

    Args:
        target: Address of the server, ``host:port``.
        token: The server's token, if it wants one.
        tls: True for TLS with the usual authorities, or `Tls` for your own; False for none.
        timeout: Seconds a call may take unless it says otherwise, over 0.
        transport: Something else to carry the calls, as `mmrec.transport.EngineTransport` in tests; `target`,
            `token` and `tls` are not used then.

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
        transport: Transport | None = None,
    ) -> None:
        self._timeout = checked_timeout(timeout, DEFAULT_TIMEOUT_S)
        own_tls = (Tls() if tls else None) if isinstance(tls, bool) else tls
        self._transport: Transport = transport or GrpcTransport(target, token=token, tls=own_tls)

    def recommend(
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
        return self._call(rpcs.RECOMMEND, request, timeout)

    def recommend_many(
        self, requests: Iterable[RecommendRequest], *, timeout: float | None = None
    ) -> list[Recommendations | MmrecError]:
        """Recommend to several customers, at most 1,000: one entry per request, a list or the error of that
        request.

        Raises:
            MmrecError: the call failed as a whole.
        """
        return self._call(rpcs.BATCH_RECOMMEND, calls.recommend_batch(requests), timeout)

    def similar(self, item_id: str, k: int = DEFAULT_K, *, timeout: float | None = None) -> SearchResults:
        """Items nearest to an item of the catalogue, which is not among them.

        Raises:
            NotFoundError: the catalogue does not have it.
            MmrecError: another of the classes of `mmrec.errors`.
        """
        return self._call(rpcs.SIMILAR_ITEMS, SimilarRequest(item_id=item_id, k=k), timeout)

    def search(
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
        return self._call(rpcs.SEARCH_ITEMS, calls.search_request(text, image, text_weight, k), timeout)

    def embed(
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
        return batch.rejoin(self._call(rpcs.EMBED_ITEMS, batch, timeout))

    def items(self, item_ids: Sequence[str], *, timeout: float | None = None) -> ItemLookup:
        """Catalogue rows by id, at most 1,000; unknown ids come back in `missing_ids`.

        Raises:
            MmrecError: one of the classes of `mmrec.errors`.
        """
        return self._call(rpcs.GET_ITEMS, checked_item_ids(item_ids), timeout)

    def info(self, *, timeout: float | None = None) -> ServiceInfo:
        """What the server serves.

        Raises:
            MmrecError: one of the classes of `mmrec.errors`.
        """
        return self._call(rpcs.GET_SERVICE_INFO, None, timeout)

    def close(self) -> None:
        """Let go of the connection."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, rpc: rpcs.Rpc[Q, R], request: Q, timeout: float | None) -> R:
        seconds = checked_timeout(timeout, self._timeout)
        return rpc.decode_reply(self._transport.call(rpc.path, rpc.encode_request(request), seconds))
