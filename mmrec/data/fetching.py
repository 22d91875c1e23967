"""Fetches a picture by its URL, protected against server-side request forgery. Knows nothing of items; decodes nothing.

The URLs of a catalogue are untrusted input: their author must not make this machine connect to hosts that only it can
reach. So hosts come from an allow-list; a host is resolved once, every address must be public, and the connection goes
to the checked addresses, because a second look-up could return others. Each redirect passes the same checks. Proxies
are not used. One deadline and one limit of bytes cover everything from resolving to the last byte, redirects included.
"""

from __future__ import annotations

import os
import queue
import re
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

from urllib3.response import HTTPResponse

from mmrec.contract.rules import MAX_PICTURE_BYTES
from mmrec.data.http_connections import Meter, OutOfBytesError, OutOfTimeError, open_connection, tls_context
from mmrec.data.pictures import picture_format
from mmrec.data.public_addresses import IPNetwork, why_not_public
from mmrec.data.urls import RefusedURLError, Target, host_matches, is_host_pattern, read_url, redacted_url, redirected
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, InvalidImageError, NotFoundError
from mmrec.runtime.limits import check_numbers

Resolve = Callable[[str, int], Sequence[str]]

_OVERHEAD = 256 * 1024
"""Bytes of headers and chunk framing allowed beside those of the picture."""
_CHUNK = 64 * 1024
_REDIRECTS = (301, 302, 303, 307, 308)
_ACCEPT = "image/jpeg, image/png, image/webp, image/gif, image/bmp"


@dataclass(frozen=True)
class FetchConfig:
    """From where pictures may be fetched, and at what cost.

    Attributes:
        allow_hosts: Hosts that may be asked. ``shop.example.com`` is that host, ``*.example.com`` every
            host below it (not itself), ``*`` every host with a public address.
        ports: TCP ports that may be used.
        allow_addresses: Networks (``10.1.2.0/24``) that may be asked although they are not public, for an
            internal picture store.
        ca: PEM file of an authority whose certificates are trusted besides the system's.
        max_bytes: Largest picture, 1 to `MAX_PICTURE_BYTES`.
        timeout_s: Seconds that one picture may take in all, above 0, at most 600.
        max_redirects: Redirects that are followed, 0 to 20.
        user_agent: Value of the ``User-Agent`` header.
    """

    allow_hosts: tuple[str, ...]
    ports: tuple[int, ...] = (80, 443)
    allow_addresses: tuple[str, ...] = ()
    ca: str | os.PathLike[str] | None = None
    max_bytes: int = MAX_PICTURE_BYTES
    timeout_s: float = 20.0
    max_redirects: int = 3
    user_agent: str = "mmrec"

    def __post_init__(self) -> None:
        for name in ("allow_hosts", "ports", "allow_addresses"):
            if isinstance(getattr(self, name), str):
                raise InvalidArgumentError(f"{name} is a string; pass a tuple of entries", field=name)
        if not self.allow_hosts:
            raise InvalidArgumentError(
                "allow_hosts is empty, so nothing could be fetched; name hosts (shop.example.com, *.example.com), "
                "or pass '*' for every public host",
                field="allow_hosts",
            )
        for host in self.allow_hosts:
            if not is_host_pattern(host):
                raise InvalidArgumentError(
                    f"allow_hosts has {host!r}; an entry is a host name in lower case without scheme, port and path "
                    "(shop.example.com), *.example.com, or *",
                    field="allow_hosts",
                )
        for port in self.ports:
            if not 1 <= port <= 65535:
                raise InvalidArgumentError(f"ports has {port}; a port is 1 to 65535", field="ports")
        for network in self.allow_addresses:
            try:
                ip_network(network)
            except ValueError as err:
                raise InvalidArgumentError(
                    f"allow_addresses has {network!r}; an entry is a network like 10.1.2.0/24 or fd00:12::/64 "
                    "without host bits",
                    field="allow_addresses",
                ) from err
        check_numbers(self, "max_bytes", low=1, high=MAX_PICTURE_BYTES)
        check_numbers(self, "timeout_s", low=0.001, high=600)
        check_numbers(self, "max_redirects", low=0, high=20)
        if not re.fullmatch(r"[ -~]{1,200}", self.user_agent):
            raise InvalidArgumentError("user_agent must be 1 to 200 printable ASCII characters", field="user_agent")


class PictureFetcher:
    """Fetches pictures under a `FetchConfig`. Safe to use from several threads and to hand to other processes.

    Args:
        config: From where, and at what cost.
        resolve: Gives the addresses of a name and port; the system's resolver by default.

    Raises:
        NotFoundError: `config.ca` cannot be read.
        FailedPreconditionError: `config.ca` holds no certificates.
    """

    def __init__(self, config: FetchConfig, resolve: Resolve | None = None) -> None:
        self.config = config
        self._resolve = resolve
        self._networks: tuple[IPNetwork, ...] = tuple(ip_network(network) for network in config.allow_addresses)
        # Reading the system's authorities is slow, so it waits until it is needed; the user's file is checked now.
        self._context = _tls_context(config.ca) if config.ca is not None else None

    def __reduce__(self) -> tuple[Any, ...]:
        return PictureFetcher, (self.config, self._resolve)

    def fetch(self, url: str) -> bytes:
        """The encoded bytes of the picture at a URL.

        Only their first bytes are checked: they have a format that `mmrec.data.pictures.decode_picture` reads.

        Raises:
            InvalidImageError: a rule forbids the URL or an address behind it, no picture comes back, or it is
                over a limit. The message names the URL without its query.
        """
        meter = Meter(self.config.timeout_s, self.config.max_bytes + self.config.max_bytes // 4 + _OVERHEAD)
        current = url
        try:
            secure = False
            for _ in range(self.config.max_redirects + 1):
                target = read_url(current)
                if secure and target.scheme != "https":
                    raise RefusedURLError(
                        "it is redirected from https to http; give the address it ends at if you trust it"
                    )
                secure = target.scheme == "https"
                answer = self._request(target, meter)
                if isinstance(answer, bytes):
                    return answer
                current = redirected(current, answer.location)
            raise RefusedURLError(
                f"it is redirected more than {self.config.max_redirects} times; give the address it ends at"
            )
        except RefusedURLError as err:
            why = str(err)
        except OutOfTimeError:
            why = f"it takes more than {self.config.timeout_s:g} seconds; try again later, or allow more time"
        except OutOfBytesError:
            why = self._too_large()
        hop = f", redirected to {redacted_url(current)}," if current != url else ""
        # Not chained: messages of a resolver, a socket or a parser would disclose the network to the author of the URL.
        raise InvalidImageError(f"the picture {redacted_url(url)}{hop} is not fetched: {why}")

    def _request(self, target: Target, meter: Meter) -> bytes | _Redirect:
        """The picture, or a redirect."""
        config = self.config
        if not any(host_matches(target, pattern) for pattern in config.allow_hosts):
            raise RefusedURLError(f"its host {target.host!r} is not in the allow-list; add it there if you trust it")
        if target.port not in config.ports:
            allowed = " and ".join(map(str, config.ports))
            raise RefusedURLError(
                f"its port {target.port} is not allowed ({allowed} are); "
                f"allow it with `mmrec fetch --port {target.port}` if you trust it"
            )
        addresses = self._addresses(target, meter)
        if target.scheme == "https" and self._context is None:
            self._context = _tls_context(None)
        context = self._context if target.scheme == "https" else None
        headers = {
            "Accept": _ACCEPT,
            "Accept-Encoding": "identity",
            "User-Agent": config.user_agent,
            "Connection": "close",
        }
        response: HTTPResponse | None = None
        try:
            connection = open_connection(target.host, target.port, addresses, meter, context)
            try:
                connection.request("GET", target.path, headers=headers, preload_content=False, decode_content=False)
                response = connection.getresponse()
                return self._answer(response)
            finally:
                if response is not None:
                    response.close()
                connection.close()
        except (RefusedURLError, OutOfTimeError, OutOfBytesError):
            raise
        except TimeoutError as err:
            raise OutOfTimeError from err
        except ssl.SSLCertVerificationError as err:
            raise RefusedURLError(
                f"the certificate of {target.host!r} is for another name, expired, or of an authority that is not "
                "trusted; give the authority's file if it is yours"
            ) from err
        except Exception as err:
            # An untrusted server can cause a dozen errors of four libraries.
            what = "breaks off its answer" if response is not None else "does not answer, or not in HTTP"
            raise RefusedURLError(f"the host {target.host!r} {what}; try again later") from err

    def _addresses(self, target: Target, meter: Meter) -> tuple[str, ...]:
        """Every address of the host, checked."""
        found = self._resolved(target, meter) if target.address is None else (str(target.address),)
        for text in found:
            try:
                address = ip_address(text)
            except ValueError as err:
                raise RefusedURLError(f"its host {target.host!r} has no usable address") from err
            if any(address in network for network in self._networks):
                continue
            if kind := why_not_public(address):
                raise RefusedURLError(
                    f"an address of its host {target.host!r} is not public ({kind}); put the file into images/, or "
                    "allow its network with `mmrec fetch --network` if the host is a picture store of yours"
                )
        return found

    def _resolved(self, target: Target, meter: Meter) -> tuple[str, ...]:
        # In its own thread: the system's resolver has no deadline.
        answers: queue.SimpleQueue[tuple[str, ...]] = queue.SimpleQueue()
        resolve = self._resolve or resolve_host

        def look_up() -> None:
            try:
                answers.put(tuple(resolve(target.host, target.port)))
            except Exception:
                answers.put(())

        threading.Thread(target=look_up, name="mmrec-resolve", daemon=True).start()
        try:
            found = answers.get(timeout=meter.seconds_left())
        except queue.Empty as err:
            raise OutOfTimeError from err
        if not found:
            raise RefusedURLError(f"its host {target.host!r} is unknown to the resolver; correct the name")
        return found

    def _answer(self, response: HTTPResponse) -> bytes | _Redirect:
        if response.status in _REDIRECTS and response.headers.get("Location"):
            return _Redirect(response.headers["Location"])
        if response.status != 200:
            raise RefusedURLError(f"the server answers with status {response.status}; correct the URL or ask its owner")
        for name, plain in (("Content-Encoding", "identity"), ("Transfer-Encoding", "chunked")):
            if (value := response.headers.get(name, "").strip().lower()) not in ("", plain):
                raise RefusedURLError(f"the server sends it packed ({name}: {value[:40]!r}), which is not unpacked")
        declared = response.length_remaining
        if declared is not None and declared > self.config.max_bytes:
            raise RefusedURLError(self._too_large(declared))
        data = bytearray()
        recognised = False
        for chunk in response.stream(_CHUNK, decode_content=False):
            data += chunk
            if len(data) > self.config.max_bytes:
                raise OutOfBytesError
            if not recognised and len(data) >= 512:
                recognised = _check_signature(data)
        if not recognised:
            _check_signature(data)
        return bytes(data)

    def _too_large(self, declared: int | None = None) -> str:
        size = "it has more bytes than allowed" if declared is None else f"it has {declared:,} bytes"
        return f"{size}; at most {self.config.max_bytes:,} are fetched: name a smaller version of it"


def resolve_host(host: str, port: int) -> tuple[str, ...]:
    """The addresses of a name, as the system's resolver gives them.

    Raises:
        OSError: it has none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


class _Redirect(NamedTuple):
    location: str


def _check_signature(data: bytearray) -> bool:
    try:
        picture_format(bytes(data[:512]))
    except InvalidImageError as err:
        raise RefusedURLError(f"what its host sends is no use: {err.message}") from err
    return True


def _tls_context(ca: str | os.PathLike[str] | None) -> ssl.SSLContext:
    path = None if ca is None else os.fspath(ca)
    try:
        return tls_context(path)
    except ssl.SSLError as err:
        raise FailedPreconditionError(f"the authority file {path!r} holds no certificate; give it in PEM form") from err
    except OSError as err:
        raise NotFoundError(f"the authority file {path!r} cannot be read: {err.strerror}") from err
