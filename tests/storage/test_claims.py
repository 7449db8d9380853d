"""Fills end with the last claim on them, and take no request that comes too late, or after a refresh or a write."""

import asyncio
import io
import os
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.errors import NotFoundError
from gateway.messages import ObjectRequest, Stream
from tests.conftest import StartGateway
from tests.support.eventually import eventually
from tests.support.faults import Answer, FaultyBucket, error, etag_of, healthy
from tests.support.http import fetch

MB = 1024 * 1024
LARGE = os.urandom(12 * MB)
NEW = os.urandom(12 * MB)
KEY = "p/p-1.0-py3-none-any.whl"


@pytest.fixture
def settings(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    faulty.objects = {KEY: LARGE, "page.html": LARGE}
    return faulty_settings | {"cache.memory_bytes": "10000000", "storage.max_attempts": "1"}


@pytest.fixture(params=["memory", "disk"])
async def gateway(
    request: pytest.FixtureRequest, start_gateway: StartGateway, settings: dict[str, str], tmp_path: Path
) -> Gateway:
    disk = {"cache.dir": str(tmp_path / "cache")} if request.param == "disk" else {}
    return await start_gateway(settings | disk)


def large_wheel() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("p/data", LARGE)
        archive.writestr("p-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: p\nVersion: 1.0\n")
    return buffer.getvalue()


class Gate:
    """A bucket that sends the start of an object, and the rest when it is opened."""

    def __init__(self, body: bytes, first: int = 0) -> None:
        self.body = body
        self.first = first
        self.opened = asyncio.Event()

    async def __call__(self, answer: Answer) -> None:
        if self.first:
            head = [("ETag", etag_of(self.body)), ("Content-Length", str(len(self.body)))]
            await answer.send(200, head, self.body[: self.first])
            await self.opened.wait()
            await answer.write(self.body[self.first :])
        else:
            await self.opened.wait()
            await healthy(answer)


async def opened(gateway: Gateway, key: str = KEY, method: str = "GET", **headers: str) -> Stream:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    stream = await gateway.storage.fetch(ObjectRequest(method, key, named))
    assert isinstance(stream, Stream)
    return stream


async def read(stream: Stream) -> bytes:
    assert stream.body is not None
    try:
        return b"".join([chunk async for chunk in stream.body])
    finally:
        stream.close()


def free(gateway: Gateway) -> int:
    return gateway.storage.stats()["budget_free"]


async def until_nothing_is_on_loan(gateway: Gateway, bucket: FaultyBucket, window: int, tmp_path: Path) -> None:
    def nothing() -> bool:
        files = [path for path in (tmp_path / "cache").rglob("*") if len(path.name) == 32]
        return not gateway.storage.stats()["connections_busy"] and free(gateway) == window and not files

    await eventually(nothing, lambda: (bucket.open_connections, free(gateway), window))


async def test_a_fill_that_no_answer_needs_ends(gateway: Gateway, faulty: FaultyBucket, tmp_path: Path) -> None:
    window, gate = free(gateway), Gate(LARGE)
    faulty.then(gate)
    asking = [asyncio.ensure_future(opened(gateway, "page.html", if_none_match=etag_of(LARGE))) for _ in range(2)]
    await faulty.until(lambda: len(faulty.requests) == 1)
    gate.opened.set()
    for stream in await asyncio.gather(*asking):
        assert (stream.status, stream.body) == (304, None)
        stream.close()
    await until_nothing_is_on_loan(gateway, faulty, window, tmp_path)
    assert await read(await opened(gateway, "page.html")) == LARGE


@pytest.mark.parametrize("answered", [False, True])
async def test_a_fill_ends_when_all_leave_before_they_have_read(
    gateway: Gateway, faulty: FaultyBucket, tmp_path: Path, answered: bool
) -> None:
    window, gate = free(gateway), Gate(LARGE, MB if answered else 0)
    faulty.then(gate)
    asking = [asyncio.ensure_future(opened(gateway)) for _ in range(2)]
    await faulty.until(lambda: len(faulty.requests) == 1)
    if answered:
        for stream in await asyncio.gather(*asking):
            stream.close()  # whose body nobody has begun to read
    for client in asking:
        client.cancel()
    await until_nothing_is_on_loan(gateway, faulty, window, tmp_path)
    assert await read(await opened(gateway)) == LARGE


async def test_four_fills_without_readers_leave_the_window_as_it_was(
    gateway: Gateway, faulty: FaultyBucket, tmp_path: Path
) -> None:
    window = free(gateway)
    for _ in range(4):
        gate = Gate(LARGE)
        faulty.then(gate)
        asking = [asyncio.ensure_future(opened(gateway, "page.html", if_none_match=etag_of(LARGE))) for _ in range(2)]
        await faulty.until(lambda gate=gate: gate not in faulty.script)  # type: ignore[misc]
        gate.opened.set()
        for stream in await asyncio.gather(*asking):
            stream.close()
    await until_nothing_is_on_loan(gateway, faulty, window, tmp_path)


async def test_nobody_joins_a_fill_whose_last_reader_has_just_left(gateway: Gateway, faulty: FaultyBucket) -> None:
    gate = Gate(LARGE, MB)
    faulty.then(gate)
    first = await asyncio.gather(opened(gateway), opened(gateway))
    for stream in first:
        assert stream.body is not None
        await anext(stream.body)
    for stream in first:
        stream.close()
    assert await read(await opened(gateway)) == LARGE


async def test_what_was_asked_for_before_a_refresh_is_not_joined_after_it(
    gateway: Gateway, faulty: FaultyBucket
) -> None:
    gate = Gate(LARGE, MB)
    faulty.then(gate)
    early = [asyncio.ensure_future(opened(gateway)) for _ in range(2)]
    early_streams = await asyncio.gather(*early)
    faulty.objects[KEY] = NEW
    gateway.refresh()
    assert await read(await opened(gateway)) == NEW
    gate.opened.set()
    assert {*await asyncio.gather(*map(read, early_streams))} == {LARGE}, "who reads it may read on"
    for _ in range(2):
        assert await read(await opened(gateway)) == NEW, "the older fill is not kept over the newer"


@pytest.mark.parametrize("old", [LARGE, b"old", None])
async def test_what_was_asked_for_before_a_write_is_not_kept_after_it(
    gateway: Gateway, faulty: FaultyBucket, old: bytes | None
) -> None:
    gate = asyncio.Event()

    async def late(answer: Answer) -> None:
        await gate.wait()
        if old is None:
            await error(404, "NoSuchKey")(answer)
        else:
            await answer.send(200, [("ETag", etag_of(old))], old)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"new"

    faulty.then(late)
    early = asyncio.ensure_future(opened(gateway))
    await faulty.until(lambda: len(faulty.requests) == 1)
    await gateway.storage.put(KEY, chunks())
    gate.set()
    if old is None:
        with pytest.raises(NotFoundError):
            await early
    else:
        assert await read(await early) == old
    assert await read(await opened(gateway)) == b"new"


async def test_a_range_far_ahead_does_not_wait_for_the_whole_object(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, tmp_path: Path
) -> None:
    gateway = await start_gateway(settings | {"cache.dir": str(tmp_path / "cache")})
    body = faulty.objects[KEY] = large_wheel()
    gate = Gate(body, MB)
    faulty.then(gate)
    first = await opened(gateway)
    async with asyncio.timeout(10):
        far = await read(await opened(gateway, range="bytes=10000000-10000009"))
        tail = await read(await opened(gateway, range="bytes=-10"))
        near = asyncio.ensure_future(opened(gateway, range=f"bytes={2 * MB}-{2 * MB + 9}"))
        stream = await near
        answer = await fetch(int(gateway.url.rpartition(":")[2]), f"/{KEY}.metadata")
    assert (far, tail) == (body[10_000_000:10_000_010], body[-10:])
    assert answer.status == 200
    assert b"Name: p" in answer.body
    asked = [request.headers.get("range") for request in faulty.requests]
    assert f"bytes={2 * MB}-{2 * MB + 9}" not in asked, "what comes in a moment is waited for"
    gate.opened.set()
    assert await read(stream) == body[2 * MB : 2 * MB + 10]
    assert await read(first) == body
