"""Presigned URLs: signed once, and handed out until shortly before they expire."""

import time
from collections.abc import Callable, Hashable

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.messages import Caller
from gateway.single_flight import SingleFlight
from gateway.storage.base import Link
from gateway.storage.s3.client import SignedClient, SignedQuery
from gateway.storage.s3.origins.origin import Origin


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
    ) -> None:
        """`memory` is that for the signed queries."""
        self._origin = origin
        self._lifetime = lifetime
        self._buffer_time = buffer_time
        self._clock = clock
        self._grants = LruCache[Hashable, SignedQuery](
            "grants", memory, lambda slot, grant: weight_of(slot) + weight_of(grant.query)
        )
        self._signing = SingleFlight[SignedQuery]()

    async def get(self, path: str, caller: Caller | None = None) -> Link:
        """Returns a URL for GET."""
        slot = self._origin.scope(path), self._origin.variant(caller)
        grant = self._grants.get(slot)
        if grant is None or grant.expires_at - self._buffer_time <= self._clock():
            grant = await self._signing.once(slot, lambda: self._sign(slot, path, caller))
        url = self._origin.url(path)
        expires_at = min(grant.expires_at, self._clock() + self._lifetime)
        signed = f"{url}?{grant.query}" if grant.query else url
        return Link(signed, expires_at - self._buffer_time, self._origin.shared)

    async def _sign(self, slot: Hashable, path: str, caller: Caller | None) -> SignedQuery:
        grant = await self._origin.grant("GET", path, caller, self._lifetime)
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
