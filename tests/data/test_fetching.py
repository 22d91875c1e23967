"""URLs from strangers: pictures of allowed hosts are fetched, and nothing gets this machine to talk to others.

Every server here listens on a loopback port; no test sends a packet off this machine.
"""

from __future__ import annotations

import pickle
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.data.fetching import FetchConfig, PictureFetcher, resolve_host
from mmrec.data.pictures import PictureStore, decode_picture
from mmrec.data.public_addresses import why_not_public
from mmrec.data.urls import redacted_url
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, InvalidImageError, NotFoundError
from tests.data.raw_server import RawServer, reply

Encode = Callable[..., bytes]
HOST = "shop.example"


def to_loopback(host: str, port: int) -> tuple[str, ...]:
    """A resolver of which every name is this machine."""
    return ("127.0.0.1",)


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as running:
        yield running


def _fetcher(server: RawServer, resolve: Any = to_loopback, **options: Any) -> PictureFetcher:
    settings = {
        "allow_hosts": (HOST, "*.cdn.example"),
        "ports": (server.port,),
        "allow_addresses": ("127.0.0.1/32",),
        "timeout_s": 20.0,
    }
    return PictureFetcher(FetchConfig(**{**settings, **options}), resolve)


# --- what is fetched ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_a_picture_of_an_allowed_host_is_fetched(server: RawServer, encoded: Encode, kind: str) -> None:
    server.paths["/1"] = reply(encoded(kind=kind))
    data = _fetcher(server).fetch(server.url("/1"))
    assert data == encoded(kind=kind)
    assert decode_picture(data).size == (8, 8)


def test_the_host_is_asked_by_its_name_and_for_nothing_packed(server: RawServer, encoded: Encode) -> None:
    server.paths["/a%20b/gr%C3%BCn.png"] = reply(encoded())
    _fetcher(server, user_agent="shop-robot/2").fetch(server.url("/a b/gr\u00fcn.png?size=2&n=\u00e4#part"))
    (request,) = server.requests
    first, *headers = request.strip().split("\r\n")
    assert first == "GET /a%20b/gr%C3%BCn.png?size=2&n=%C3%A4 HTTP/1.1"
    assert sorted(headers) == [
        "Accept-Encoding: identity",
        "Accept: image/jpeg, image/png, image/webp, image/gif, image/bmp",
        "Connection: close",
        f"Host: {HOST}:{server.port}",
        "User-Agent: shop-robot/2",
    ]


@pytest.mark.parametrize("host", ["a.cdn.example", "a.b.cdn.example", "SHOP.Example", "shop.example."])
def test_hosts_below_an_allowed_one_and_other_spellings(server: RawServer, encoded: Encode, host: str) -> None:
    server.paths["/1.png"] = reply(encoded())
    assert _fetcher(server).fetch(server.url("/1.png", host)) == encoded()


def test_a_body_in_chunks_and_one_without_length(server: RawServer, encoded: Encode) -> None:
    data = encoded()
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(data[at : at + 9]), data[at : at + 9]) for at in range(0, len(data), 9))
    server.paths["/chunks"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    server.paths["/open"] = b"HTTP/1.0 200 OK\r\n\r\n" + data
    fetcher = _fetcher(server)
    assert fetcher.fetch(server.url("/chunks")) == fetcher.fetch(server.url("/open")) == data


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: RawServer, encoded: Encode, status: int) -> None:
    server.paths["/old/1"] = reply(b"gone", "Location: ../new/gr\xc3\xbcn.png", status=f"{status} Moved")
    server.paths["/new/gr%C3%BCn.png"] = reply(b"", f"Location: {server.url('/end', 'x.cdn.example')}", status="302 F")
    server.paths["/end"] = reply(encoded())
    assert _fetcher(server).fetch(server.url("/old/1")) == encoded()
    assert len(server.requests) == 3


def test_many_threads_share_one_fetcher(server: RawServer, encoded: Encode) -> None:
    server.paths |= {f"/{n}": reply(encoded() + bytes([n])) for n in range(40)}
    fetcher = _fetcher(server)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(fetcher.fetch, [server.url(f"/{n}") for n in range(40)]))
    assert found == [encoded() + bytes([n]) for n in range(40)]


def test_a_fetcher_can_be_handed_to_another_process(server: RawServer, encoded: Encode) -> None:
    server.paths["/1"] = reply(encoded())
    copy = pickle.loads(pickle.dumps(_fetcher(server)))
    assert copy.config == _fetcher(server).config
    assert copy.fetch(server.url("/1")) == encoded()


def test_proxies_of_the_environment_are_not_asked(
    server: RawServer, encoded: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.paths["/1"] = reply(encoded())
    assert _fetcher(server).fetch(server.url("/1")) == encoded()


# --- the address --------------------------------------------------------------------------------------------

NOT_PUBLIC = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.8.8.8",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:10.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001:0:4136:e378:8000:63bf:f5ff:fffe",
    "2001:db8::1",
    "2001:10::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2600::5efe:a00:1",
    "2600::200:5efe:a00:1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "2600::1%eth0",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450:4001::1"]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_a_name_with_an_address_that_is_not_public_is_refused(server: RawServer, address: str) -> None:
    fetcher = _fetcher(server, lambda host, port: (address,), allow_addresses=())
    with pytest.raises(InvalidImageError, match=r"an address of its host 'shop.example' is not public") as caught:
        fetcher.fetch(server.url("/1"))
    assert address not in caught.value.message.replace(server.url("/1"), "")
    assert server.requests == []


@pytest.mark.parametrize("address", [address for address in NOT_PUBLIC if "%" not in address])
def test_such_an_address_as_the_host_itself_is_refused(server: RawServer, address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    fetcher = _fetcher(server, allow_hosts=("*",), allow_addresses=())
    with pytest.raises(InvalidImageError, match="not public"):
        fetcher.fetch(server.url("/1", host))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_one(address: str) -> None:
    assert why_not_public(ip_address(address)) == ""


@given(
    st.one_of(
        st.ip_addresses(),
        st.sampled_from([a for a in NOT_PUBLIC if "%" not in a]).flatmap(
            lambda address: st.integers(-300, 300).map(
                lambda step: type(ip_address(address))((int(ip_address(address)) + step) % 2**32)
            )
        ),
    )
)
def test_nothing_is_public_here_that_the_standard_library_calls_private(address: IPv4Address | IPv6Address) -> None:
    private = not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified
    assert why_not_public(address) or not private


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:0:0/96", "64:ff9b::/96", "::/96", "2002::/16", "2001::/32"]))
def test_no_ipv4_address_gets_through_inside_of_an_ipv6_one(inner: IPv4Address, network: str) -> None:
    outer = ip_network(network)
    assert why_not_public(
        IPv6Address(int(outer.network_address) | int(inner) << (112 - 32 if "2002" in network else 0))
    )


@given(st.ip_addresses(v=4))
def test_only_the_networks_that_are_allowed_are_excepted(address: IPv4Address) -> None:
    config = FetchConfig(("*",), allow_addresses=("10.1.0.0/16",))
    fetcher = PictureFetcher(config, lambda host, port: (str(address), "10.9.9.9"))
    with pytest.raises(InvalidImageError, match="not public"):
        fetcher.fetch("http://shop.example/1.png")


def test_when_one_of_several_addresses_is_private_none_is_asked(server: RawServer, encoded: Encode) -> None:
    server.paths["/1"] = reply(encoded())
    fetcher = _fetcher(server, lambda host, port: ("127.0.0.1", "10.0.0.1"))
    with pytest.raises(InvalidImageError, match=r"not public \(private\)"):
        fetcher.fetch(server.url("/1"))
    assert server.requests == []


def test_a_name_that_changes_its_address_is_asked_at_the_one_that_was_checked(
    server: RawServer, encoded: Encode
) -> None:
    server.paths["/1"] = reply(b"", "Location: /2", status="302 Found")
    server.paths["/2"] = reply(encoded())
    answers = iter([("127.0.0.1",), ("127.0.0.1",), ("10.0.0.1",)])
    fetcher = _fetcher(server, lambda host, port: next(answers))
    assert fetcher.fetch(server.url("/1")) == encoded()
    assert list(answers) == [("10.0.0.1",)]


def test_a_name_that_becomes_private_between_two_hops_is_refused(server: RawServer) -> None:
    server.paths["/1"] = reply(b"", "Location: /2", status="302 Found")
    answers = iter([("127.0.0.1",), ("10.0.0.1",)])
    with pytest.raises(InvalidImageError, match="not public"):
        _fetcher(server, lambda host, port: next(answers)).fetch(server.url("/1"))
    assert len(server.requests) == 1


def test_a_public_address_is_dialled_by_its_number(
    server: RawServer, encoded: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialled = []
    dial = socket.socket.connect

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        dialled.append(address)
        if address[0] == "1.1.1.1":
            raise ConnectionRefusedError
        dial(self, ("127.0.0.1", server.port))

    # The one line that would send a packet, led back to this machine.
    monkeypatch.setattr(socket.socket, "connect", connect)
    server.paths["/1"] = reply(encoded())
    fetcher = PictureFetcher(FetchConfig(("*.example",)), lambda host, port: ("1.1.1.1", "8.8.8.8"))
    assert fetcher.fetch("http://shop.example/1") == encoded()
    assert dialled == [("1.1.1.1", 80), ("8.8.8.8", 80)]
    assert "Host: shop.example\r\n" in server.requests[0]


def test_the_systems_resolver_knows_this_machine() -> None:
    assert set(resolve_host("localhost", 80)) <= {"127.0.0.1", "::1"}
    with pytest.raises(InvalidImageError, match="not public"):
        PictureFetcher(FetchConfig(("*",))).fetch("http://localhost/")


@pytest.mark.parametrize("failure", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_an_unknown_name_is_reported_without_the_resolvers_words(server: RawServer, failure: Exception) -> None:
    def resolve(host: str, port: int) -> tuple[str, ...]:
        raise failure

    with pytest.raises(InvalidImageError, match="unknown to the resolver") as caught:
        _fetcher(server, resolve).fetch(server.url("/1"))
    assert str(failure) not in caught.value.message
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_resolver_that_hangs_is_not_waited_for(server: RawServer) -> None:
    done = threading.Event()
    try:
        with pytest.raises(InvalidImageError, match=r"takes more than 0\.2 seconds"):
            _fetcher(server, lambda host, port: done.wait(60) and (), timeout_s=0.2).fetch(server.url("/1"))
    finally:
        done.set()


# --- the URL ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://shop.example/1.png", "its scheme is 'ftp'; only http and https"),
        ("file:///etc/passwd", "its scheme is 'file'"),
        ("data:image/png;base64,iVBORw0KGgo=", "its scheme is 'data'"),
        ("gopher://shop.example/_GET", "its scheme is 'gopher'"),
        ("//shop.example/1.png", "its scheme is ''"),
        ("http://evil.example/1.png", "'evil.example' is not in the allow-list"),
        ("http://evilshop.example/1.png", "not in the allow-list"),
        ("http://shop.example.evil.example/1.png", "not in the allow-list"),
        ("http://cdn.example/1.png", "not in the allow-list"),
        ("http://xcdn.example/1.png", "not in the allow-list"),
        ("http://93.184.216.34/1.png", "not in the allow-list"),
        ("http://user:secret@shop.example/1.png", "user name or password"),
        ("http://@shop.example/1.png", "user name or password"),
        ("http://shop.example@evil.example/", "user name or password"),
        ("http://shop.example:22/1.png", "its port 22 is not allowed"),
        ("http://shop.example:0/1.png", "its port 0 is not allowed"),
        ("http://shop.example:99999/1.png", "no well-formed URL"),
        ("http://shop.example:secret/1.png", "no well-formed URL"),
        ("http://shop.example\\@evil.example/", "control character or a backslash"),
        ("http://shop.example/\r\nHost: x", "control character"),
        ("http://shop.example/\0", "control character"),
        ("http://shop.example/\ud800", "control character"),
        ("http://", "names no host"),
        ("http:///1.png", "names no host"),
        ("http://[::1", "no well-formed URL"),
        ("http://[::1]shop.example/", "names no host|no well-formed"),
        ("http://[shop.example]/", "names no host|no well-formed"),
        ("http://[fe80::1%25eth0]/", "names no host"),
        ("http://shop..example/", "no host name"),
        ("http://-shop.example/", "no host name"),
        ("http://sh%6Fp.example/", "no host name"),
        ("http://shop example/", "no host name"),
        ("http://b\u00fccher.example/", "xn-- form"),
        ("http://\uff11\uff12\uff17.0.0.1/", "unusual notation|no host name"),
        ("http://\u2460.example/", "no host name"),
        ("http://2130706433/", "unusual notation"),
        ("http://0x7f000001/", "unusual notation"),
        ("http://017700000001/", "unusual notation"),
        ("http://0x7f.0.0.1/", "unusual notation"),
        ("http://0177.0.0.1/", "unusual notation"),
        ("http://127.1/", "unusual notation"),
        ("http://127.0.0.1.1/", "unusual notation"),
        ("http://127.0.0.256/", "unusual notation"),
        ("http://1.2.3.0x4/", "unusual notation"),
        ("http://shop.example/" + "a" * 4096, "4,116 characters; at most 4,096"),
    ],
)
def test_a_url_that_breaks_a_rule_is_refused_before_anything_is_looked_up(url: str, why: str) -> None:
    def resolve(host: str, port: int) -> tuple[str, ...]:
        raise AssertionError("looked up")

    with pytest.raises(InvalidImageError, match=why) as caught:
        PictureFetcher(FetchConfig((HOST, "*.cdn.example")), resolve).fetch(url)
    assert caught.value.message.startswith("the picture '")
    assert "secret" not in caught.value.message
    assert len(caught.value.message) < 600


@given(st.text(max_size=40), st.sampled_from(["http://", "https://", "", "http:", "HTTP://shop.example"]))
def test_no_text_is_anything_but_refused(text: str, start: str) -> None:
    def resolve(host: str, port: int) -> tuple[str, ...]:
        return ("10.0.0.1",)

    with pytest.raises(InvalidImageError):
        PictureFetcher(FetchConfig((HOST, "*.example")), resolve).fetch(start + text)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@shop.example:8443/a/b.png?token=secret#secret", "'https://shop.example:8443/a/b.png'"),
        ("https://me:sec/ret@shop.example/a", "'https:…'"),
        ("https://shop.example/a@b", "'https://shop.example/a@b'"),
        ("http://shop.example/" + "x" * 300, "'http://shop.example/" + "x" * 179 + "…'"),
        ("http://shop.example/\n\x1b[31m", r"'http://shop.example/\x1b[31m'"),
    ],
)
def test_how_a_url_is_shown(url: str, shown: str) -> None:
    assert redacted_url(url) == shown


# --- redirects ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://127.0.0.1:{port}/2", "not in the allow-list"),
        ("http://inside.cdn.example:{port}/2", r"not public \(private\)"),
        ("http://mapped.cdn.example:{port}/2", r"not public \(an IPv4 address inside an IPv6 one\)"),
        ("http://metadata.cdn.example:{port}/2", r"not public \(link-local\)"),
        ("//evil.example:{port}/2", "'evil.example' is not in the allow-list"),
        ("http://[::ffff:127.0.0.1]:{port}/2", "not in the allow-list"),
        ("http://2130706433:{port}/2", "unusual notation"),
        ("http://shop.example:6379/2", "its port 6379 is not allowed"),
        ("http://me:secret@shop.example:{port}/2", "user name or password"),
        ("file:///etc/passwd", "its scheme is 'file'"),
        ("data:image/png,x", "its scheme is 'data'"),
        ("http://[", "no URL"),
        ("\x01http://[", "no URL|control character"),
        ("/1", "redirected more than 3 times"),
        ("?{port}", "redirected more than 3 times"),
    ],
)
def test_a_redirect_is_held_to_the_same_rules(server: RawServer, location: str, why: str) -> None:
    names = {"inside.cdn.example": "10.0.0.1", "mapped.cdn.example": "::ffff:127.0.0.1"}
    names["metadata.cdn.example"] = "169.254.169.254"
    there = location.replace("{port}", str(server.port))
    server.paths["/1"] = reply(b"", f"Location: {there}", status="302 Found")
    fetcher = _fetcher(server, lambda host, port: (names.get(host, "127.0.0.1"),))
    with pytest.raises(InvalidImageError, match=why) as caught:
        fetcher.fetch(server.url("/1"))
    assert "secret" not in caught.value.message
    assert len(server.requests) == (4 if "more than 3" in why else 1)


def test_no_redirect_is_followed_where_none_is_allowed(server: RawServer, encoded: Encode) -> None:
    server.paths |= {"/1": reply(b"", "Location: /2", status="302 Found"), "/2": reply(encoded())}
    with pytest.raises(InvalidImageError, match="redirected more than 0 times"):
        _fetcher(server, max_redirects=0).fetch(server.url("/1"))
    assert len(server.requests) == 1


# --- the answer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (reply(b"", status="404 Not Found"), "status 404"),
        (reply(b"", status="500 Oops"), "status 500"),
        (reply(b"", status="204 No Content"), "status 204"),
        (reply(b"GIF89a", status="206 Partial Content"), "status 206"),
        (reply(b"", status="302 Found"), "status 302"),
        (reply(b"", "Location: /1", status="304 Not Modified"), "status 304"),
        (reply(b"<!doctype html><title>Sign in</title>"), "HTML or XML text"),
        (reply(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "Content-Type: image/png"), "SVG"),
        (reply(b"%PDF-1.7" + b" " * 600), "the picture is PDF"),
        (reply(b""), "empty"),
        (reply(b"\x1f\x8b packed", "Content-Encoding: gzip"), "packed.*gzip"),
        (reply(b"packed", "Content-Encoding: br"), "packed.*br"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "packed.*gzip, chunked"),
        (reply(b"GIF89a", length=20 * 2**20), "20,971,520 bytes; at most 2,000 are fetched"),
        (reply(b"GIF89a" + bytes(3000)), "3,006 bytes; at most 2,000 are fetched"),
        (b"HTTP/1.0 200 OK\r\n\r\nGIF89a" + bytes(3000), "more bytes than allowed; at most 2,000"),
        (reply(b"GIF89a", length=400), "breaks off its answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\nGIF89a", "breaks off its answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nGIF89a", "breaks off its answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 7\r\n\r\nGIF89a", "does not answer"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "does not answer, or not in HTTP"),
        (b"HTTP/1.1 2000000 OK\r\n\r\n", "does not answer"),
        (b"", "does not answer"),
        (b"\0" * 100, "does not answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\nGIF89a", "does not answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\nGIF89a", "does not answer"),
    ],
)
def test_an_answer_that_is_no_picture_is_refused(server: RawServer, answer: bytes, why: str) -> None:
    server.paths["/1"] = answer
    with pytest.raises(InvalidImageError, match=why) as caught:
        _fetcher(server, max_bytes=2000).fetch(server.url("/1?token=secret"))
    message = caught.value.message
    assert message.startswith(f"the picture {server.url('/1')!r} is not fetched: ")
    assert "secret" not in message
    assert "0x" not in message
    assert "rror" not in message
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_body_longer_than_it_says_is_cut_there(server: RawServer, encoded: Encode) -> None:
    server.paths["/1"] = reply(encoded() + b"more", length=len(encoded()))
    assert _fetcher(server).fetch(server.url("/1")) == encoded()


def _forever(piece: bytes, pause: float = 0.0) -> Callable[[RawServer], Iterator[bytes]]:
    def pieces(server: RawServer) -> Iterator[bytes]:
        while True:
            yield piece
            if pause:
                server.wait(pause)

    return pieces


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nGIF89a", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_a_server_that_drips_is_left_at_the_deadline(server: RawServer, head: bytes, piece: bytes) -> None:
    server.paths["/1"] = lambda: (part for parts in ([head], _forever(piece, 0.02)(server)) for part in parts)
    with pytest.raises(InvalidImageError, match=r"takes more than 0\.3 seconds"):
        _fetcher(server, timeout_s=0.3).fetch(server.url("/1"))


def test_hops_share_one_deadline(server: RawServer) -> None:
    def slow() -> Iterator[bytes]:
        server.wait(0.2)
        yield reply(b"", "Location: /1", status="302 Found")

    server.paths["/1"] = slow
    with pytest.raises(InvalidImageError, match=r"takes more than 0\.5 seconds"):
        _fetcher(server, timeout_s=0.5, max_redirects=20).fetch(server.url("/1"))


def test_a_server_that_says_nothing_is_left_at_the_deadline(server: RawServer) -> None:
    def silent() -> Iterator[bytes]:
        server.wait(60)
        yield b""

    server.paths["/1"] = silent
    with pytest.raises(InvalidImageError, match=r"takes more than 0\.2 seconds"):
        _fetcher(server, timeout_s=0.2).fetch(server.url("/1"))


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nGIF89a", bytes(100_000)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"186a0\r\nGIF89a" + bytes(99_994) + b"\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\nX: " + b"y" * 60_000 + b"\r\n\r\n"),
    ],
)
def test_an_answer_without_end_is_left_at_the_byte_limit(server: RawServer, head: bytes, piece: bytes) -> None:
    sent = [0]

    def pieces() -> Iterator[bytes]:
        yield head
        for part in _forever(piece)(server):
            sent[0] += len(part)
            yield part

    server.paths["/1"] = pieces
    with pytest.raises(InvalidImageError, match="more bytes than allowed; at most 1,000,000"):
        _fetcher(server, max_bytes=1_000_000).fetch(server.url("/1"))
    # What the two sockets hold is not read, and is a few megabytes at most.
    assert sent[0] < 20_000_000


def test_a_host_that_is_not_there(server: RawServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    fetcher = _fetcher(server, ports=(port,))
    with pytest.raises(InvalidImageError, match="does not answer"):
        fetcher.fetch(f"http://shop.example:{port}/1.png")


# --- TLS ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority (ca.pem), and a certificate of shop.example (server.pem, server.key)."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl program to make certificates with")
    made = tmp_path_factory.mktemp("certificates")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=made, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    run("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=authority")
    (made / "names.cnf").write_text("subjectAltName=DNS:shop.example\n", encoding="ascii")
    run("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=shop.example")
    run(
        *("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
        *("-out", "server.pem", "-days", "2", "-extfile", "names.cnf"),
    )
    return made


@pytest.fixture
def secure_server(certificates: Path) -> Iterator[RawServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    with RawServer(context) as running:
        yield running


def test_a_picture_comes_over_tls_from_a_host_with_the_right_name(
    secure_server: RawServer, certificates: Path, encoded: Encode
) -> None:
    secure_server.paths["/1"] = reply(encoded())
    fetcher = _fetcher(secure_server, ca=certificates / "ca.pem")
    assert fetcher.fetch(secure_server.url("/1")) == encoded()
    assert pickle.loads(pickle.dumps(fetcher)).fetch(secure_server.url("/1")) == encoded()


def test_the_certificate_has_to_be_of_a_trusted_authority_and_for_the_name(
    secure_server: RawServer, certificates: Path, encoded: Encode
) -> None:
    secure_server.paths["/1"] = reply(encoded())
    with pytest.raises(InvalidImageError, match=r"certificate of 'shop.example' is for another name, expired, or"):
        _fetcher(secure_server).fetch(secure_server.url("/1"))
    with pytest.raises(InvalidImageError, match=r"certificate of 'a.cdn.example'"):
        _fetcher(secure_server, ca=certificates / "ca.pem").fetch(secure_server.url("/1", "a.cdn.example"))
    assert secure_server.requests == []


def test_limits_hold_over_tls_too(secure_server: RawServer, certificates: Path) -> None:
    head = b"HTTP/1.0 200 OK\r\n\r\nGIF89a"
    secure_server.paths["/drip"] = lambda: (
        part for parts in ([head], _forever(b"x", 0.02)(secure_server)) for part in parts
    )
    secure_server.paths["/flood"] = lambda: (
        part for parts in ([head], _forever(bytes(50_000))(secure_server)) for part in parts
    )
    with pytest.raises(InvalidImageError, match=r"takes more than 0\.5 seconds"):
        _fetcher(secure_server, ca=certificates / "ca.pem", timeout_s=0.5).fetch(secure_server.url("/drip"))
    with pytest.raises(InvalidImageError, match="more bytes than allowed"):
        _fetcher(secure_server, ca=certificates / "ca.pem", max_bytes=200_000).fetch(secure_server.url("/flood"))


def test_a_handshake_that_never_comes_is_left_at_the_deadline(server: RawServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        with pytest.raises(InvalidImageError, match=r"takes more than 0\.2 seconds"):
            _fetcher(server, ports=(port,), timeout_s=0.2).fetch(f"https://shop.example:{port}/1.png")


def test_a_redirect_from_https_to_http_is_refused(
    server: RawServer, secure_server: RawServer, certificates: Path, encoded: Encode
) -> None:
    server.paths["/2"] = reply(encoded())
    secure_server.paths["/1"] = reply(b"", f"Location: {server.url('/2')}", status="302 Found")
    fetcher = _fetcher(server, ca=certificates / "ca.pem", ports=(server.port, secure_server.port))
    with pytest.raises(InvalidImageError, match="redirected from https to http"):
        fetcher.fetch(secure_server.url("/1"))
    assert server.requests == []
    server.paths["/3"] = reply(b"", f"Location: {secure_server.url('/4')}", status="302 Found")
    secure_server.paths["/4"] = reply(encoded())
    assert fetcher.fetch(server.url("/3")) == encoded()


# --- configuration ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "field", "why"),
    [
        ({"allow_hosts": ()}, "allow_hosts", "nothing could be fetched"),
        ({"allow_hosts": "shop.example"}, "allow_hosts", "pass a tuple"),
        ({"allow_hosts": ("https://shop.example",)}, "allow_hosts", "without scheme"),
        ({"allow_hosts": ("shop.example:80",)}, "allow_hosts", "without scheme, port"),
        ({"allow_hosts": ("Shop.example",)}, "allow_hosts", "lower case"),
        ({"allow_hosts": ("shop.*.example",)}, "allow_hosts", "shop.\\*.example"),
        ({"allow_hosts": ("*shop.example",)}, "allow_hosts", "\\*shop.example"),
        ({"allow_hosts": ("*.10.0.0.1",)}, "allow_hosts", "\\*.10.0.0.1"),
        ({"allow_hosts": ("127.1",)}, "allow_hosts", "127.1"),
        ({"allow_hosts": ("",)}, "allow_hosts", "''"),
        ({"ports": (0,)}, "ports", "1 to 65535"),
        ({"ports": (65536,)}, "ports", "1 to 65535"),
        ({"allow_addresses": ("10.0.0.1/8",)}, "allow_addresses", "without host bits"),
        ({"allow_addresses": ("internal",)}, "allow_addresses", "is a network like"),
        ({"max_bytes": 0}, "max_bytes", "must be 1 to"),
        ({"max_bytes": 2**40}, "max_bytes", "must be 1 to"),
        ({"timeout_s": 0}, "timeout_s", "must be 0.001 to 600"),
        ({"timeout_s": float("nan")}, "timeout_s", "must be 0.001 to 600"),
        ({"max_redirects": -1}, "max_redirects", "must be 0 to 20"),
        ({"user_agent": "a\r\nX: b"}, "user_agent", "printable ASCII"),
        ({"user_agent": ""}, "user_agent", "printable ASCII"),
    ],
)
def test_a_configuration_that_breaks_a_rule_is_refused(options: dict[str, Any], field: str, why: str) -> None:
    with pytest.raises(InvalidArgumentError, match=why) as caught:
        FetchConfig(**{"allow_hosts": (HOST,), **options})
    assert [violation.field for violation in caught.value.violations] == [field]


def test_an_authority_file_that_is_none_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nowhere\.pem"):
        PictureFetcher(FetchConfig((HOST,), ca=tmp_path / "nowhere.pem"))
    (tmp_path / "noise.pem").write_text("noise", encoding="ascii")
    with pytest.raises(FailedPreconditionError, match=r"noise\.pem' holds no certificate"):
        PictureFetcher(FetchConfig((HOST,), ca=tmp_path / "noise.pem"))


@pytest.mark.parametrize("entry", ["127.0.0.1", "::1", "0:0::1"])
def test_an_address_can_be_allowed_by_itself(server: RawServer, entry: str) -> None:
    host = "127.0.0.1" if "." in entry else "[::1]"
    fetcher = _fetcher(server, allow_hosts=(entry,), allow_addresses=())
    with pytest.raises(InvalidImageError, match=r"not public \(loopback\)"):
        fetcher.fetch(server.url("/1", host))
    with pytest.raises(InvalidImageError, match="not in the allow-list"):
        fetcher.fetch(server.url("/1", "127.0.0.2"))


# --- the store ----------------------------------------------------------------------------------------------


def test_a_store_reads_what_is_in_its_folder_and_fetches_nothing(
    server: RawServer, encoded: Encode, tmp_path: Path
) -> None:
    server.paths["/1.png"] = reply(encoded())
    with pickle.loads(pickle.dumps(PictureStore(tmp_path))) as store:
        assert store.read(server.url("/1.png")) is None
        assert not store.has(server.url("/1.png"))
    assert server.requests == []
