"""Distinguishes addresses of the public internet from all others. Uses no network.

The tables are those of the IANA special-purpose registries: `ipaddress.is_global` differs between patch releases of
Python, and accepts addresses that embed another one (6to4, NAT64), which may lead to a private host.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All of IPv6 that is routed on the internet; mapped, NAT64, unique local and link-local lie outside."""

_NOT_PUBLIC_4 = [
    (IPv4Network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "private (carrier-grade NAT)"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's own service"),  # Azure's, on a public number
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "reserved for documents"),
        ("192.31.196.0/24", "reserved"),
        ("192.52.193.0/24", "reserved"),
        ("192.88.99.0/24", "a tunnel"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "reserved"),
        ("198.18.0.0/15", "reserved for benchmarks"),
        ("198.51.100.0/24", "reserved for documents"),
        ("203.0.113.0/24", "reserved for documents"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
]
_NOT_PUBLIC_6 = [
    (IPv6Network(network), kind)
    for network, kind in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "an IPv4 address inside an IPv6 one"),
        ("::ffff:0:0:0/96", "an IPv4 address inside an IPv6 one"),
        ("::/96", "an IPv4 address inside an IPv6 one"),
        ("64:ff9b::/96", "an IPv4 address inside an IPv6 one"),
        ("64:ff9b:1::/48", "an IPv4 address inside an IPv6 one"),
        ("2001::/32", "a tunnel"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "reserved for documents"),
        ("2002::/16", "an IPv4 address inside an IPv6 one"),
        ("2620:4f:8000::/48", "reserved"),
        ("3ffe::/16", "reserved"),
        ("3fff::/20", "reserved for documents"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private (site-local)"),
        ("ff00::/8", "multicast"),
    )
]
_ISATAP = (0x00005EFE, 0x02005EFE)
"""Upper half of an interface identifier whose lower half is an IPv4 address."""


def why_not_public(address: IPAddress) -> str:
    """The kind of an address that is not public; '' for a public one."""
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in _NOT_PUBLIC_4 if address in network), "")
    if address.scope_id is not None:
        return "link-local"
    kind = next((kind for network, kind in _NOT_PUBLIC_6 if address in network), "")
    if not kind and address not in _GLOBAL_UNICAST:
        return "reserved"
    if not kind and (int(address) >> 32 & 0xFFFFFFFF) in _ISATAP:
        return "an IPv4 address inside an IPv6 one"
    return kind


def address_in_url(host: str) -> IPAddress | None:
    """The address in the host part of a URL; None for a name.

    Args:
        host: Lower case, without a port; an IPv6 address without its brackets.

    Raises:
        ValueError: it is an address in an unusual notation, which parsers read differently: ``2130706433``,
            ``0x7f.1``, ``127.1`` and ``0177.0.0.1`` are all 127.0.0.1 for some of them.
    """
    if ":" in host:
        return IPv6Address(host)
    last = host.rstrip(".").rpartition(".")[2]
    if last.isdecimal() or last.startswith("0x"):
        return IPv4Address(host)  # dotted decimal without leading zeros, or ValueError
    return None
