"""What ObjectCache keeps when an object changes while the storage or the disk is at work."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.cache.disk.cache import DiskCache, DiskEntry
from gateway.cache.memory import CachedObject
from gateway.cache.object_cache import ObjectCache
from gateway.cache.patience import Patience
from gateway.config.cache_settings import CacheSettings
from gateway.errors import NotFoundError, UpstreamBusyError
from gateway.messages import ObjectRequest, Stream, nothing_to_close
from gateway.transfer.parallel import MemoryBudget
from tests.support.eventually import eventually

KEY = "page.html"


class Source:
    """Answers when `go_on` is set: with `body`, or that there is none."""

    def __init__(self, body: bytes | None) -> None:
        self._body = body
        self.asked, self.go_on, self.rest = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.rest.set()

    async def fetch(self, request: ObjectRequest) -> Stream:
        self.asked.set()
        await self.go_on.wait()
        if self._body is None:
            raise NotFoundError("404 NoSuchKey", code="NoSuchKey", upstream_status=404)
        headers = {"ETag": '"new"', "Content-Length": str(len(self._body))}
        return Stream(200, headers, self._chunks(self._body), nothing_to_close)

    async def _chunks(self, body: bytes) -> AsyncIterator[bytes]:
        yield body[:-1]
        await self.rest.wait()
        yield body[-1:]


class SlowDisk(DiskCache):
    """Its `put` tells `begun`, and waits for `go_on`."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, 4_000_000, "bucket")
        self.begun, self.go_on, self.removed = threading.Event(), threading.Event(), 0

    def put(self, key: str, found: CachedObject, body: bytes) -> None:
        self.begun.set()
        assert self.go_on.wait(20)
        super().put(key, found, body)

    def remove(self, key: str) -> None:
        super().remove(key)
        self.removed += 1


def cache_of(source: Source, disk: DiskCache | None = None, patience: Patience | None = None) -> ObjectCache:
    return ObjectCache(source, MemoryBudget(4_000_000, 4), CacheSettings(memory_bytes=1_000_000), disk, patience)


@pytest.mark.parametrize("change", [None, "forget", "note", "expire"])
async def test_an_absence_from_before_a_write_is_not_remembered(change: str | None) -> None:
    source = Source(None)
    cache = cache_of(source)
    asking = asyncio.ensure_future(cache.fetch(ObjectRequest("GET", KEY)))
    await source.asked.wait()
    match change:
        case "forget":
            cache.forget(KEY)
        case "note":
            cache.note(KEY, '"new"')
        case "expire":
            cache.expire()
    source.go_on.set()
    with pytest.raises(NotFoundError):
        await asking
    assert (cache.memory.missing(KEY) is None) is (change is not None)
    await cache.close()


async def test_an_absence_from_before_a_change_is_not_believed_by_who_knows_of_the_change() -> None:
    source = Source(None)
    cache = cache_of(source)
    asking = asyncio.ensure_future(cache.fetch(ObjectRequest("GET", KEY)))
    await source.asked.wait()
    told = cache.memory.clock()
    source.go_on.set()
    with pytest.raises(NotFoundError):
        await asking
    source.asked.clear()
    with pytest.raises(NotFoundError):
        await cache.fetch(ObjectRequest("GET", KEY))
    assert not source.asked.is_set(), "others believe it for a while"
    with pytest.raises(NotFoundError):
        await cache.fetch(ObjectRequest("GET", KEY, not_before=told))
    assert source.asked.is_set()
    await cache.close()


async def test_an_object_that_is_removed_while_it_waits_for_the_disk_does_not_stay_there(tmp_path: Path) -> None:
    source, disk = Source(b"old"), SlowDisk(tmp_path)
    source.go_on.set()
    cache = cache_of(source, disk)
    await cache.fetch(ObjectRequest("GET", KEY))
    await eventually(disk.begun.is_set)
    cache.forget(KEY)
    await eventually(lambda: disk.removed == 1)
    disk.go_on.set()
    await eventually(lambda: cache.stats()["background_tasks"] == 0)
    assert disk.find(KEY) is None
    await cache.close()


async def test_another_version_on_disk_is_not_given_out_as_the_one_that_is_known(tmp_path: Path) -> None:
    source, disk = Source(b"new"), DiskCache(tmp_path, 4_000_000, "bucket")
    source.go_on.set()
    cache = cache_of(source, disk)
    other = CachedObject({"ETag": '"other"', "Content-Length": "5"}, None, 5, '"other"', None, 0.0)
    disk.put(KEY, other, b"other")
    known = CachedObject({"ETag": '"new"', "Content-Length": "3"}, None, 3, '"new"', None, cache.memory.clock())
    cache.memory.put(KEY, known)
    stream = await cache.fetch(ObjectRequest("GET", KEY))
    assert source.asked.is_set()
    assert stream.body is not None
    assert b"".join([chunk async for chunk in stream.body]) == b"new"
    await cache.close()


@pytest.mark.parametrize("changed", [False, True])
async def test_a_large_object_that_has_changed_is_not_served_as_it_was_for_as_long_as_the_storage_is_slow(
    tmp_path: Path, changed: bool
) -> None:
    """Nobody waits for the answer: so nothing of the new version comes to the disk."""
    body = b"n" * 2_000_000  # more than memory holds
    disk = DiskCache(tmp_path, 100_000_000, "bucket")
    etag = '"old"' if changed else '"new"'
    disk.put(KEY, CachedObject({"ETag": etag, "Content-Length": "3"}, None, 3, etag, None, 0.0), b"old")
    source = Source(body)
    source.rest.clear()
    cache = cache_of(source, disk, Patience(0.0))
    for _ in range(2):
        stale = await cache.fetch(ObjectRequest("GET", KEY))
        assert (stale.content, stale.headers["Cache-Status"][-12:]) == (b"old", "detail=stale")
    source.go_on.set()
    await eventually(lambda: cache.stats()["fills"] == cache.stats()["background_tasks"] == 0)
    entry = disk.find(KEY)
    assert (entry is None) is changed, "another version ends only with the old one"
    source.rest.set()
    if changed:
        stream = await cache.fetch(ObjectRequest("GET", KEY))
        assert stream.body is not None
        assert b"".join([chunk async for chunk in stream.body]) == body
        stream.close()
    await cache.close()


class SlowLook(DiskCache):
    """Its `find` tells `found`, and waits for `go_on`."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, 4_000_000, "bucket")
        self.found, self.go_on = threading.Event(), threading.Event()

    def find(self, key: str) -> DiskEntry | None:
        entry = super().find(key)
        self.found.set()
        assert self.go_on.wait(20)
        return entry


@pytest.mark.parametrize("on_disk", [False, True])
async def test_a_slow_look_on_the_disk_gives_way_to_what_the_storage_has_said_meanwhile(
    tmp_path: Path, on_disk: bool
) -> None:
    source, disk = Source(None), SlowLook(tmp_path)
    old = CachedObject({"ETag": '"old"', "Content-Length": "3"}, None, 3, '"old"', None, 0.0)
    if on_disk:
        DiskCache(tmp_path, 4_000_000, "bucket").put(KEY, old, b"old")
    cache = cache_of(source, disk)
    asking = asyncio.ensure_future(cache.fetch(ObjectRequest("GET", KEY)))
    await eventually(disk.found.is_set)
    headers = {"ETag": '"new"', "Content-Length": "3"}
    known = CachedObject(headers, b"new", 3, '"new"', None, cache.memory.clock())
    cache.memory.put(KEY, known)
    disk.go_on.set()
    source.go_on.set()
    assert (await asking).content == b"new"
    assert cache.memory.get(KEY) is known
    assert not source.asked.is_set()
    await cache.close()


async def test_an_outage_is_not_logged_for_each_file_that_is_revalidated_in_the_background(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Down:
        asked = 0

        async def fetch(self, request: ObjectRequest) -> Stream:
            self.asked += 1
            raise UpstreamBusyError("down")

    now, source = 10_000.0, Down()
    settings = CacheSettings(memory_bytes=1_000_000, file_ttl=60)
    cache = ObjectCache(source, MemoryBudget(4_000_000, 4), settings, clock=lambda: now)
    cache.memory.put("p/p-1.whl", CachedObject({"ETag": '"1"'}, b"wheel", 5, '"1"', None, now))
    now += 90
    with caplog.at_level(logging.INFO, "gateway.cache"):
        for _ in range(5):
            assert (await cache.fetch(ObjectRequest("GET", "p/p-1.whl"))).content == b"wheel"
            await eventually(lambda: cache.stats()["background_tasks"] == 0)
    assert source.asked == 5
    assert caplog.messages == ["a background task of the object cache failed: down"]
    await cache.close()


@pytest.mark.parametrize(("age", "waits"), [(59, False), (119, False), (121, True)])
async def test_a_package_file_is_served_at_once_up_to_twice_its_time(age: float, waits: bool) -> None:
    now, source = 10_000.0, Source(b"new")
    settings = CacheSettings(memory_bytes=1_000_000, file_ttl=60)
    cache = ObjectCache(source, MemoryBudget(4_000_000, 4), settings, clock=lambda: now)
    cache.memory.put("p/p-1.whl", CachedObject({"ETag": '"old"'}, b"old", 3, '"old"', None, now))
    now += age
    fetching = asyncio.ensure_future(cache.fetch(ObjectRequest("GET", "p/p-1.whl")))
    if waits:
        await source.asked.wait()
    source.go_on.set()
    assert (await fetching).content == (b"new" if waits else b"old")
    await cache.close()


async def test_a_listing_without_etags_ends_nothing() -> None:
    source = Source(b"new")
    cache = cache_of(source)
    asking = asyncio.ensure_future(cache.fetch(ObjectRequest("GET", KEY)))
    await source.asked.wait()
    cache.note(KEY, "")
    source.go_on.set()
    await asking
    known = cache.memory.get(KEY)
    cache.note(KEY, "")
    assert known is cache.memory.get(KEY) is not None
    cache.note(KEY, '"other"')
    assert cache.memory.get(KEY) is None
    await cache.close()
