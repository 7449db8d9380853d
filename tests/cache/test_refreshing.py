import asyncio
import logging
from collections.abc import Callable

import pytest

from gateway.cache.lru import ENTRY_BYTES, MemoryLimit, weight_of
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

    def cache(
        self,
        fresh_seconds: float | Callable[[str], float] = 30,
        memory: MemoryLimit | None = None,
        weigh: Callable[[str], int] = lambda _: 500,
    ) -> RefreshingCache[str, str]:
        return RefreshingCache(
            self.fetch,
            fresh_seconds=fresh_seconds,
            stale_if_error=100,
            name="test",
            memory=memory or MemoryLimit(2000),
            weigh=weigh,
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


async def test_how_long_a_value_is_fresh_may_depend_on_it() -> None:
    source = Source()
    cache = source.cache({"k1": 100, "k2": 10, "k3": 1000}.__getitem__)
    await cache.get("k")
    source.now += 74
    assert await cache.get("k") == RefreshedValue("k1", 74.0)
    await until_idle()
    assert source.fetched == ["k"], "not in the background either"
    source.now += 26
    assert await cache.get("k") == RefreshedValue("k2", 0.0)
    source.now += 10
    source.error = UpstreamError("down")
    assert await cache.get("k") == RefreshedValue("k2", 10.0, stale=True)
    source.now += 100
    with pytest.raises(UpstreamError):
        await cache.get("k")


async def test_a_value_takes_the_bytes_of_its_key_and_its_own() -> None:
    memory = MemoryLimit(10_000)
    cache = Source().cache(memory=memory, weigh=lambda value: 1000 * len(value))
    await cache.get("k")
    assert memory.stats() == {"test": weight_of("k") + 2000 + ENTRY_BYTES}


async def test_a_value_over_the_limit_is_kept_and_takes_half_of_it() -> None:
    source = Source()
    memory = MemoryLimit(10_000)
    cache = source.cache(memory=memory, weigh=lambda _: 50_000)
    await cache.get("k")
    await cache.get("k")
    assert source.fetched == ["k"]
    assert memory.stats() == {"test": 5000 + ENTRY_BYTES}


async def test_many_who_ask_at_once_cause_one_fetch() -> None:
    source = Source()
    cache = source.cache()
    assert {aged.value for aged in await asyncio.gather(*(cache.get("k") for _ in range(100)))} == {"k1"}
    assert source.fetched == ["k"]


async def test_an_old_value_stands_in_where_no_newer_can_be_had(caplog: pytest.LogCaptureFixture) -> None:
    source = Source()
    cache = source.cache()
    await cache.get("k")
    source.error = UpstreamError("down")
    source.now += 129
    assert await cache.get("k") == RefreshedValue("k1", 129.0, stale=True)
    assert caplog.messages == ["serving a value that is 129 s old: down"]
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
    source.now += 22.25
    await cache.get("k")
    await until_idle()
    assert source.fetched == ["k"]
    source.now += 0.25
    assert [await cache.get("k") for _ in range(5)] == [RefreshedValue("k1", 22.5)] * 5, "nobody waits"
    await until_idle()
    assert source.fetched == ["k", "k"], "once for all five"
    assert await cache.get("k") == RefreshedValue("k2", 0.0)


async def test_an_outage_is_not_logged_for_each_request(caplog: pytest.LogCaptureFixture) -> None:
    source = Source()
    cache = source.cache()
    await cache.get("k")
    source.error = UpstreamError("down")
    source.now += 60
    for _ in range(5):
        assert (await cache.get("k")).stale
    assert caplog.messages == ["serving a value that is 60 s old: down"]


async def test_what_fails_in_the_background_leaves_the_value_for_its_time(caplog: pytest.LogCaptureFixture) -> None:
    source = Source()
    cache = source.cache()
    await cache.get("k")
    source.now += 25
    source.error = UpstreamError("down")
    with caplog.at_level(logging.INFO, "gateway.cache"):
        for _ in range(3):
            assert await cache.get("k") == RefreshedValue("k1", 25.0)
        await until_idle()
        assert caplog.messages == ["a value could not be refreshed: down"], "once for all three"
        assert await cache.get("k") == RefreshedValue("k1", 25.0)
    source.error = NotFoundError("gone")
    await until_idle()
    with pytest.raises(NotFoundError):
        await cache.get("k")


async def test_what_succeeds_in_the_background_or_is_ended_there_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    source = Source()
    cache = source.cache()
    with caplog.at_level(logging.INFO, "gateway.cache"):
        cache.revalidate("k")
        await until_idle()
        assert cache.known("k") == "k1"
        cache.revalidate("k")
        await asyncio.sleep(0)
        await cache.close()
        await until_idle()
    assert caplog.messages == complaints == []


async def test_of_two_fetches_at_the_same_instant_the_later_one_counts() -> None:
    source = Source()
    cache = source.cache()
    await cache.get("k")
    cache.revalidate("k")
    await until_idle()
    assert cache.known("k") == "k2"


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


@pytest.mark.parametrize("is_gone", [False, True])
async def test_what_is_under_way_when_all_expires_is_not_taken_for_new(is_gone: bool) -> None:
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
    if is_gone:
        arriving[0].set_exception(NotFoundError("old"))
    else:
        arriving[0].set_result("old")
    await asyncio.gather(before, return_exceptions=True)
    assert cache.known("k") == "new"


async def test_one_key_is_forgotten_and_no_other() -> None:
    source = Source()
    cache = source.cache()
    for key in ("a", "b"):
        await cache.get(key)
    source.now += 1
    cache.forget("a")
    assert cache.peek("a") is None
    assert cache.known("a") is not None, "it may stand in"
    for key in ("a", "b", "a"):
        await cache.get(key)
    assert source.fetched == ["a", "b", "a"]
    source.now += 1
    cache.forget("a")
    cache.expire()
    for key in ("a", "b"):
        await cache.get(key)
    assert source.fetched == ["a", "b", "a", "a", "b"]


async def test_what_was_being_fetched_of_a_forgotten_key_is_not_fresh() -> None:
    arriving: list[asyncio.Future[str]] = []
    now = 0.0

    async def fetch(_: str) -> str:
        arriving.append(asyncio.get_running_loop().create_future())
        return await arriving[-1]

    cache: RefreshingCache[str, str] = RefreshingCache(
        fetch, fresh_seconds=30, stale_if_error=0, name="test", memory=MemoryLimit(10_000), clock=lambda: now
    )
    before = asyncio.ensure_future(cache.get("k"))
    await until_idle()
    now = 1.0
    cache.forget("k")
    arriving[0].set_result("old")
    assert (await before).value == "old"
    after = asyncio.ensure_future(cache.get("k"))
    await until_idle()
    arriving[1].set_result("new")
    assert (await after).value == "new"


@pytest.mark.parametrize("late", [False, True], ids=["known", "being fetched"])
async def test_a_value_that_does_not_outlive_being_forgotten_never_stands_in(late: bool) -> None:
    arriving: list[asyncio.Future[str]] = []
    now = 0.0

    async def fetch(_: str) -> str:
        arriving.append(asyncio.get_running_loop().create_future())
        return await arriving[-1]

    cache: RefreshingCache[str, str] = RefreshingCache(
        fetch,
        fresh_seconds=30,
        stale_if_error=100,
        name="test",
        memory=MemoryLimit(10_000),
        outlives=bool,
        clock=lambda: now,
    )
    before = asyncio.ensure_future(cache.get("k"))
    await until_idle()
    if not late:
        arriving[0].set_result("")
        assert (await before).value == ""
    now = 1.0
    cache.forget("k")
    if late:
        arriving[0].set_result("")
        assert (await before).value == ""
    cache.expire()
    after = asyncio.ensure_future(cache.get("k"))
    await until_idle()
    arriving[1].set_exception(UpstreamError("down"))
    with pytest.raises(UpstreamError):
        await after


async def test_so_many_are_forgotten_one_by_one_then_all() -> None:
    source = Source()
    cache = source.cache()
    await cache.get("k")
    source.now += 1
    for number in range(256):
        cache.forget(f"other-{number}")
    await cache.get("k")
    assert source.fetched == ["k"]
    cache.forget("one too many")
    await cache.get("k")
    assert source.fetched == ["k", "k"]
    assert len(cache._forgotten) == 1


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
