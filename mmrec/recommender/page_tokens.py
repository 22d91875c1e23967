"""Page tokens: pagination cursors that depend on the request and on nothing else.

Unit of work: one token. It holds what earlier pages returned, so it works for the same request on a catalogue that has
changed meanwhile, after a restart, on another version of the bundle and on another server; each page is made from the
current catalogue. Three kinds of lists are paged differently:

- A list ordered by item id continues after the last id (`last_id`, `page_by_id`): every item that stays in the list is
  returned exactly once, and none twice.
- A ranked list, whose order may change between pages, continues with the best entries that were not returned yet
  (`ReturnedItems`, `page_by_rank`), with the same guarantee. Its token grows by 8 characters per item returned, so such
  a list ends after some 125,000 items (`MAX_TOKEN_CHARS`) with an error that says so.
- A list of recorded events, whose numbers rise, goes on below the last number (`last_number`, `page_by_number`): an
  event that comes in between is on none of the pages that follow.

A token is opaque to clients; the token of another request is refused. Knows nothing about how lists are made.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

from mmrec.errors import InvalidArgumentError

T = TypeVar("T")

_NUMBER_BYTES = 8
_END = 2**62
"""No number of an event is as high."""

_PAGING = {"page_token", "k", "page_size", "validate_only"}
_SEAL_BYTES = 12
_MARK_BYTES = 6
"""With a million items returned and a million to come, one list in three hundred misses an item by a hash collision."""


class Page(NamedTuple, Generic[T]):
    """Some entries of a list.

    Attributes:
        entries: Those of this page.
        next_page_token: Token of the next page; empty: this was the last.
    """

    entries: Sequence[T]
    next_page_token: str


class ReturnedItems:
    """The items that earlier pages returned, as the token of a request holds them.

    ``item_id in returned`` says whether an item was among them.

    Args:
        request: A frozen dataclass with `page_token`; all other fields but the page sizes must be unchanged.

    Raises:
        InvalidArgumentError: the token is of another request, or none at all.
    """

    __slots__ = ("_marks",)

    def __init__(self, request: Any) -> None:
        held = _held(request)
        if len(held) % _MARK_BYTES:
            raise _foreign(request)
        self._marks = frozenset(held[at : at + _MARK_BYTES] for at in range(0, len(held), _MARK_BYTES))

    def __contains__(self, item_id: str) -> bool:
        return bool(self._marks) and _mark(item_id) in self._marks

    def __len__(self) -> int:
        return len(self._marks)

    def token(self, request: Any, item_ids: Iterable[str]) -> str:
        """The token of the page after one that returns these items."""
        return _token(request, b"".join(sorted(self._marks.union(map(_mark, item_ids)))))


def page_by_rank(
    request: Any,
    size: int,
    returned: ReturnedItems,
    entries: Iterable[T],
    ids_of: Callable[[T], Iterable[str]],
    *,
    more: bool = False,
) -> Page[T]:
    """The next page of a ranked list, whose order may change from page to page.

    Args:
        request: As for `ReturnedItems`.
        size: Entries of a page.
        returned: What earlier pages returned.
        entries: Those that were not returned yet, best first; no more of them are read than the page needs.
        ids_of: The ids of the items in an entry.
        more: Whether there are others that are not among `entries`.
    """
    found = list(islice(entries, size + 1))
    page = found[:size]
    if not more and len(found) <= size:
        return Page(page, "")
    return Page(page, returned.token(request, (item_id for entry in page for item_id in ids_of(entry))))


def last_id(request: Any) -> str:
    """The id after which the next page of a list by id begins; empty: at the beginning.

    Raises:
        InvalidArgumentError: as for `ReturnedItems`.
    """
    try:
        return _held(request).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise _foreign(request) from None


def page_by_id(request: Any, entries: Sequence[T], more: bool, id_of: Callable[[T], str]) -> Page[T]:
    """A page of a list ordered by id; `more` says whether entries follow it."""
    return Page(entries, _token(request, id_of(entries[-1]).encode("utf-8", "surrogatepass")) if more else "")


def last_number(request: Any) -> int | None:
    """The number below which the next page of a list by number begins, 1 or more; None: at the beginning.

    Raises:
        InvalidArgumentError: as for `ReturnedItems`.
    """
    held = _held(request)
    if not held:
        return None
    number = int.from_bytes(held, "big")
    if len(held) != _NUMBER_BYTES or not 0 < number < _END:
        raise _foreign(request)
    return number


def page_by_number(request: Any, entries: Sequence[T], more: bool, number_of: Callable[[T], int]) -> Page[T]:
    """A page of a list ordered by number, the highest first; `more` says whether entries follow it."""
    return Page(entries, _token(request, number_of(entries[-1]).to_bytes(_NUMBER_BYTES, "big")) if more else "")


def _mark(item_id: str) -> bytes:
    return hashlib.blake2b(item_id.encode("utf-8", "surrogatepass"), digest_size=_MARK_BYTES).digest()


def _held(request: Any) -> bytes:
    """What the token of a request holds; nothing for a first page."""
    if not request.page_token:
        return b""
    try:
        data = base64.b64decode(request.page_token.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    held = data[_SEAL_BYTES:]
    if not held or data[:_SEAL_BYTES] != _seal(request, held):
        raise _foreign(request)
    return held


def _foreign(request: Any) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"page_token {request.page_token!r:.40} is of another request, or none at all; pass next_page_token of the "
        "page before with all else as it was, or leave it empty to begin again",
        field="page_token",
    )


def _token(request: Any, held: bytes) -> str:
    return base64.urlsafe_b64encode(_seal(request, held) + held).decode("ascii")


def _seal(request: Any, held: bytes) -> bytes:
    """A digest of the request and of what its token holds."""
    digest = hashlib.sha256(f"{type(request).__name__}\0{len(held)}\0".encode() + held)
    for field in fields(request):
        if field.name not in _PAGING:
            value = getattr(request, field.name)
            digest.update(f"{field.name}\0".encode())
            # Pictures are large: their bytes as they are.
            content = value if isinstance(value, bytes) else repr(value).encode("utf-8", "surrogatepass")
            digest.update(f"{type(value).__name__}{len(content)}\0".encode() + content)
    return digest.digest()[:_SEAL_BYTES]
