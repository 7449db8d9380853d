"""Decides how many connections a body uses, from the throughput measured so far."""

import time

# Others are considered once one connection has transferred this: the buffers towards a slow client hold some 4 MB.
_FIRST_LOOK_BYTES = 8 * 1024 * 1024
_GROWTH = 4
# Added connections are kept if they raise the throughput by this factor.
_WORTH = 1.15
# Above this share of CPU time, this process is the bottleneck.
_BUSY = 0.8
# After this many measurements, a number of connections that has proved right is tested again.
_PATIENCE = 16


class AdaptiveConcurrency:
    """Adds connections while the client waits for the storage and each addition raises the throughput; removes
    them otherwise."""

    def __init__(self, most: int) -> None:
        """`connections` is the number to use now, `most` its maximum."""
        self.connections = 1
        self._most = most
        self._fewer = 1
        self._before = 0.0  # bytes a second, with `_fewer` connections
        self._settled_for = 0
        self._bytes = 0
        self._since = self._taken = time.monotonic()
        self._waited = 0.0
        self._cpu = time.thread_time()

    def came(self, count: int, now: float) -> None:
        """Records that `count` bytes have arrived for the client."""
        self._bytes += count
        self._waited += now - self._taken

    def note(self, now: float, part_bytes: int) -> bool:
        """Records that the client has taken what arrived. Returns whether `connections` may have changed."""
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
            pass  # this process is the bottleneck: more connections would not help
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
