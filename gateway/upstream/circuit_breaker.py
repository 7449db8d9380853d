"""A circuit breaker: while its server is down, requests fail at once, except for a probe now and then. Pure.

| state     | a request                                   | an answer   | a fault                                  |
|-----------|---------------------------------------------|-------------|------------------------------------------|
| closed    | passes                                      | stays       | the tenth in a row opens it, unless all  |
|           |                                             |             | are error answers about one object       |
| open      | is refused; after a pause one passes as the |             |                                          |
|           | probe: half-open, the next pause is longer  | closes      | stays open                               |
| half-open | is refused; after the pause another passes, | closes      | open; the next probe waits for the pause |
|           | since the answer to the first may be lost   |             |                                          |

Any answer closes the breaker, even a late one: it shows that the server is up.
"""

import random
from collections.abc import Callable
from enum import IntEnum

# The attempts of one request (storage.max_attempts) are not enough: perhaps only a single object fails.
_FAULTS_TO_OPEN = 10
_FIRST_PAUSE_SECONDS = 0.5
# While requests arrive, a server that is back is noticed within this time: before pip's next retry.
_MAX_PAUSE_SECONDS = 5.0


class State(IntEnum):
    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class CircuitBreaker:
    """Times are of a monotonic clock, in seconds."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        """`jitter` returns numbers from 0 to 1: gateways that lost a server together don't come back together."""
        self.state = State.CLOSED
        self._jitter = jitter
        self._faults = 0
        self._about: str | None = None
        self._several = False
        self._pause = 0.0
        self._probe_at = 0.0

    def admit(self, now: float) -> bool:
        """Whether a request may be sent."""
        if self.state is State.CLOSED:
            return True
        if now < self._probe_at:
            return False
        self.state = State.HALF_OPEN
        self._wait(now, 2 * self._pause)
        return True

    def wait(self, now: float) -> float:
        """Seconds until the next request may be sent."""
        return max(self._probe_at - now, 0.0) if self.state is not State.CLOSED else 0.0

    def answered(self) -> None:
        self.state = State.CLOSED
        self._faults = 0
        self._about, self._several = None, False

    def failed(self, now: float, about: str | None = None) -> None:
        """`about` is the object that an error answer was for; None if there was no answer at all."""
        self._several = self._several or about is None or self._about not in (None, about)
        self._about = about
        self._faults += 1
        if self.state is State.HALF_OPEN:
            self.state = State.OPEN
        elif self.state is State.CLOSED and self._several and self._faults >= _FAULTS_TO_OPEN:
            self.state = State.OPEN
            self._wait(now, _FIRST_PAUSE_SECONDS)

    def _wait(self, now: float, pause: float) -> None:
        self._pause = min(pause, _MAX_PAUSE_SECONDS)
        self._probe_at = now + self._pause * (0.5 + self._jitter() / 2)
