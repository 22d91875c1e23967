"""Parses and checks URLs that may be fetched, and redacts them for messages. Uses no network.

Parsers disagree about unusual URLs, which is a security risk: one parser may check another host than the next one
connects to. So a URL is parsed once, into a `Target`, and an unusual one is refused.
"""

from __future__ import annotations

import contextlib
import re
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from mmrec.data.public_addresses import IPAddress, address_in_url

_MAX_URL = 4096
_PORTS = {"http": 80, "https": 443}
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")
_NETLOC = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:]+)(:[0-9]*)?", re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")


class RefusedURLError(Exception):
    """Why a URL is not fetched, and what to do about it, as the second half of a sentence about it."""


class Target(NamedTuple):
    """A parsed URL.

    Attributes:
        scheme: ``http`` or ``https``.
        host: A name in lower case, or an address; an IPv6 address is without its brackets.
        port: TCP port.
        path: Path and query, percent-encoded.
        address: The address if `host` is one; None for a name.
    """

    scheme: str
    host: str
    port: int
    path: str
    address: IPAddress | None


def read_url(url: str) -> Target:
    """The parts of a URL.

    Raises:
        RefusedURLError: it is not http or https, malformed, unusual, or has a user name.
    """
    if len(url) > _MAX_URL:
        raise RefusedURLError(f"it has {len(url):,} characters; at most {_MAX_URL:,} are allowed")
    if _FORBIDDEN.search(url):
        raise RefusedURLError("it has a control character or a backslash; write it percent-encoded")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError as err:
        raise RefusedURLError("it is no well-formed URL; correct it") from err
    if parts.scheme not in _PORTS:
        raise RefusedURLError(f"its scheme is {parts.scheme[:20]!r}; only http and https are fetched")
    if "@" in parts.netloc:
        raise RefusedURLError("it has a user name or password, which are not sent; remove them")
    if not _NETLOC.fullmatch(parts.netloc):
        raise RefusedURLError("it names no host, or more than a host and a port; correct it")
    try:
        address = address_in_url(host)
    except ValueError as err:
        raise RefusedURLError(
            f"its host {host[:80]!r} is an address in an unusual notation; write the host's name"
        ) from err
    if address is None and not _is_name(host):
        raise RefusedURLError(
            f"its host {host[:80]!r} is no host name (letters, digits, '-' and '.'); correct it, and write an "
            "international name in its xn-- form"
        )
    # Characters that a URL may not have are percent-encoded, as browsers do; encoded ones stay.
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=-._~")
    if parts.query:
        path += "?" + quote(parts.query, safe="/?%:@!$&'()*+,;=-._~[]|")
    return Target(parts.scheme, host, _PORTS[parts.scheme] if port is None else port, path, address)


def redirected(url: str, location: str) -> str:
    """The URL that a redirect leads to.

    Args:
        url: Where the redirect came from.
        location: Its ``Location`` header, read as Latin-1.

    Raises:
        RefusedURLError: the two make no URL.
    """
    with contextlib.suppress(UnicodeError):  # servers that do not encode a path send UTF-8
        location = location.encode("latin-1").decode("utf-8")
    try:
        return urljoin(url, location.strip())
    except ValueError as err:
        raise RefusedURLError("it is redirected to something that is no URL") from err


def redacted_url(url: str) -> str:
    """A URL for messages: quoted, without user, password, query and fragment, at most 200 characters."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if it is no port: it may be a password
        plain = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        plain = url.partition(":")[0] + ":…"
    return repr(plain if len(plain) <= 200 else plain[:199] + "…")


def is_host_pattern(pattern: str) -> bool:
    """Whether it is a host name in lower case, an address, ``*.`` and a name, or ``*``."""
    name = pattern.removeprefix("*.")
    try:
        address = address_in_url(name)
    except ValueError:
        return False
    return pattern == "*" or (_is_name(name) if address is None else name == pattern)


def host_matches(target: Target, pattern: str) -> bool:
    """Whether a pattern, see `is_host_pattern`, covers the host; ``*.example.com`` does not cover example.com."""
    if pattern == "*":
        return True
    if target.address is not None:  # one address can be written in several ways
        return not pattern.startswith("*.") and target.address == address_in_url(pattern)
    return target.host.endswith(pattern[1:]) if pattern.startswith("*.") else target.host == pattern


def _is_name(host: str) -> bool:
    return len(host) <= 253 and all(_LABEL.fullmatch(label) for label in host.split("."))
