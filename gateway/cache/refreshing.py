"""Values that are refreshed when they are old, and stay available while refreshing fails."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gateway.cache.limited_log import LimitedLog
from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.cache.patience import Patience
from gateway.cache.renewals import Renewals
from gateway.errors import GatewayError, NotFoundError
from gateway.tracing.span import traced
from gateway.usage import note_stale

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

# Once a value's age is over this share of its fresh time, a request for it starts a refresh in the background: under
# steady use no request waits, and no value is used beyond its fresh time.
_REVALIDATE_FROM = 0.75
# When more keys than this are forgotten, everything expires: clients choose the keys, and could fill the memory.
_MAX_FORGOTTEN = 256

log = logging.getLogger("gateway.cache")


@dataclass(frozen=True, slots=True)
class RefreshedValue(Generic[T]):
    """A value and its age in seconds. `stale` means that the value was due for a refresh, but the refresh failed."""

    value: T
    age: float
    stale: bool = False


class RefreshingCache(Generic[K, T]):
    """Caches the results of `fetch`. Concurrent requests for one key share one fetch.

    A fetched value that equals the cached one is dropped: the cached object stays, with all that is derived from it.
    """

    def __init__(
        self,
        fetch: Callable[[K], Coroutine[Any, Any, T]],
        *,
        fresh_seconds: float | Callable[[T], float],
        stale_if_error: float,
        name: str,
        memory: MemoryLimit,
        weigh: Callable[[T], int] = weight_of,
        patience: Patience | None = None,
        outlives: Callable[[T], bool] = lambda _: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A value is used for `fresh_seconds`, which may depend on it. If no newer one arrives within `patience`, it is
        used for `stale_if_error` seconds more, also after `forget` if it `outlives` that. `weigh` returns a value's
        bytes; `name` is the cache's."""
        self._outlives = outlives
        self._patience = patience or Patience()
        self._fetch = fetch
        self._name = f"refresh {name}"
        self._fresh_seconds = fresh_seconds if callable(fresh_seconds) else lambda _: fresh_seconds
        self._stale_seconds = stale_if_error
        self._clock = clock
        self._log = LimitedLog(log)
        # A value larger than the limit is cached all the same: otherwise each request would fetch it.
        most = memory.max_bytes // 2
        self._entries = LruCache[K, tuple[T, float]](
            name, memory, lambda key, entry: min(weight_of(key) + weigh(entry[0]), most)
        )
        self._fetching = Renewals[T]()
        self._fresh_from = float("-inf")
        self._forgotten: dict[K, float] = {}

    async def get(self, key: K, *, may_be_stale: bool = True) -> RefreshedValue[T]:
        """Raises the error of `fetch`, unless an older value may be served instead.

        NotFoundError is always raised: it means that the value no longer exists.
        """
        now = self._clock()
        entry = self._entries.get(key)
        if (found := self.peek(key)) is not None and found.age < self._fresh_seconds(found.value):
            return found
        fetch = self._begin(key)
        too_old = entry is None or now - entry[1] >= self._fresh_seconds(entry[0]) + self._stale_seconds
        if entry is None or too_old or not may_be_stale:
            return RefreshedValue(await asyncio.shield(fetch), 0.0)
        try:
            return RefreshedValue(await self._patience.fresh(fetch), 0.0)
        except NotFoundError:
            raise
        except GatewayError as error:
            note_stale()
            self._log.write(logging.WARNING, "serving a value that is %d s old: %s", now - entry[1], error)
            return RefreshedValue(entry[0], now - entry[1], stale=True)

    def peek(self, key: K) -> RefreshedValue[T] | None:
        """Returns the value fetched last, however old, unless it has been expired since. Never waits: starts a refresh
        that is due in the background."""
        entry = self._entries.get(key)
        if entry is None or entry[1] < self._fresh_since(key):
            return None
        age = self._clock() - entry[1]
        if age >= self._fresh_seconds(entry[0]) * _REVALIDATE_FROM:
            self.revalidate(key)
        return RefreshedValue(entry[0], age)

    def revalidate(self, key: K) -> None:
        """Refreshes the value in the background, unless a fetch is running."""
        if not self._fetching.running(key, self._fresh_since(key)):
            self._begin(key).add_done_callback(self._revalidated)

    def known(self, key: K) -> T | None:
        """Returns the value fetched last, however old."""
        entry = self._entries.get(key)
        return entry[0] if entry is not None else None

    def expire(self) -> None:
        """Makes all cached values stale, and the results of running fetches too."""
        self._fresh_from = self._clock()
        self._forgotten.clear()

    def forget(self, key: K) -> None:
        """Like `expire`, for this key only. Drops a value that does not outlive that."""
        if len(self._forgotten) >= _MAX_FORGOTTEN:
            self.expire()
        self._forgotten[key] = self._clock()
        entry = self._entries.get(key)
        if entry is not None and not self._outlives(entry[0]):
            self._entries.pop(key)

    async def close(self) -> None:
        """Cancels running fetches."""
        await self._fetching.close()

    def _begin(self, key: K) -> "asyncio.Future[T]":
        return self._fetching.begin(key, self._fresh_since(key), lambda: self._fetch_and_keep(key))

    def _fresh_since(self, key: K) -> float:
        return self._forgotten.get(key, self._fresh_from)

    async def _fetch_and_keep(self, key: K) -> T:
        asked = self._clock()
        try:
            value = await traced(self._name, self._fetch, key)
        except NotFoundError:
            if self._is_newest(key, asked):
                self._entries.pop(key)
            raise
        outdated = asked < self._forgotten.get(key, float("-inf")) and not self._outlives(value)
        if self._is_newest(key, asked) and not outdated:
            known = self.known(key)
            value = known if known is not None and known == value else value
            self._entries.put(key, (value, asked))
        return value

    def _is_newest(self, key: K, asked: float) -> bool:
        entry = self._entries.get(key)
        return entry is None or entry[1] <= asked

    def _revalidated(self, task: "asyncio.Future[T]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.write(logging.INFO, "a value could not be refreshed: %s", error)
