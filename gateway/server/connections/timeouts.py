"""How long a connection waits for its client."""

import asyncio
import math
from collections.abc import Callable


class Timeouts:
    """Two timeouts: until bytes arrive, and until the client reads some of the bytes that are ready for it."""

    __slots__ = ("_deadline", "_give_up", "_loop", "_stall_check", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, give_up: Callable[[], None]) -> None:
        """`give_up` is called if nothing arrives in time."""
        self._loop = loop
        self._give_up = give_up
        self._deadline = math.inf
        self._timer: asyncio.TimerHandle | None = None  # not set again each time that the deadline moves
        self._stall_check: asyncio.TimerHandle | None = None

    def expect(self, seconds: float) -> None:
        """Bytes have to arrive within `seconds`."""
        self._deadline = deadline = self._loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._look)

    def expect_nothing(self) -> None:
        self._deadline = math.inf

    def watch(self, transport: asyncio.WriteTransport, seconds: float) -> None:
        """Aborts `transport` when the client has read nothing for `seconds`, until `flows` is called."""
        left = transport.get_write_buffer_size()

        def check() -> None:
            if transport.get_write_buffer_size() < left:
                self.watch(transport, seconds)
            else:
                transport.abort()  # bytes that the client does not read can't be flushed either

        self._stall_check = self._loop.call_later(seconds, check)

    def flows(self) -> None:
        """The client has read all that was ready."""
        if self._stall_check is not None:
            self._stall_check.cancel()

    def cancel(self) -> None:
        """Ends both for good, and lets go of whoever `give_up` belongs to."""
        for timer in (self._timer, self._stall_check):
            if timer is not None:
                timer.cancel()
        self._timer = self._stall_check = None
        self._give_up = _nothing

    def _look(self) -> None:
        self._timer = None
        if self._deadline == math.inf:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._look)
        else:
            self._give_up()


def _nothing() -> None:
    pass
