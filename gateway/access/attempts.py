"""Limits how often the clients of one address may present wrong credentials."""

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address

_BURST = 10
_SECONDS_EACH = 6.0
_MAX_ADDRESSES = 10_000


class Attempts:
    """Each address has a burst of failures, and gets one more every few seconds (a token bucket). Addresses of one
    IPv6 network of 64 bits count as one. The longest idle are forgotten, which favours an attacker of many addresses
    over the memory of the gateway."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._clock = clock
        # When the failures so far will be forgiven.
        self._until: OrderedDict[str, float] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds until the address may fail again; 0 if it may now."""
        until = self._until.get(_network(address))
        if until is None:
            return 0.0
        return max(until - self._clock() - (_BURST - 1) * _SECONDS_EACH, 0.0)

    def failed(self, address: str) -> None:
        """Counts a failure, or an attempt whose outcome is not known yet."""
        network, now = _network(address), self._clock()
        self._until[network] = max(self._until.get(network, now), now) + _SECONDS_EACH
        self._until.move_to_end(network)
        while len(self._until) > _MAX_ADDRESSES:
            self._until.popitem(last=False)

    def forgive(self, address: str) -> None:
        """Takes one failure back: the attempt has succeeded, or could not be decided."""
        network = _network(address)
        if network in self._until:
            self._until[network] -= _SECONDS_EACH
            if self._until[network] <= self._clock():
                del self._until[network]


def _network(address: str) -> str:
    if ":" not in address:
        return address
    try:
        return str(IPv6Address(int(IPv6Address(address.partition("%")[0])) >> 64 << 64))
    except ValueError:
        return address
