"""Counts what one client's request costs upstream, for its line in the access log. Pure.

Times are of a monotonic clock, in seconds.
"""

from contextvars import ContextVar


class UpstreamUsage:
    """Counts the upstream requests that the gateway sends for one client request, and the time that it waits for them.

    `status` is the status of the last answer. `stale` is True if a cached copy was used because no answer came. Work
    that clients share is counted for the first of them.
    """

    # Class attributes: most requests cost nothing upstream, and need no values of their own.
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
        """An upstream request has got the head of its answer, or has failed."""
        self._open -= 1
        if not self._open:
            self._seconds += now - self._since

    def seconds(self, now: float) -> float:
        """The time during which at least one upstream request was under way, up to `now`."""
        return self._seconds + (now - self._since if self._open else 0.0)


# The usage of the client request that the running code works for; None if it works for none.
current: ContextVar[UpstreamUsage | None] = ContextVar("current", default=None)


def note_stale() -> None:
    """Records that the current client request is answered from a stale copy."""
    cost = current.get()
    if cost is not None:
        cost.stale = True
