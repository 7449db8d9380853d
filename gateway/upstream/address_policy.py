"""Which servers another index may make the gateway contact: public ones, and those that the settings trust."""

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

# The block of global unicast addresses (RFC 4291, 2.4), and the parts of it that embed IPv4 addresses: Teredo, 6to4.
_GLOBAL = IPv6Network("2000::/3")
_TUNNELS = (IPv6Network("2001::/32"), IPv6Network("2002::/16"))
# IPv4 addresses as NAT64 maps them (RFC 6052).
_NAT64 = IPv6Network("64:ff9b::/96")
# Addresses for protocols (RFC 6890): some versions of Python take most of them for global.
_PROTOCOLS = IPv4Network("192.0.0.0/24")
_PORTS = {"http": 80, "https": 443}


class AddressPolicy:
    """Keeps links and redirects of another server from reaching the gateway's own network."""

    def __init__(self, base_url: str, trusted: Iterable[str]) -> None:
        """The server of `base_url`, and the `trusted` ones (a host, or `host:port`), may have any address."""
        base = urlsplit(base_url)
        self._trusted: set[tuple[str, int | None]] = {(_plain(base.hostname or ""), base.port or _PORTS[base.scheme])}
        for host in trusted:
            parts = urlsplit(f"//{host}")
            self._trusted.add((_plain(parts.hostname or ""), parts.port))

    def trusts(self, name: str, port: int) -> bool:
        name = _plain(name)
        return (name, port) in self._trusted or (name, None) in self._trusted

    def permits(self, address: str) -> bool:
        """Whether a server that is not trusted may have this resolved address."""
        return is_public(ip_address(address))

    def permits_name(self, name: str) -> bool:
        """Like `permits`, for a name that a proxy will resolve: it may be an address, in one of many spellings."""
        name = _plain(name)
        try:
            return is_public(ip_address(name))
        except ValueError:
            pass
        try:
            return is_public(IPv4Address(socket.inet_aton(name)))  # 127.1, 0x7f000001
        except OSError:
            return name != "localhost" and not name.endswith(".localhost")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address is reachable on the internet: not private, shared (RFC 6598), loopback, link-local, multicast
    or reserved, nor one that embeds another address and can't be checked."""
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and address not in _PROTOCOLS
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _GLOBAL and address.is_global and not any(address in tunnel for tunnel in _TUNNELS)


def _plain(name: str) -> str:
    """One spelling of a host's name."""
    return name.lower().rstrip(".")
