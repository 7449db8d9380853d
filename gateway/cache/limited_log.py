"""A log for messages that an outage repeats with each request: the access log shows each one (stale=yes)."""

import logging
import time
from collections.abc import Callable

_QUIET_SECONDS = 10.0


class LimitedLog:
    """Writes messages of the same format at most once in 10 s, and says how many it left out."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._quiet: dict[str, tuple[float, int]] = {}  # until when, and how many were left out

    def write(self, level: int, message: str, *args: object) -> None:
        now = self._clock()
        until, left_out = self._quiet.get(message, (now, 0))
        if now < until:
            self._quiet[message] = until, left_out + 1
            return
        self._quiet[message] = now + _QUIET_SECONDS, 0
        if left_out:
            self._log.log(level, message + " (%d more of these were left out)", *args, left_out)
        else:
            self._log.log(level, message, *args)
