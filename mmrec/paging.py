"""Page tokens: where the next page of a list begins, bound to what was asked and to the catalogue it was asked of.

Unit of work: one token. A token says nothing to whoever holds it and works for the same question and version alone.
Knows nothing of lists.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Generic, NamedTuple, TypeVar

from mmrec.errors import InvalidArgumentError

__all__ = ["Page", "next_page_token", "page_of", "page_start"]

T = TypeVar("T")

_PAGING = {"page_token", "k", "page_size"}
_SEAL_BYTES = 12
_OFFSET_BYTES = 8


class Page(NamedTuple, Generic[T]):
    """Some entries of a list.

    Attributes:
        entries: Those of this page.
        next_page_token: Where the next one begins; empty: this was the last.
    """

    entries: Sequence[T]
    next_page_token: str


def page_start(request: Any, version: str) -> int:
    """Place of the first entry that a request wants, 0 or more.

    Args:
        request: A frozen dataclass with `page_token`; all of its fields but the sizes of pages must be as they were.
        version: Version of the catalogue.

    Raises:
        InvalidArgumentError: the token is of another request or version, or none at all.
    """
    token = request.page_token
    if not token:
        return 0
    try:
        data = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    start = int.from_bytes(data[_SEAL_BYTES:], "big")
    if len(data) != _SEAL_BYTES + _OFFSET_BYTES or data[:_SEAL_BYTES] != _seal(request, version, start):
        raise InvalidArgumentError(
            f"page_token {token!r:.40} is of another request or of another version of the catalogue; pass "
            "next_page_token of the page before with all else as it was, or leave it empty to begin again",
            field="page_token",
        )
    return start


def next_page_token(request: Any, version: str, start: int) -> str:
    """The token of the page that begins at `start`."""
    data = _seal(request, version, start) + start.to_bytes(_OFFSET_BYTES, "big")
    return base64.urlsafe_b64encode(data).decode("ascii")


def page_of(request: Any, version: str, entries: Sequence[T]) -> Page[T]:
    """The page that a request with `page_token` and `page_size` wants of a list.

    Raises:
        InvalidArgumentError: see `page_start`.
    """
    start = page_start(request, version)
    end = start + request.page_size
    more = end < len(entries)
    return Page(entries[start:end], next_page_token(request, version, end) if more else "")


def _seal(request: Any, version: str, start: int) -> bytes:
    """Something that only the same question, version and place give."""
    digest = hashlib.sha256(f"{type(request).__name__}\0{version}\0{start}\0".encode())
    for field in fields(request):
        if field.name not in _PAGING:
            value = getattr(request, field.name)
            digest.update(f"{field.name}\0".encode())
            # Pictures are large: their bytes as they are.
            content = value if isinstance(value, bytes) else repr(value).encode("utf-8", "surrogatepass")
            digest.update(f"{type(value).__name__}{len(content)}\0".encode() + content)
    return digest.digest()[:_SEAL_BYTES]
