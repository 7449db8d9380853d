"""What one client's request has cost upstream, for its line in the access log. Pure.

Times are of a monotonic clock, in seconds.
"""

from contextvars import ContextVar


class UpstreamUsage:
    """Counts the requests that the gateway sends for one of a client, and the time that it waits for them.

    `status` is that of the last answer. `stale` tells that something it knew stood in for an answer. What clients share
    is counted for the first of them.
    """

    # Of the class: most requests cost nothing upstream, and need none of their own.
    attempts = 0
    status: int | None = None
    stale = False
    _open = 0
    _since = 0.0
    _seconds = 0.0

    def began(self, now: float) -> None:
        self.attempts += 1
        if not self._open:
            self._since = now
        self._open += 1

    def ended(self, now: float) -> None:
        """Its answer's head is here, or none will come."""
        self._open -= 1
        if not self._open:
            self._seconds += now - self._since

    def seconds(self, now: float) -> float:
        """How long one or more of them have been under way, until now."""
        return self._seconds + (now - self._since if self._open else 0.0)


# Of the client's request that the running code works for, if it does for one.
current: ContextVar[UpstreamUsage | None] = ContextVar("current", default=None)


def note_stale() -> None:
    """What the running code answers is older than it should be."""
    cost = current.get()
    if cost is not None:
        cost.stale = True
