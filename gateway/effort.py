"""What one client's request has cost upstream, for its line in the access log."""

import time
from contextvars import ContextVar


class Effort:
    """Counts the requests that the gateway sends for one of a client, and the time that it waits for them.

    What clients share is counted for the one that came first.
    """

    __slots__ = ("_open", "_seconds", "_since", "attempts")

    def __init__(self) -> None:
        self.attempts = 0
        self._open = 0
        self._since = 0.0
        self._seconds = 0.0

    def began(self) -> None:
        self.attempts += 1
        if not self._open:
            self._since = time.monotonic()
        self._open += 1

    def ended(self) -> None:
        """Its answer's head is here, or none will come."""
        self._open -= 1
        if not self._open:
            self._seconds += time.monotonic() - self._since

    @property
    def seconds(self) -> float:
        """How long one or more of them have been under way, until now."""
        return self._seconds + (time.monotonic() - self._since if self._open else 0.0)


# Of the client's request that the running code works for, if it does for one.
current: ContextVar[Effort | None] = ContextVar("current", default=None)
