"""What the storage has confirmed counts from then, also after the memory has lost it and after a restart."""

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.cache.disk.cache import DiskCache
from gateway.cache.disk.confirmation import confirm, confirmed_at
from gateway.cache.memory import CachedObject
from gateway.cache.object_cache import ObjectCache
from gateway.config.cache_settings import CacheSettings
from gateway.errors import UpstreamBusyError
from gateway.messages import ObjectRequest, Stream, nothing_to_close
from gateway.transfer.parallel import MemoryBudget
from tests.support.eventually import eventually

KEY = "p/p-1.0.tar.gz"
DAYS = 24 * 3600
LONG_AGO = time.time() - 30 * DAYS


class Storage:
    """Has one version. Can't be reached without `etag`."""

    def __init__(self, etag: str | None) -> None:
        self._etag = etag

    async def fetch(self, request: ObjectRequest) -> Stream:
        if self._etag is None:
            raise UpstreamBusyError("down")
        if request.headers.get("if-none-match") == self._etag:
            return Stream(304, {"ETag": self._etag}, None, nothing_to_close)
        return Stream(200, {"ETag": self._etag, "Content-Length": "3"}, self._body(), nothing_to_close)

    @staticmethod
    async def _body() -> AsyncIterator[bytes]:
        yield b"new"


def disk_of(directory: Path) -> DiskCache:
    return DiskCache(directory, 4_000_000, "bucket")


def put_long_ago(directory: Path) -> Path:
    """Returns the entry's file."""
    headers = {"ETag": '"1"', "Content-Length": "3"}
    disk_of(directory).put(KEY, CachedObject(headers, None, 3, '"1"', None, 0.0), b"old")
    [path] = [path for path in directory.rglob("*") if len(path.name) == 64]
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


async def fetch(storage: Storage, directory: Path) -> bytes | None:
    """The object through the cache of a process that has just started."""
    settings = CacheSettings(memory_bytes=1_000_000, stale_if_error=DAYS)
    cache = ObjectCache(storage, MemoryBudget(4_000_000, 4), settings, disk_of(directory))
    try:
        stream = await cache.fetch(ObjectRequest("GET", KEY))
        await eventually(lambda: cache.stats()["background_tasks"] == 0)
    finally:
        await cache.close()
    return stream.content


async def test_an_old_copy_that_was_confirmed_of_late_is_served_in_an_outage(tmp_path: Path) -> None:
    put_long_ago(tmp_path)
    with pytest.raises(UpstreamBusyError):
        await fetch(Storage(None), tmp_path)
    assert await fetch(Storage('"1"'), tmp_path) == b"old"
    assert await fetch(Storage(None), tmp_path) == b"old"
    assert await fetch(Storage('"2"'), tmp_path) == b"new"
    assert await fetch(Storage(None), tmp_path) == b"new"


def test_a_confirmation_is_of_one_version_and_changes_nothing_else(tmp_path: Path) -> None:
    before = put_long_ago(tmp_path).stat()
    disk, other = disk_of(tmp_path), disk_of(tmp_path)
    entry = other.find(KEY)
    assert entry is not None
    for etag, is_confirmed in (('"2"', False), ('"1"', True)):
        disk.confirm(KEY, etag)
        assert (entry.checked > time.time() - 60) is is_confirmed, "known to those who have it open, too"
    path = Path(f"/proc/self/fd/{entry.file.descriptor}").resolve()
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (before.st_mtime_ns, before.st_size)
    assert other.hot(KEY) is entry
    disk.confirm("absent", '"1"')


def test_it_is_noted_once_a_minute(tmp_path: Path) -> None:
    path = put_long_ago(tmp_path)
    disk = disk_of(tmp_path)
    for ago, is_noted in ((30, False), (90, True)):
        os.setxattr(path, "user.gateway.confirmed", b"%d" % (before := time.time() - ago))
        disk.confirm(KEY, '"1"')
        entry = disk.find(KEY)
        assert entry is not None
        assert (entry.checked > before + 10) is is_noted


def test_nonsense_and_files_without_such_attributes_are_no_confirmation(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        assert confirmed_at(file.fileno()) == 0
        os.setxattr(file.fileno(), "user.gateway.confirmed", b"nan")
        assert confirmed_at(file.fileno()) == 0
        confirm(file.fileno(), 1234.5)
        assert confirmed_at(file.fileno()) == 1234
    reading, writing = os.pipe()
    confirm(reading, 1234.5)
    assert confirmed_at(reading) == 0
    os.close(reading)
    os.close(writing)
