"""Which servers are down: one circuit breaker for each that has failed of late, and not answered since."""

import logging
import math
import time
from collections.abc import Callable

from gateway.errors import UpstreamUnavailableError
from gateway.upstream.circuit_breaker import CircuitBreaker, State

# Another index may name any number of hosts. Beyond this number, those that failed longest ago have no breaker.
_MAX_TROUBLED = 256
# A server that has not failed for so long has not been asked since, so nothing is known of it. Perhaps only a page
# that nobody reads any more named it: it would count as down for ever.
_KNOWN_SECONDS = 300.0

log = logging.getLogger("gateway.storage")


class Circuits:
    """The breakers of one Client (see client.py), by host."""

    def __init__(
        self, on_change: Callable[[int], None] = lambda down: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`on_change` is called with the number of servers that are down, whenever it changes."""
        self._on_change = on_change
        self._clock = clock
        # With the time of the last fault. The one that failed last comes last.
        self._breakers: dict[str, tuple[CircuitBreaker, float]] = {}

    def tell(self) -> None:
        """Calls `on_change`: another one may have told its number in the meantime."""
        self._on_change(self._count())

    def admit(self, host: str) -> None:
        """Raises UpstreamUnavailableError while `host` is known to be down."""
        if not self._breakers:
            return
        now = self._clock()
        self._forget_old(now)
        breaker, _ = self._breakers.get(host, (None, now))
        if breaker is None or breaker.admit(now):
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
        breaker, _ = self._breakers.pop(host, (None, 0.0))
        if breaker is not None and breaker.state is not State.CLOSED:
            log.warning("%s answers again: its circuit breaker is closed", host)
            self._on_change(self._count())

    def failed(self, host: str, why: str, about: str | None = None) -> None:
        """`about` means the same as in CircuitBreaker.failed."""
        now = self._clock()
        breaker, _ = self._breakers.pop(host, (None, now))
        if breaker is None:
            self._forget_old(now)
            if len(self._breakers) >= _MAX_TROUBLED:
                self._forget(next(iter(self._breakers)))
            breaker = CircuitBreaker()
        self._breakers[host] = breaker, now
        was_closed = breaker.state is State.CLOSED
        breaker.failed(now, about)
        if was_closed and breaker.state is State.OPEN:
            log.error("%s is down: its circuit breaker is open, after faults in a row (the last: %s)", host, why)
            self._on_change(self._count())

    def down(self) -> dict[str, str]:
        """The servers whose breakers are not closed, each with its breaker's state."""
        self._forget_old(self._clock())
        return {
            host: breaker.state.name.lower().replace("_", "-")
            for host, (breaker, _) in self._breakers.items()
            if breaker.state is not State.CLOSED
        }

    def _count(self) -> int:
        return sum(breaker.state is not State.CLOSED for breaker, _ in self._breakers.values())

    def _forget_old(self, now: float) -> None:
        for host, (_, failed_at) in [*self._breakers.items()]:
            if now - failed_at < _KNOWN_SECONDS:
                break
            self._forget(host)

    def _forget(self, host: str) -> None:
        breaker, _ = self._breakers.pop(host)
        if breaker.state is not State.CLOSED:
            log.info("whether %s is still down is not known: it has not been asked for long", host)
            self._on_change(self._count())
