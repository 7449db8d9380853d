"""How many connections a body is worth."""

import time

# What one connection brings before others are thought of: the buffers on the way to a slow client hold some 4 MB.
_FIRST_LOOK_BYTES = 8 * 1024 * 1024
_GROWTH = 4
# What more connections have to bring to be kept, as a factor.
_WORTH = 1.15
# Of the time, spent computing: then it is this process that is slow.
_BUSY = 0.8
# What was found to be right is tried again after so many looks.
_PATIENCE = 16


class AdaptiveConcurrency:
    """How many connections are worth it, by what the last ones have brought."""

    def __init__(self, most: int) -> None:
        """`connections` is how many there should be now, `most` how many there may."""
        self.connections = 1
        self._most = most
        self._fewer = 1
        self._before = 0.0  # bytes a second, with that
        self._settled_for = 0
        self._bytes = 0
        self._since = self._taken = time.monotonic()
        self._waited = 0.0
        self._cpu = time.thread_time()

    def came(self, count: int, now: float) -> None:
        """`count` bytes, for the client to take."""
        self._bytes += count
        self._waited += now - self._taken

    def note(self, now: float, part_bytes: int) -> bool:
        """The client has taken what came. Whether the number may have changed."""
        self._taken = now
        if self._bytes < max(_FIRST_LOOK_BYTES, (self.connections > 1) * self.connections * part_bytes):
            return False
        spent = now - self._since
        rate, starved = self._bytes / max(spent, 1e-9), self._waited > spent / 2
        self._bytes, self._waited, self._since = 0, 0.0, now
        busy, self._cpu = (cpu := time.thread_time()) - self._cpu > spent * _BUSY, cpu
        if not starved:
            self.connections = max(self.connections // 2, 1)
        elif busy:
            pass  # with our own work, not with waiting: more would not help
        elif self._settled_for:
            self._settled_for -= 1
            self._before = self._before if self._settled_for else 0.0
        elif rate > self._before * _WORTH and self.connections < self._most:
            self._before, self._fewer = rate, self.connections
            self.connections = min(self.connections * _GROWTH, self._most)
        else:
            self.connections = self.connections if rate > self._before * _WORTH else self._fewer
            self._settled_for = _PATIENCE
        return True
