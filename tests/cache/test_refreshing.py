import asyncio

import pytest

from gateway.cache.lru import MemoryLimit
from gateway.cache.refreshing import RefreshedValue, RefreshingCache
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

    def cache(self) -> RefreshingCache[str, str]:
        return RefreshingCache(
            self.fetch,
            fresh_seconds=30,
            stale_if_error=100,
            name="test",
            memory=MemoryLimit(2000),
            weigh=lambda _: 500,
            clock=lambda: self.now,
        )


async def test_a_value_is_used_while_it_is_fresh() -> None:
    source = Source()
    cache = source.cache()
    assert await cache.get("k") == RefreshedValue("k1", 0.0)
    source.now += 29
    assert await cache.get("k") == RefreshedValue("k1", 29.0)
    source.now += 1
    assert await cache.get("k") == RefreshedValue("k2", 0.0)


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
    assert await cache.get("k") == RefreshedValue("k1", 129.0, stale=True)
    source.now += 1
    with pytest.raises(UpstreamError):
        await cache.get("k")
    with pytest.raises(UpstreamError):
        await cache.get("unknown")
    source.error = None
    assert await cache.get("k") == RefreshedValue("k5", 0.0)


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


async def until_idle() -> None:
    """What was begun in the background has had its turns."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_value_in_use_is_fetched_anew_before_anybody_has_to_wait() -> None:
    source = Source()
    cache = source.cache()
    await cache.get("k")
    source.now += 22
    await cache.get("k")
    await until_idle()
    assert source.fetched == ["k"]
    source.now += 1
    assert [await cache.get("k") for _ in range(5)] == [RefreshedValue("k1", 23.0)] * 5, "nobody waits"
    await until_idle()
    assert source.fetched == ["k", "k"], "once for all five"
    assert await cache.get("k") == RefreshedValue("k2", 0.0)


async def test_what_fails_in_the_background_leaves_the_value_for_its_time() -> None:
    source = Source()
    cache = source.cache()
    await cache.get("k")
    source.now += 25
    source.error = UpstreamError("down")
    assert await cache.get("k") == RefreshedValue("k1", 25.0)
    await until_idle()
    assert await cache.get("k") == RefreshedValue("k1", 25.0)
    source.error = NotFoundError("gone")
    await until_idle()
    with pytest.raises(NotFoundError):
        await cache.get("k")


async def test_an_equal_value_leaves_the_known_object() -> None:
    values = [["same"], ["same"], ["other"]]

    async def fetch(key: str) -> list[str]:
        return values.pop(0)

    source = Source()
    cache = RefreshingCache(
        fetch,
        fresh_seconds=30,
        stale_if_error=0,
        name="test",
        memory=MemoryLimit(2000),
        weigh=lambda _: 500,
        clock=lambda: source.now,
    )
    first = (await cache.get("k")).value
    source.now += 31
    again = await cache.get("k")
    assert (again.value is first, again.age) == (True, 0.0)
    source.now += 31
    assert (await cache.get("k")).value == ["other"]


async def test_what_is_under_way_when_all_expires_is_not_taken_for_new() -> None:
    arriving: list[asyncio.Future[str]] = []

    async def fetch(key: str) -> str:
        arriving.append(asyncio.get_running_loop().create_future())
        return await arriving[-1]

    source = Source()
    cache = RefreshingCache(
        fetch,
        fresh_seconds=30,
        stale_if_error=0,
        name="test",
        memory=MemoryLimit(2000),
        weigh=lambda _: 500,
        clock=lambda: source.now,
    )
    before = asyncio.ensure_future(cache.get("k"))
    await until_idle()
    source.now += 1
    cache.expire()
    after = asyncio.ensure_future(cache.get("k"))
    await until_idle()
    arriving[1].set_result("new")
    assert (await after).value == "new"
    arriving[0].set_result("old")
    await before
    assert cache.known("k") == "new"


async def test_closing_ends_what_is_under_way() -> None:
    cancelled = asyncio.Event()

    async def fetch(key: str) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return key

    cache = RefreshingCache(
        fetch, fresh_seconds=30, stale_if_error=0, name="test", memory=MemoryLimit(2000), weigh=lambda _: 500
    )
    cache.revalidate("k")
    await asyncio.sleep(0)
    await cache.close()
    assert cancelled.is_set()
