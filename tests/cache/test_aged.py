import asyncio

import pytest

from gateway.cache.aged import Aged, AgedCache
from gateway.errors import NotFoundError, UpstreamError


class Source:
    def __init__(self) -> None:
        self.now = 1000.0
        self.fetched: list[str] = []
        self.error: Exception | None = None

    async def fetch(self, key: str) -> str:
        self.fetched.append(key)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return f"{key}{len(self.fetched)}"

    def cache(self) -> AgedCache[str, str]:
        return AgedCache(self.fetch, fresh_seconds=30, stale_seconds=100, max_entries=2, clock=lambda: self.now)


async def test_a_value_is_used_while_it_is_fresh() -> None:
    source = Source()
    cache = source.cache()
    assert await cache.get("k") == Aged("k1", 0.0)
    source.now += 29
    assert await cache.get("k") == Aged("k1", 29.0)
    source.now += 1
    assert await cache.get("k") == Aged("k2", 0.0)


async def test_many_who_ask_at_once_cause_one_fetch() -> None:
    source = Source()
    cache = source.cache()
    assert {aged.value for aged in await asyncio.gather(*(cache.get("k") for _ in range(100)))} == {"k1"}
    assert source.fetched == ["k"]


async def test_an_old_value_stands_in_where_no_newer_can_be_had() -> None:
    source = Source()
    cache = source.cache()
    await cache.get("k")
    source.error = UpstreamError("down")
    source.now += 129
    assert await cache.get("k") == Aged("k1", 129.0, stale=True)
    source.now += 1
    with pytest.raises(UpstreamError):
        await cache.get("k")
    with pytest.raises(UpstreamError):
        await cache.get("unknown")
    source.error = None
    assert await cache.get("k") == Aged("k5", 0.0)


async def test_what_is_gone_is_gone() -> None:
    source = Source()
    cache = source.cache()
    await cache.get("k")
    source.now += 31
    source.error = NotFoundError("gone")
    with pytest.raises(NotFoundError):
        await cache.get("k")
    source.error = UpstreamError("down")
    with pytest.raises(UpstreamError):
        await cache.get("k")


async def test_what_is_expired_is_fetched_anew_but_may_still_stand_in() -> None:
    source = Source()
    cache = source.cache()
    await cache.get("k")
    source.now += 1
    cache.expire()
    assert (await cache.get("k")).value == "k2"
    cache.expire()
    source.now += 1
    cache.expire()
    source.error = UpstreamError("down")
    assert (await cache.get("k")).stale


async def test_no_more_is_kept_than_there_is_room_for() -> None:
    source = Source()
    cache = source.cache()
    for key in "abca":
        await cache.get(key)
    assert source.fetched == ["a", "b", "c", "a"]
