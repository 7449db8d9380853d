"""How late the event loop is: while something holds it up, every client waits."""

import asyncio

from gateway.cache.recent_peak import RecentPeak

_SECONDS = 0.5


class LoopLag:
    """Looks twice a second at how late a timer of the running loop is."""

    def __init__(self) -> None:
        self._peak = RecentPeak()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def seconds(self) -> float:
        """How late it was at most in the last one to two minutes."""
        return self._peak.value

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_SECONDS, self._look, loop, loop.time() + _SECONDS)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._peak.note(max(loop.time() - due, 0.0))
        self.start()
