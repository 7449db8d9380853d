"""Who is calling: the peer's address, or what a trusted proxy says of it."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network
UNIX_SOCKET = "unix"


class CallerAddress:
    """Reads X-Forwarded-For, but only as far as `trusted_proxies` vouch for it."""

    def __init__(self, trusted_proxies: Sequence[Network]) -> None:
        self._trusted = tuple(trusted_proxies)
        self._is_trusted = lru_cache(maxsize=4096)(self._look_up)

    def of(self, peer: str, forwarded_for: Sequence[str]) -> str:
        """The right-most address that no trusted proxy has: everything left of it is the caller's own claim.

        `peer` is an IP address, or UNIX_SOCKET, whose peers are on this host and always believed.
        """
        if not forwarded_for or not self._is_trusted(peer):
            return peer
        caller = peer
        for hop in reversed(",".join(forwarded_for).split(",")):
            address = hop.strip()
            try:
                ip_address(address)
            except ValueError:
                return caller
            caller = address
            if not self._is_trusted(address):
                return caller
        return caller

    def believes(self, peer: str) -> bool:
        """Whether what this peer says of its clients is taken for true."""
        return self._is_trusted(peer)

    def _look_up(self, address: str) -> bool:
        if address == UNIX_SOCKET:
            return True
        ip = ip_address(address.partition("%")[0])
        return any(ip in network for network in self._trusted)
