"""Which servers are down: one circuit breaker for each that has failed and not answered since."""

import logging
import math
import time
from collections.abc import Callable

from gateway.errors import UpstreamUnavailableError
from gateway.upstream.circuit_breaker import CircuitBreaker, State

# Another index may name any number of hosts. Servers beyond this number have no breaker.
_MAX_TROUBLED = 256

log = logging.getLogger("gateway.storage")


class Circuits:
    """The breakers of one Client (see client.py), by host."""

    def __init__(
        self, on_change: Callable[[int], None] = lambda down: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`on_change` is called with the number of servers that are down, whenever it changes."""
        self._on_change = on_change
        self._clock = clock
        self._breakers: dict[str, CircuitBreaker] = {}

    def admit(self, host: str) -> None:
        """Raises UpstreamUnavailableError while `host` is known to be down."""
        breaker = self._breakers.get(host)
        if breaker is None or breaker.admit(now := self._clock()):
            return
        wait = breaker.wait(now)
        error = UpstreamUnavailableError(
            f"{host} is down: its circuit breaker is open, for {wait:.1f} s more",
            code="CircuitOpen",
            headers={"Retry-After": str(math.ceil(wait))},
        )
        error.wait = wait
        raise error

    def answered(self, host: str) -> None:
        breaker = self._breakers.pop(host, None)
        if breaker is not None and breaker.state is not State.CLOSED:
            log.warning("%s answers again: its circuit breaker is closed", host)
            self._on_change(len(self.down()))

    def failed(self, host: str, why: str, about: str | None = None) -> None:
        """`about` means the same as in CircuitBreaker.failed."""
        breaker = self._breakers.get(host)
        if breaker is None:
            if len(self._breakers) >= _MAX_TROUBLED:
                return
            breaker = self._breakers[host] = CircuitBreaker()
        was_closed = breaker.state is State.CLOSED
        breaker.failed(self._clock(), about)
        if was_closed and breaker.state is State.OPEN:
            log.error("%s is down: its circuit breaker is open, after faults in a row (the last: %s)", host, why)
            self._on_change(len(self.down()))

    def down(self) -> dict[str, str]:
        """The servers whose breakers are not closed, each with its breaker's state."""
        return {
            host: breaker.state.name.lower().replace("_", "-")
            for host, breaker in self._breakers.items()
            if breaker.state is not State.CLOSED
        }
