"""Values that are fetched anew when they are old, and kept for when that fails."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.cache.limited_log import LimitedLog
from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.cache.patience import Patience
from gateway.errors import GatewayError, NotFoundError
from gateway.single_flight import SingleFlight
from gateway.usage import note_stale

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

# From this part of its time on, a value that is asked for is fetched anew in the background: under steady use nobody
# waits, and no value is used for longer than it may.
_REVALIDATE_FROM = 0.75
# Beyond so many keys, everything is forgotten: they are others' to choose.
_MAX_FORGOTTEN = 256

log = logging.getLogger("gateway.cache")


@dataclass(frozen=True, slots=True)
class RefreshedValue(Generic[T]):
    """A value, and how old it is in seconds. `stale`: it should have been fetched anew, but that failed."""

    value: T
    age: float
    stale: bool = False


class RefreshingCache(Generic[K, T]):
    """Remembers what `fetch` brings. One fetch serves all who want the same key at the same time.

    A newer value that equals the known one is dropped: the known object stays, and so does what is made of it.
    """

    def __init__(
        self,
        fetch: Callable[[K], Awaitable[T]],
        *,
        fresh_seconds: float | Callable[[T], float],
        stale_if_error: float,
        name: str,
        memory: MemoryLimit,
        weigh: Callable[[T], int] = weight_of,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A value is used for `fresh_seconds`, which may depend on it, and for `stale_if_error` more where no newer one
        can be had soon, which is for `patience` to say. `weigh` tells a value's bytes; `name` is the cache's."""
        self._patience = patience or Patience()
        self._fetch = fetch
        self._fresh_seconds = fresh_seconds if callable(fresh_seconds) else lambda _: fresh_seconds
        self._stale_seconds = stale_if_error
        self._clock = clock
        self._log = LimitedLog(log)
        # A value that is larger than the limit is kept all the same: it would be fetched for each request.
        most = memory.max_bytes // 2
        self._entries = LruCache[K, tuple[T, float]](
            name, memory, lambda key, entry: min(weight_of(key) + weigh(entry[0]), most)
        )
        self._fetching = SingleFlight[T]()
        self._fresh_from = float("-inf")
        self._forgotten: dict[K, float] = {}

    async def get(self, key: K, *, may_be_stale: bool = True) -> RefreshedValue[T]:
        """Raises what `fetch` raises, unless an older value may stand in for what it could not bring.

        A NotFoundError is an answer: what was there is gone.
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
            self._log.write(logging.WARNING, "serving what was known %d s ago: %s", now - entry[1], error)
            return RefreshedValue(entry[0], now - entry[1], stale=True)

    def peek(self, key: K) -> RefreshedValue[T] | None:
        """What was fetched last, however old, unless it has expired since. Nobody waits: what is due is fetched anew in
        the background."""
        entry = self._entries.get(key)
        if entry is None or entry[1] < self._fresh_since(key):
            return None
        age = self._clock() - entry[1]
        if age >= self._fresh_seconds(entry[0]) * _REVALIDATE_FROM:
            self.revalidate(key)
        return RefreshedValue(entry[0], age)

    def revalidate(self, key: K) -> None:
        """Fetches the value anew in the background, unless that is under way."""
        if not self._fetching.asking((key, self._fresh_since(key))):
            self._begin(key).add_done_callback(self._revalidated)

    def known(self, key: K) -> T | None:
        """What was fetched last, however old."""
        entry = self._entries.get(key)
        return entry[0] if entry is not None else None

    def expire(self) -> None:
        """From now on nothing that is known counts as fresh, nor what is under way."""
        self._fresh_from = self._clock()
        self._forgotten.clear()

    def forget(self, key: K) -> None:
        """As `expire`, of this key."""
        if len(self._forgotten) >= _MAX_FORGOTTEN:
            self.expire()
        self._forgotten[key] = self._clock()

    async def close(self) -> None:
        """Ends what is under way."""
        await self._fetching.close()

    def _begin(self, key: K) -> "asyncio.Future[T]":
        return self._fetching.begin((key, self._fresh_since(key)), lambda: self._fetch_and_keep(key))

    def _fresh_since(self, key: K) -> float:
        return self._forgotten.get(key, self._fresh_from)

    async def _fetch_and_keep(self, key: K) -> T:
        asked = self._clock()
        try:
            value = await self._fetch(key)
        except NotFoundError:
            if self._is_newest(key, asked):
                self._entries.pop(key)
            raise
        if self._is_newest(key, asked):
            known = self.known(key)
            value = known if known is not None and known == value else value
            self._entries.put(key, (value, asked))
        return value

    def _is_newest(self, key: K, asked: float) -> bool:
        entry = self._entries.get(key)
        return entry is None or entry[1] <= asked

    def _revalidated(self, task: "asyncio.Future[T]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.write(logging.INFO, "a value could not be fetched anew: %s", error)
