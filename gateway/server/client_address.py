"""The client's address: the peer's own, or the one that a trusted proxy reports."""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network
UNIX_SOCKET = "unix"
# Some proxies add the client's port, as Azure's Application Gateway does, or write as RFC 7239 (6) has it.
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")
_MAPPED = IPv6Network("::ffff:0:0/96")


def plain_address(address: str) -> str:
    """Strips the prefix from an IPv4 address that an IPv6 socket shows as ::ffff:192.0.2.1; leaves others unchanged."""
    if ":" not in address:
        return address
    try:
        mapped = IPv6Address(address).ipv4_mapped
    except ValueError:
        return address
    return str(mapped) if mapped is not None else address


def _without_port(hop: str) -> str:
    found = _WITH_PORT.fullmatch(hop)
    return found[1] or found[2] if found else hop


def _plain_network(network: Network) -> Network:
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return ip_network(f"{network.network_address.ipv4_mapped}/{network.prefixlen - 96}")
    return network


class ClientAddress:
    """Reads X-Forwarded-For, but only as far as `trusted_proxies` vouch for it."""

    def __init__(self, trusted_proxies: Sequence[Network]) -> None:
        self._trusted = tuple(_plain_network(network) for network in trusted_proxies)
        self._is_trusted = lru_cache(maxsize=4096)(self._look_up)

    def of(self, peer: str, forwarded_for: Sequence[str]) -> str:
        """The right-most address that is not a trusted proxy's: everything left of it is only the client's claim.

        `peer` is an IP address, or UNIX_SOCKET, whose peers are on this host and always trusted.
        """
        caller = plain_address(peer)
        if not forwarded_for or not self._is_trusted(caller):
            return caller
        for hop in reversed(",".join(forwarded_for).split(",")):
            address = plain_address(_without_port(hop.strip()))
            try:
                ip_address(address)
            except ValueError:
                return caller
            caller = address
            if not self._is_trusted(address):
                return caller
        return caller

    def believes(self, peer: str) -> bool:
        """Whether the X-Forwarded-* headers of this peer are trusted."""
        return self._is_trusted(plain_address(peer))

    def _look_up(self, address: str) -> bool:
        if address == UNIX_SOCKET:
            return True
        ip = ip_address(address.partition("%")[0])
        return any(ip in network for network in self._trusted)
