"""Where requests may go: a URL's host is judged as written, and its address once it is resolved.

A host that the config's author wrote may still resolve, today or at the next look-up, to an
address inside the network. So the address is judged where the socket is opened, and the socket is
opened to that very address: there is no second look-up that could answer otherwise.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.errors import ActionFailed

if TYPE_CHECKING:
    from orchestrator.threads import Lanes  # and asyncio with it, which costs `validate` 20 ms

__all__ = ["Egress", "SafeUrl", "Way", "parse_url"]

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Addresses at which clouds hand credentials to whoever asks from inside.
_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16",
         "192.0.0.192"),
    )
)  # fmt: skip
#: Networks that clouds keep for such services (Amazon's, Google's).
_OF_CLOUDS = tuple(map(ipaddress.IPv6Network, ("fd00:ec2::/32", "fd20:ce::/64")))
#: Addresses whose last 32 bits are an IPv4 one: of translators (RFC 6052, 8215, 7915).
_TRANSLATED = tuple(
    map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96"))
)
#: Addresses that only mean something inside a network, are for examples or lead nowhere, which one
#: Python or another counts as global ones (IANA's registries of special-purpose addresses).
_INSIDE: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = tuple(
    map(
        ipaddress.ip_network,
        ("64:ff9b:1::/48", "::ffff:0:0:0/96", "fec0::/10", "5f00::/16", "3fff::/20",
         "100:0:0:1::/64", "2001:2::/48", "192.88.99.0/24", "192.0.0.0/24"),
    )
)  # fmt: skip
#: The middle of an ISATAP address (RFC 5214), before its IPv4 one.
_ISATAP = (0x00005EFE, 0x02005EFE)

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?\.?)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[^?#\\\s\x00-\x20\x7f]*)?(?P<query>\?[^#\\\s\x00-\x20]*)?",
    re.ASCII | re.IGNORECASE,
)
#: A last label like these makes a browser or a C library read the whole host as a number.
_NUMBERISH = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?", re.ASCII | re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class SafeUrl:
    """The parts of a URL that was judged; `host` in lower case, an IPv6 one without brackets."""

    scheme: str
    host: str
    port: int
    path: str
    query: str

    @property
    def origin(self) -> str:
        """Scheme, host and port, the port only when it is unusual."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    def __str__(self) -> str:
        return f"{self.origin}{self.path}{self.query}"


@dataclass(frozen=True, slots=True)
class Way:
    """A proxy that the config's author chose, and the user and password that it wants."""

    proxy: SafeUrl
    login: tuple[str, str] | None = field(default=None, repr=False)


def _refused(why: str) -> ActionFailed:
    """A URL may hold a secret and what a caller said: of it only the host is quoted."""
    return ActionFailed(why, is_plain=True)


def parse_url(text: str) -> SafeUrl:
    """Take an absolute URL apart, in the one way that all readers of URLs agree on.

    Raises:
        ActionFailed: it is none, or one that some readers take for another host.
    """
    match = _URL.fullmatch(text)
    if match is None:
        raise _refused(
            "it is no plain http or https URL: scheme, host, port, path and query, "
            "an international host in its xn-- form"
        )
    scheme, host = match["scheme"].lower(), match["host"].lower()
    port = int(match["port"] or _PORTS[scheme])
    if not 0 < port < 65536:
        raise _refused(f"the URL has an impossible port: {port}")
    if ".." in host:
        raise _refused("the host of the URL has an empty part")
    return SafeUrl(scheme, _plain_host(host), port, match["path"] or "", match["query"] or "")


def _plain_host(host: str) -> str:
    if host.startswith("["):
        try:
            return str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            raise _refused(f"{host!r} is no IPv6 address") from None
    if _NUMBERISH.fullmatch(host):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise _refused(
                f"host {host!r} is an address in disguise; write it as four decimal numbers"
            ) from None
    return host.removesuffix(".")


def _literal(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_loopback_name(host: str) -> bool:
    address = _literal(host)
    if address is not None:
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def _meanings(address: IPAddress) -> tuple[IPAddress, ...]:
    """What a packet to an address may reach: an IPv6 one may stand for one of IPv4, or hold it."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    number = int(address)
    last = ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if number >> 32 == 0 and number > 1:
        return (last,)
    if address in _TRANSLATED[1]:  # where the IPv4 address stands depends on their own prefix
        early = (number >> 64 & 0xFFFF) << 16 | number >> 40 & 0xFFFF
        return address, last, ipaddress.IPv4Address(early)
    if any(address in network for network in _TRANSLATED):
        return (last,) if address not in _INSIDE[1] else (address, last)
    if address.teredo is not None:
        return (address, *address.teredo)
    if number >> 32 & 0xFFFFFFFF in _ISATAP:
        return address, last
    return (address,)


def _is_global(address: IPAddress) -> bool:
    return address.is_global and not any(address in network for network in _INSIDE)


@dataclass(frozen=True)
class Egress:
    """What one connection may reach.

    `hosts` are those that the config lists under `allow: hosts`: they may use plain http and have
    any address. `allows_private` lets any host have an address inside the network, but for the
    metadata services of clouds and other link-local ones.
    """

    hosts: frozenset[str] = frozenset()
    allows_private: bool = False

    def is_listed(self, host: str) -> bool:
        """Whether the config lists this host."""
        return host in self.hosts

    def check(self, url: SafeUrl) -> None:
        """Judge a URL as written, before anything is resolved.

        Raises:
            ActionFailed: plain http to another machine, or an address that may not be reached.
        """
        self.check_scheme(url.scheme, url.host)
        address = _literal(url.host)
        if address is not None:
            self.check_address(url.host, address)

    def check_scheme(self, scheme: str, host: str) -> None:
        """Judge how a host is spoken to.

        Raises:
            ActionFailed: in clear, and it is another machine that the config does not list.
        """
        if scheme != "https" and not (_is_loopback_name(host) or self.is_listed(host)):
            raise _refused(
                f"{host} is spoken to in plain http; use https, or list it under `allow: hosts`"
            )

    def check_address(self, host: str, address: IPAddress) -> None:
        """Judge an address that a host has.

        Raises:
            ActionFailed: this connection may not reach it.
        """
        meanings = _meanings(address)
        if meanings[0].is_multicast or meanings[0].is_unspecified:
            raise _refused(f"{host} has the address {address}, which is no machine's")
        for real in meanings:
            self._check_meaning(host, address, real)

    def _check_meaning(self, host: str, address: IPAddress, real: IPAddress) -> None:
        if self.is_listed(host) or (real.is_loopback and _is_loopback_name(host)):
            return
        if real in _METADATA or real.is_link_local or any(real in net for net in _OF_CLOUDS):
            raise _refused(
                f"{host} has the link-local or metadata address {address}; "
                "list the host under `allow: hosts` if that is meant"
            )
        if not self.allows_private and not _is_global(real):
            raise _refused(
                f"{host} has the private address {address}; give the connection "
                "`allow_private: true`, or list the host under `allow: hosts`"
            )

    async def resolve(self, host: str, port: int, lanes: Lanes) -> list[str]:
        """The addresses of a host, all of them allowed; it is looked up in a lane of its own.

        Raises:
            ActionFailed: one of them is not allowed.
            OSError: the host has none, or the look-up failed.
        """
        if _literal(host) is not None:
            addresses = [host]
        else:
            kind = {"type": socket.SOCK_STREAM}
            found = await lanes.run(host, socket.getaddrinfo, host, port, **kind)
            addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            self.check_address(host, ipaddress.ip_address(address.partition("%")[0]))
        return addresses
