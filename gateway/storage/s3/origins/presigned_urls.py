"""Presigned URLs: signed once, and handed out until shortly before they expire."""

import time
from collections.abc import Callable, Hashable
from typing import NamedTuple

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.messages import Caller
from gateway.single_flight import SingleFlight
from gateway.storage.base import Link
from gateway.storage.s3.client import SignedClient, SignedQuery
from gateway.storage.s3.origins.origin import Origin


class _Grant(NamedTuple):
    """`until` is when the query expires, on the monotonic clock, which nobody sets."""

    query: SignedQuery
    until: float


class PresignedUrls:
    """Makes URLs of one origin, valid for `lifetime` seconds, and reuses each until `buffer_time` seconds before it
    expires."""

    def __init__(
        self,
        origin: Origin,
        memory: MemoryLimit,
        *,
        lifetime: int,
        buffer_time: int,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`memory` is that for the signed queries."""
        self._origin = origin
        self._lifetime = lifetime
        self._buffer_time = buffer_time
        self._clock, self._steady = clock, steady
        self._grants = LruCache[Hashable, _Grant](
            "grants", memory, lambda slot, grant: weight_of(slot) + weight_of(grant.query.query)
        )
        self._signing = SingleFlight[_Grant]()

    async def get(self, path: str, caller: Caller | None = None) -> Link:
        """Returns a URL for GET."""
        slot = self._origin.scope(path), self._origin.variant(caller)
        grant = self._grants.get(slot)
        if grant is None or self._left(grant) <= self._buffer_time:
            grant = await self._signing.once(slot, lambda: self._sign(slot, path, caller))
        url, query = self._origin.url(path), grant.query.query
        expires_at = self._clock() + min(self._left(grant), self._lifetime)
        signed = f"{url}?{query}" if query else url
        return Link(signed, expires_at - self._buffer_time, self._origin.shared)

    def _left(self, grant: _Grant) -> float:
        """Seconds until it expires, also if the clock has been set back meanwhile."""
        return min(grant.query.expires_at - self._clock(), grant.until - self._steady())

    async def _sign(self, slot: Hashable, path: str, caller: Caller | None) -> _Grant:
        query = await self._origin.grant("GET", path, caller, self._lifetime)
        grant = _Grant(query, self._steady() + query.expires_at - self._clock())
        self._grants.put(slot, grant)
        return grant


class KeyedLinks:
    """ObjectLinks (see base.py) of one origin."""

    def __init__(self, origin: Origin, links: PresignedUrls, client: SignedClient, path: Callable[[str], str]) -> None:
        """`links` makes the origin's URLs, `client` sends requests to it, and `path` maps a key to its path there."""
        self._origin = origin
        self._links = links
        self._client = client
        self._path = path

    @property
    def proven(self) -> bool:
        return self._client.proven

    def serves(self, caller: Caller) -> bool:
        return self._origin.serves(caller)

    def variant(self, caller: Caller) -> Hashable:
        return self._origin.variant(caller)

    async def get(self, key: str, caller: Caller) -> Link:
        return await self._links.get(self._path(key), caller)
