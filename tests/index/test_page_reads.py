"""However many pages are asked for, and however long they are, only a few of them are in memory at once."""

import asyncio
import threading
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import cast

import pytest

from gateway.cache.lru import MemoryLimit
from gateway.errors import UpstreamBusyError
from gateway.executors import PAGES
from gateway.index import page_reads
from gateway.index.backlog import Backlog
from gateway.index.mirror.upstream_index import UpstreamIndex
from gateway.index.page_reads import PageReads
from gateway.index.simple.stored import StoredPages
from gateway.messages import PageRequest, Stream
from gateway.upstream.client import Client
from tests.support.eventually import eventually

KB = 1024
CHUNK = 64 * KB
SMALL, LARGE = 512 * KB, 1024 * KB


class Pages:
    """Pages that are read to their end, and then wait to be parsed until `parse` is set."""

    def __init__(self) -> None:
        self.reads = PageReads()
        self.parse = asyncio.Event()
        self.begun = 0
        self.held = 0  # bytes
        self.whole = 0

    async def get(self, size: int) -> None:
        async with self.reads.begin() as read:
            self.begun += 1
            count = 0
            async for chunk in read.in_turn(self._chunks(size)):
                count += len(chunk)
            assert count == size
            self.whole += 1
            await self.parse.wait()
            self.held -= size

    async def _chunks(self, size: int) -> AsyncIterator[bytes]:
        for _ in range(0, size, CHUNK):
            self.held += CHUNK  # a connection holds it, or the reader
            yield bytes(CHUNK)


async def test_long_pages_wait_for_their_turn_before_much_of_them_is_read() -> None:
    pages = Pages()
    getting = [asyncio.ensure_future(pages.get(LARGE)) for _ in range(100)]
    await eventually(lambda: pages.whole == 2)
    for _ in range(100):
        await asyncio.sleep(0)
    assert (pages.begun, pages.whole) == (32, 2)
    assert pages.held == 2 * LARGE + 30 * (SMALL + CHUNK)
    pages.parse.set()
    await asyncio.gather(*getting)
    assert (pages.whole, pages.held) == (100, 0)


async def test_short_pages_do_not_wait_for_long_ones() -> None:
    pages = Pages()
    getting = [asyncio.ensure_future(pages.get(LARGE)) for _ in range(10)]
    await eventually(lambda: pages.whole == 2)
    getting += [asyncio.ensure_future(pages.get(SMALL)) for _ in range(10)]
    await eventually(lambda: pages.whole == 12)
    pages.parse.set()
    await asyncio.gather(*getting)


async def test_whoever_leaves_makes_room() -> None:
    pages = Pages()
    getting = [asyncio.ensure_future(pages.get(LARGE)) for _ in range(40)]
    await eventually(lambda: pages.whole == 2)
    for task in getting:
        task.cancel()
    await asyncio.gather(*getting, return_exceptions=True)
    pages.parse.set()
    await asyncio.gather(*(pages.get(LARGE) for _ in range(40)))


class Long:
    """A client of an index whose pages are long."""

    PAGE = b'{"meta": {"api-version": "1.4"}, "versions": [], "files": []'

    def __init__(self) -> None:
        self.read = 0

    async def send(self, method: str, scheme: str, host: str, target: str, headers: object) -> SimpleNamespace:
        async def first() -> bytes:
            return self.PAGE

        async def body(first: bytes) -> AsyncIterator[bytes]:
            yield first
            for _ in range(0, LARGE, CHUNK):
                self.read += CHUNK
                yield b" " * CHUNK
            yield b"}"

        headers = {"content-type": "application/vnd.pypi.simple.v1+json"}
        return SimpleNamespace(status=200, headers=headers, read=first, body=body, close=lambda: None)


async def test_pages_of_the_other_index_take_turns_until_they_are_parsed() -> None:
    client, backlog, memory = Long(), Backlog(limit=1), MemoryLimit(1_000_000)
    index = UpstreamIndex(
        cast("Client", client),
        "https://index.example/",
        refresh=60,
        stale_if_error=0,
        memory=memory,
        refusals=memory,
        backlog=backlog,
    )
    with backlog:  # nothing is parsed meanwhile
        pages = [asyncio.ensure_future(index.project(f"foo-{number}")) for number in range(40)]
        await eventually(lambda: client.read > 2 * LARGE)
        for _ in range(100):
            await asyncio.sleep(0)
        assert client.read <= 2 * LARGE + 30 * (SMALL + CHUNK)
    assert {len((await page).value.files) for page in pages} == {0}
    assert client.read == 40 * LARGE


async def test_stored_pages_take_turns_until_they_are_json() -> None:
    read, closed = 0, 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        yield b"<a href=foo-1.0.zip></a>"
        for _ in range(0, LARGE, CHUNK):
            read += CHUNK
            yield b" " * CHUNK

    def close() -> None:
        nonlocal closed
        closed += 1

    pages, request = StoredPages(MemoryLimit(1_000_000)), PageRequest("GET", "")
    go_on = threading.Event()
    blocked = [PAGES.run(go_on.wait, 20) for _ in range(PAGES.threads)]
    try:
        streams = [Stream(200, {"ETag": f'"{number}"'}, body(), close) for number in range(40)]
        converting = [
            asyncio.ensure_future(pages.as_json(stream, f"foo-{number}/", request))
            for number, stream in enumerate(streams)
        ]
        await eventually(lambda: read > 2 * LARGE)
        for _ in range(100):
            await asyncio.sleep(0)
        assert read <= 2 * LARGE + 30 * (SMALL + CHUNK)
    finally:
        go_on.set()
    assert all([b"foo-1.0.zip" in (await page).body for page in converting])
    assert (read, closed) == (40 * LARGE, 40)
    await asyncio.gather(*blocked)


async def test_a_page_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_reads, "_WAIT_SECONDS", 0.01)
    pages = Pages()
    getting = [asyncio.ensure_future(pages.get(LARGE)) for _ in range(40)]
    await eventually(lambda: sum(task.done() for task in getting) == 38)
    pages.parse.set()
    outcomes = await asyncio.gather(*getting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [UpstreamBusyError] * 38
    await asyncio.gather(pages.get(LARGE), pages.get(LARGE))
