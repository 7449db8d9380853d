"""What is known of objects, the small ones with all their bytes; and which ones are known to be absent."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.errors import NotFoundError

_ERROR_BYTES = 1024  # of an exception with its headers, some


@dataclass(frozen=True, slots=True)
class CachedObject:
    """`headers` are those of the whole (200), for clients; `body` is None for what is on disk; `etag` is strong and
    bears its quotes; `modified` is in seconds since the epoch, if that is told; `sha256`, in hex, is what the storage
    was told. `checked` is when the storage has last said that this is the object, on our clock; not `believed` is what
    it has not said to this process."""

    headers: dict[str, str]
    body: bytes | None
    size: int
    etag: str
    modified: int | None
    checked: float
    believed: bool = True
    sha256: str | None = None

    @property
    def weight(self) -> int:
        """Bytes of memory."""
        return weight_of(self.body) + weight_of(self.headers) + weight_of(self.etag) + weight_of(self.sha256)


@dataclass(frozen=True, slots=True)
class _Missing:
    error: NotFoundError
    until: float


class MemoryCache:
    """The objects used last, up to a number of bytes. The caller says how long an object is good."""

    def __init__(self, max_bytes: int, *, missing_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`missing_seconds` is how long an absence is remembered."""
        self.clock = clock
        self._missing_seconds = missing_seconds
        # Requests for keys that are not there must not drive objects out.
        limit, limit_of_missing = MemoryLimit(max_bytes - max_bytes // 16), MemoryLimit(max_bytes // 16)
        self._objects = LruCache[str, CachedObject]("objects", limit, lambda key, found: weight_of(key) + found.weight)
        self._missing = LruCache[str, _Missing](
            "missing",
            limit_of_missing,
            lambda key, missing: weight_of(key) + weight_of(missing.error.detail) + _ERROR_BYTES,
        )
        self._fresh_from = float("-inf")

    def get(self, key: str) -> CachedObject | None:
        return self._objects.get(key)

    def age(self, found: CachedObject) -> float:
        """Seconds since it was last checked; infinite if that was before `expire`, or by another process."""
        fresh = found.believed and found.checked > self._fresh_from
        return self.clock() - found.checked if fresh else float("inf")

    def put(self, key: str, found: CachedObject) -> None:
        self._missing.pop(key)
        self._objects.put(key, found)

    def missing(self, key: str) -> NotFoundError | None:
        """What was said when it was not there, if that is still to be believed."""
        return self.was_missing(key, 0.0)

    def was_missing(self, key: str, seconds: float) -> NotFoundError | None:
        """As `missing`, and for `seconds` longer: for when the storage can't be asked."""
        known = self._missing.get(key)
        return _again(known.error) if known is not None and self.clock() < known.until + seconds else None

    def put_missing(self, key: str, error: NotFoundError) -> None:
        self._objects.pop(key)
        self._missing.put(key, _Missing(_again(error), self.clock() + self._missing_seconds))

    def forget(self, key: str) -> None:
        self._objects.pop(key)
        self._missing.pop(key)

    def note(self, key: str, etag: str) -> bool:
        """The storage says that this is the object now: another one is not. Whether another one was known."""
        found = self._objects.get(key)
        ended = found is not None and found.etag != etag
        if ended:
            self._objects.pop(key)
        self._missing.pop(key)
        return ended

    def expire(self) -> None:
        """Nothing that is known may be used before it has been checked."""
        self._fresh_from = self.clock()
        self._missing.clear()


def _again(error: NotFoundError) -> NotFoundError:
    """The same, without the traceback, which would grow by each time that it is raised."""
    return NotFoundError(error.detail, code=error.code, upstream_status=error.upstream_status)
