"""Limits client connections, and chooses the idle connection that makes room for a new one. No I/O.

| open connections, when one arrives   | what happens to the new connection                                       |
|--------------------------------------|--------------------------------------------------------------------------|
| fewer than both limits               | admitted                                                                 |
| as many of its peer as one may have  | replaces the longest idle connection of its peer; refused if none is idle |
| as many as there may be in all       | replaces the longest idle connection; refused if none is idle            |

A connection is idle while no request on it is being answered: between requests, before the first, in a TLS handshake,
while a handler waits for the rest of a body, which a client may take its time to send, as it may with a head, and while
its client is made to wait.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address
from typing import Protocol


class ClientConnection(Protocol):
    """A connection. Its `peer` is an IP address, or UNIX_SOCKET."""

    @property
    def peer(self) -> str: ...

    def give_up(self) -> None:
        """Ends the connection at once."""

    def finish(self) -> None:
        """Ends the connection as soon as no request is being answered."""


class Admission:
    """The open connections of one listener; `none_left` is set while there are none."""

    def __init__(self, most: int, most_per_peer: int, exempt: Callable[[str], bool]) -> None:
        """`exempt` is True for peers without a limit of their own: trusted proxies, which stand for many clients."""
        self._most = most
        self._refused = 0
        self._most_per_peer = most_per_peer
        self._exempt = exempt
        self._groups: dict[ClientConnection, str] = {}
        self._sizes: Counter[str] = Counter()
        self._idle: OrderedDict[ClientConnection, None] = OrderedDict()  # longest idle first
        self.none_left = asyncio.Event()
        self.none_left.set()

    def limit(self, most: int, most_per_peer: int) -> None:
        """Connections that are open stay so, even if there are more."""
        self._most, self._most_per_peer = most, most_per_peer

    @property
    def connections(self) -> list[ClientConnection]:
        return list(self._groups)

    def __len__(self) -> int:
        return len(self._groups)

    def admit(self, connection: ClientConnection) -> bool:
        """Whether the connection is admitted. It then counts until `left`, and is idle until `busy`."""
        group = "" if self._exempt(connection.peer) else _group(connection.peer)
        if group and self._sizes[group] >= self._most_per_peer:
            longest = next((other for other in self._idle if self._groups[other] == group), None)
        elif len(self._groups) >= self._most:
            longest = next(iter(self._idle), None)
        else:
            return self._enter(connection, group)
        if longest is None:
            self._refused += 1
            return False
        self.left(longest)
        longest.give_up()
        return self._enter(connection, group)

    def stats(self) -> dict[str, int]:
        """The connections that are open, and how many may be; and, since the start, those that were refused."""
        return {"open": len(self), "max": self._most, "refused_total": self._refused}

    def _enter(self, connection: ClientConnection, group: str) -> bool:
        self._groups[connection] = group
        self._sizes[group] += 1
        self._idle[connection] = None
        self.none_left.clear()
        return True

    def busy(self, connection: ClientConnection) -> None:
        self._idle.pop(connection, None)

    def idle(self, connection: ClientConnection) -> None:
        """The connection is idle from now on, even if it was idle before."""
        if connection in self._groups:
            self._idle[connection] = None
            self._idle.move_to_end(connection)

    @contextmanager
    def awaiting(self, connection: ClientConnection) -> Iterator[None]:
        """The connection is idle meanwhile."""
        self.idle(connection)
        try:
            yield
        finally:
            self.busy(connection)

    def left(self, connection: ClientConnection) -> None:
        """The connection is closed, or will be at once. Does nothing for a connection that was refused or has left."""
        group = self._groups.pop(connection, None)
        if group is None:
            return
        self._idle.pop(connection, None)
        self._sizes[group] -= 1
        if not self._sizes[group]:
            del self._sizes[group]
        if not self._groups:
            self.none_left.set()


def _group(peer: str) -> str:
    """What counts as one peer: an IPv4 address, or the /64 of an IPv6 address, since a host is given no less."""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    return address.packed[:8].hex() if isinstance(address, IPv6Address) else peer
