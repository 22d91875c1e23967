"""Transports for users' tests: the test says what is answered, and sees the requests. There is no network.

transport = FakeTransport(recommend=Recommendations(...), search=UnavailableError("down"))
with Client(transport=transport) as client:
    ...  # call the code under test with the client
assert transport.requests == [RecommendRequest(["item-3"], k=5)]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mmrec.errors import InvalidArgumentError, MmrecError, NotImplementedYetError
from mmrec.sdk.aio_transport import AsyncLocalTransport
from mmrec.sdk.rpcs import RPCS, Rpc
from mmrec.sdk.status import error_from_status, error_to_status
from mmrec.sdk.transport import LocalTransport

Reply = object | MmrecError | Callable[[Any], object]
"""What a method's requests are answered with: a reply, an error to raise, or a function that is given the request and
returns the reply, or raises the error."""

_NAMES = {"resolve": "resolve_semantic_ids", "upsert": "upsert_items", "delete": "delete_items"}


def _name(kind: str) -> str:
    """The client's method for a kind of request."""
    return _NAMES.get(kind, kind.replace("-", "_"))


_KINDS: Mapping[str, type[Any]] = {_name(rpc.kind): rpc.reply for rpc in RPCS.values() if isinstance(rpc.reply, type)}
"""The reply's class of each method."""


class FakeTransport(LocalTransport):
    """Answers the calls of a `Client` with what a test gives; nothing is sent, and nothing tried again.

    Requests are checked as a server checks them, and requests and replies are converted to messages and back. Timeouts
    are ignored.

    Args:
        replies: What is answered, by the name of the client's method, as in ``recommend=Recommendations(...)``; see
            `Reply`. ``recommend`` answers each request of ``recommend_many`` too (and so do ``similar`` and
            ``search``), and ``upsert_items`` each batch of ``stream_upserts``. A method that is not named fails with
            `NotImplementedYetError`.

    Attributes:
        requests: The requests that came, in order, as the dataclasses of `mmrec.contract`; of a list of requests each
            one, without those that the client refused.

    Raises:
        InvalidArgumentError: a name is not that of a method, or, when a method is called, its reply is of another
            class than the method returns.
    """

    def __init__(self, **replies: Reply) -> None:
        super().__init__()
        unknown = [name for name in replies if name not in _KINDS]
        if unknown:
            raise InvalidArgumentError(
                f"a reply is given for {unknown[0]!r}, which is no method; the methods are {', '.join(sorted(_KINDS))}",
                field=unknown[0],
            )
        self._replies = replies
        self.requests: list[Any] = []

    def messages(self, rpc: Rpc[Any, Any], request: Any) -> Iterator[Any]:
        """See `LocalTransport.messages`."""
        results = [self._result(_name(rpc.kind), part) for part in rpc.split(request)]
        return iter(rpc.pieces(rpc.join(request, results)))

    def _result(self, name: str, request: Any) -> Any:
        self.requests.append(request)
        if name not in self._replies:
            return NotImplementedYetError(f"no reply is given for {name}; pass FakeTransport({name}=...)")
        reply = self._replies[name]
        try:
            found = reply(request) if callable(reply) else reply
        except MmrecError as err:
            found = err
        if isinstance(found, MmrecError):
            return error_from_status(error_to_status(found))  # what a client has of a server's error, each time anew
        if not isinstance(found, _KINDS[name]):
            raise InvalidArgumentError(
                f"the reply to {name} is a {type(found).__name__}; it must be a {_KINDS[name].__name__}, or an error "
                "of mmrec.errors",
                field=name,
            )
        return found


class AsyncFakeTransport(AsyncLocalTransport):
    """`FakeTransport` for an `AsyncClient`; functions are called in a thread."""

    def __init__(self, **replies: Reply) -> None:
        inner = FakeTransport(**replies)
        super().__init__(inner)
        self.requests = inner.requests
