"""The highest of the values of late, for a metric: what is read now and then must not miss what was high in between."""

import time
from collections.abc import Callable

# Prometheus asks at least that often.
_SECONDS = 60.0


class RecentPeak:
    """The highest value that was noted in the last one to two minutes; 0 if none was."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._period = -2
        self._now = 0.0  # the highest of this period
        self._before = 0.0  # and of the one before

    def note(self, value: float) -> None:
        self._turn()
        if value > self._now:
            self._now = value

    @property
    def value(self) -> float:
        self._turn()
        return max(self._now, self._before)

    def _turn(self) -> None:
        period = int(self._clock() // _SECONDS)
        if period != self._period:
            self._before = self._now if period == self._period + 1 else 0.0
            self._now, self._period = 0.0, period
