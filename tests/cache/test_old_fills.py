"""A fill may take longer than a copy may be used: whether requests join it then."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.cache.disk.cache import DiskCache
from gateway.cache.object_cache import ObjectCache
from gateway.cache.patience import Patience
from gateway.config.cache_settings import CacheSettings
from gateway.errors import GatewayError, NotFoundError, UpstreamBusyError
from gateway.messages import ObjectRequest, Stream, nothing_to_close
from gateway.transfer.parallel import MemoryBudget
from tests.support.eventually import eventually

_KEY = "model.bin"
_SIZE = 2_000_000  # more than memory holds
_NEVER = float("-inf")


class Source:
    """Answers with the body of `version` while `answers` is set, of which the last byte comes when `rest` is set; or
    raises `error`."""

    def __init__(self, cache_control: str) -> None:
        self.version, self.asked, self.rest = "1", list[str](), asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()
        self.error: GatewayError | None = None
        self._cache_control = cache_control

    async def fetch(self, request: ObjectRequest) -> Stream:
        self.asked.append(request.method)
        if self.error is not None:
            raise self.error
        version = self.version
        await self.answers.wait()
        headers = {"ETag": f'"{version}"', "Content-Length": str(_SIZE), "Cache-Control": self._cache_control}
        body = self._chunks(version.encode() * _SIZE) if request.method == "GET" else None
        return Stream(200, headers, body, nothing_to_close)

    async def _chunks(self, body: bytes) -> AsyncIterator[bytes]:
        yield body[:-1]
        await self.rest.wait()
        yield body[-1:]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def new(source: Source, tmp_path: Path, clock: Clock) -> ObjectCache:
    disk = DiskCache(tmp_path, 100_000_000, "bucket")
    settings = CacheSettings(memory_bytes=1_000_000, index_ttl=30.0)
    return ObjectCache(source, MemoryBudget(4_000_000, 4), settings, disk, Patience(20.0), clock=clock)


@pytest.mark.parametrize(
    ("cache_control", "seconds", "told", "state", "asked", "etag"),
    [
        ("", 29.0, _NEVER, "changed", ["GET"], '"1"'),
        ("", 31.0, _NEVER, "same", ["GET", "HEAD"], '"1"'),
        ("", 31.0, _NEVER, "changed", ["GET", "HEAD", "GET"], '"2"'),
        ("", 31.0, _NEVER, "gone", ["GET", "HEAD", "GET"], None),
        ("", 31.0, _NEVER, "down", ["GET", "HEAD"], '"1"'),
        ("no-cache", 0.0, _NEVER, "same", ["GET", "HEAD"], '"1"'),
        ("no-cache", 0.0, _NEVER, "changed", ["GET", "HEAD", "GET"], '"2"'),
        ("", 2.0, 99.0, "changed", ["GET"], '"1"'),
        ("", 2.0, 101.0, "same", ["GET", "HEAD"], '"1"'),
        ("", 2.0, 101.0, "changed", ["GET", "HEAD", "GET"], '"2"'),
        ("", 2.0, 101.0, "gone", ["GET", "HEAD", "GET"], None),
        ("", 2.0, 101.0, "down", ["GET", "HEAD"], '"1"'),
    ],
)
async def test_a_fill_that_is_older_than_a_copy_may_be_is_joined_only_while_the_object_is_the_same(
    tmp_path: Path, cache_control: str, seconds: float, told: float, state: str, asked: list[str], etag: str | None
) -> None:
    """The first one begins at 100. What may have changed up to `told` must have been found out since."""
    source, clock = Source(cache_control), Clock()
    cache = new(source, tmp_path, clock)
    first = await cache.fetch(ObjectRequest("GET", _KEY))
    clock.now += seconds
    source.version = "2" if state == "changed" else "1"
    source.error = {
        "gone": NotFoundError("404 NoSuchKey", code="NoSuchKey", upstream_status=404),
        "down": UpstreamBusyError("503 SlowDown"),
    }.get(state)
    streams = [first]
    if etag is None:
        with pytest.raises(NotFoundError):
            await cache.fetch(ObjectRequest("GET", _KEY, not_before=told))
    else:
        streams.append(await cache.fetch(ObjectRequest("GET", _KEY, not_before=told)))
        assert streams[-1].headers["ETag"] == etag
    assert source.asked == asked
    source.rest.set()
    for stream in streams:
        assert stream.body is not None
        assert {*b"".join([chunk async for chunk in stream.body])} == {*stream.headers["ETag"][1:-1].encode()}
        stream.close()
    if state == "same":
        again = await cache.fetch(ObjectRequest("HEAD", _KEY))
        assert ("fwd=stale" in again.headers["Cache-Status"]) is bool(cache_control), "the confirmation counts"
        again.close()
    await cache.close()


async def test_a_request_that_knows_of_a_change_shares_no_answer_from_before_it(tmp_path: Path) -> None:
    source, clock = Source(""), Clock()
    cache = new(source, tmp_path, clock)
    source.answers.clear()
    before = asyncio.create_task(cache.fetch(ObjectRequest("GET", _KEY)))
    await eventually(lambda: source.asked == ["GET"])
    source.version = "2"
    clock.now += 2.0
    knowing = [asyncio.create_task(cache.fetch(ObjectRequest("GET", _KEY, not_before=101.0))) for _ in range(2)]
    await eventually(lambda: source.asked == ["GET", "GET"])
    source.answers.set()
    streams = [await before, *[await one for one in knowing]]
    assert [stream.headers["ETag"] for stream in streams] == ['"1"', '"2"', '"2"']
    assert source.asked == ["GET", "GET"]
    for stream in streams:
        stream.close()
    await cache.close()
