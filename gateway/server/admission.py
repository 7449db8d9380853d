"""Which connections of clients are open, and which one makes room for another. No I/O.

| a connection comes, and open are    | then                                                                    |
|-------------------------------------|-------------------------------------------------------------------------|
| fewer than both limits              | it is admitted                                                          |
| as many of its peer's as it may have| that peer's longest idle connection is given up for it, else it is refused |
| as many as there may be             | the longest idle connection is given up for it, else it is refused      |

Idle is a connection of which no request is being answered: between two requests, before the first, in a TLS handshake.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Protocol


class Guest(Protocol):
    """A connection, of `peer`: an IP address, or UNIX_SOCKET."""

    @property
    def peer(self) -> str: ...

    def give_up(self) -> None:
        """Ends it at once."""

    def finish(self) -> None:
        """Ends it as soon as no request is being answered."""


class Admission:
    """The open connections of one listener; `none_left` is set while there are none."""

    def __init__(self, most: int, most_per_peer: int, exempt: Callable[[str], bool]) -> None:
        """`exempt` are peers that are many clients: trusted proxies."""
        self._most = most
        self._most_per_peer = most_per_peer
        self._exempt = exempt
        self._groups: dict[Guest, str] = {}
        self._sizes: Counter[str] = Counter()
        self._idle: OrderedDict[Guest, None] = OrderedDict()  # longest idle first
        self.none_left = asyncio.Event()
        self.none_left.set()

    @property
    def guests(self) -> list[Guest]:
        return list(self._groups)

    def __len__(self) -> int:
        return len(self._groups)

    def admit(self, guest: Guest) -> bool:
        """Whether it may stay; it counts, and is idle, until `left`."""
        group = "" if self._exempt(guest.peer) else _group(guest.peer)
        if group and self._sizes[group] >= self._most_per_peer:
            longest = next((other for other in self._idle if self._groups[other] == group), None)
        elif len(self._groups) >= self._most:
            longest = next(iter(self._idle), None)
        else:
            return self._enter(guest, group)
        if longest is None:
            return False
        self.left(longest)
        longest.give_up()
        return self._enter(guest, group)

    def _enter(self, guest: Guest, group: str) -> bool:
        self._groups[guest] = group
        self._sizes[group] += 1
        self._idle[guest] = None
        self.none_left.clear()
        return True

    def busy(self, guest: Guest) -> None:
        self._idle.pop(guest, None)

    def idle(self, guest: Guest) -> None:
        """From now on: also for one that is idle already."""
        if guest in self._groups:
            self._idle[guest] = None
            self._idle.move_to_end(guest)

    def left(self, guest: Guest) -> None:
        """It is closed, or will be at once. Does nothing for a guest that was refused or has left."""
        group = self._groups.pop(guest, None)
        if group is None:
            return
        self._idle.pop(guest, None)
        self._sizes[group] -= 1
        if not self._sizes[group]:
            del self._sizes[group]
        if not self._groups:
            self.none_left.set()


def _group(peer: str) -> str:
    """What counts as one peer: an address; for IPv6 its /64, which is the least that a host is given."""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    return address.packed[:8].hex() if isinstance(address, IPv6Address) else peer
