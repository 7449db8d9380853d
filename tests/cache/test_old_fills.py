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

_KEY = "model.bin"
_SIZE = 2_000_000  # more than memory holds


class Source:
    """Answers with the body of `version`, of which the last byte comes when `rest` is set, or raises `error`."""

    def __init__(self, cache_control: str) -> None:
        self.version, self.asked, self.rest = "1", list[str](), asyncio.Event()
        self.error: GatewayError | None = None
        self._cache_control = cache_control

    async def fetch(self, request: ObjectRequest) -> Stream:
        self.asked.append(request.method)
        if self.error is not None:
            raise self.error
        headers = {"ETag": f'"{self.version}"', "Content-Length": str(_SIZE), "Cache-Control": self._cache_control}
        body = self._chunks(self.version.encode() * _SIZE) if request.method == "GET" else None
        return Stream(200, headers, body, nothing_to_close)

    async def _chunks(self, body: bytes) -> AsyncIterator[bytes]:
        yield body[:-1]
        await self.rest.wait()
        yield body[-1:]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("cache_control", "seconds", "state", "asked", "etag"),
    [
        ("", 29.0, "changed", ["GET"], '"1"'),
        ("", 31.0, "same", ["GET", "HEAD"], '"1"'),
        ("", 31.0, "changed", ["GET", "HEAD", "GET"], '"2"'),
        ("", 31.0, "gone", ["GET", "HEAD", "GET"], None),
        ("", 31.0, "down", ["GET", "HEAD"], '"1"'),
        ("no-cache", 0.0, "same", ["GET", "HEAD"], '"1"'),
        ("no-cache", 0.0, "changed", ["GET", "HEAD", "GET"], '"2"'),
    ],
)
async def test_a_fill_that_is_older_than_a_copy_may_be_is_joined_only_while_the_object_is_the_same(
    tmp_path: Path, cache_control: str, seconds: float, state: str, asked: list[str], etag: str | None
) -> None:
    source, clock = Source(cache_control), Clock()
    disk = DiskCache(tmp_path, 100_000_000, "bucket")
    settings = CacheSettings(memory_bytes=1_000_000, index_ttl=30.0)
    cache = ObjectCache(source, MemoryBudget(4_000_000, 4), settings, disk, Patience(20.0), clock=clock)
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
            await cache.fetch(ObjectRequest("GET", _KEY))
    else:
        streams.append(await cache.fetch(ObjectRequest("GET", _KEY)))
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
