"""Large bodies in parts side by side: the same bytes, no more connections than help, bounded memory."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from gateway.config.cache_settings import ParallelSettings
from gateway.messages import ObjectRequest, Stream
from gateway.storage.resuming import ResumingStorage
from gateway.transfer import concurrency, parallel
from gateway.transfer.concurrency import AdaptiveConcurrency
from gateway.transfer.parallel import ParallelBody
from gateway.transfer.part import ObjectChangedError
from tests.storage.test_resuming import Eager, storage_of
from tests.support.eventually import eventually
from tests.support.faults import Answer, FaultyBucket, error, etag_of, healthy, stall

MB = 1024 * 1024
LARGE = os.urandom(20 * MB)
SETTINGS = ParallelSettings(min_bytes=8 * MB, connections=4, memory_bytes=4 * MB)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "AdaptiveConcurrency", Eager)


async def opened(storage: ResumingStorage, **headers: str) -> Stream:
    stream = await storage.fetch(ObjectRequest("GET", "k", headers))
    assert isinstance(stream, Stream)
    return stream


async def read(stream: Stream) -> bytes:
    assert stream.body is not None
    try:
        return b"".join([chunk async for chunk in stream.body])
    finally:
        stream.close()


async def collect(body: AsyncIterator[bytes], into: bytearray) -> None:
    async for chunk in body:
        into += chunk


def window(storage: ResumingStorage) -> int:
    return storage.stats()["budget_free"]


def fetching() -> list[object]:
    """Tasks of parts."""
    return [task for task in asyncio.all_tasks() if "_Part" in repr(task.get_coro())]


def parts(bucket: FaultyBucket) -> list[tuple[int, int]]:
    """Start and end (inclusive) of the ranges that were asked for."""
    ranges = [request.headers["range"].removeprefix("bytes=") for request in bucket.requests[1:]]
    return [(int(first), int(last)) for first, _, last in (text.partition("-") for text in ranges)]


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("asked", [{}, {"range": f"bytes=1000000-{len(LARGE) - 1000}"}])
async def test_parts_side_by_side_make_the_same_bytes(faulty: FaultyBucket, asked: dict[str, str]) -> None:
    faulty.objects["k"] = LARGE
    storage = await storage_of(faulty, SETTINGS, read_timeout=10)
    expected = LARGE if not asked else LARGE[1_000_000 : len(LARGE) - 999]
    most = 0

    async def counting(answer: Answer) -> None:
        nonlocal most
        most = max(most, sum(not request.done.is_set() for request in faulty.requests[1:]))
        await healthy(answer)

    faulty.then(counting, times=1000)
    assert hashlib.sha256(await read(await opened(storage, **asked))).digest() == hashlib.sha256(expected).digest()
    assert {request.headers["if-match"] for request in faulty.requests[1:]} == {etag_of(LARGE)}
    ranges = parts(faulty)
    assert ranges == sorted(ranges)
    assert all(last + 1 == start for (_, last), (start, _) in pairwise(ranges)), "each byte once"
    assert ranges[-1][1] == (len(LARGE) - 1 if not asked else len(LARGE) - 1000)
    assert 2 <= most <= 4
    assert window(storage) == 4 * MB
    await storage.close()


@pytest.mark.usefixtures("eager")
async def test_an_object_that_changes_meanwhile_ends_visibly(faulty: FaultyBucket) -> None:
    faulty.objects["k"] = LARGE
    storage = await storage_of(faulty, SETTINGS, read_timeout=10)
    faulty.then(healthy, healthy, error(412, "PreconditionFailed"))
    stream = await opened(storage)
    assert stream.body is not None
    got = bytearray()
    with pytest.raises(ObjectChangedError):
        await collect(stream.body, got)
    stream.close()
    assert got == LARGE[: len(got)]
    await faulty.until(lambda: all(request.done.is_set() or request.sent for request in faulty.requests))
    assert window(storage) == 4 * MB
    await storage.close()


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(("connections", "most"), [(4, 4 * MB), (8, MB), (64, MB)])
async def test_a_client_that_stops_to_read_gives_back_what_was_fetched_for_it(
    faulty: FaultyBucket, monkeypatch: pytest.MonkeyPatch, connections: int, most: int
) -> None:
    monkeypatch.setattr(parallel, "_LOOK_SECONDS", 0.05)
    faulty.objects["k"] = LARGE
    settings = ParallelSettings(min_bytes=8 * MB, connections=connections, memory_bytes=most)
    storage = await storage_of(faulty, settings, read_timeout=10)
    stream = await opened(storage)
    assert stream.body is not None
    got = bytearray()
    for _ in range(2):
        while window(storage) == most:
            got += await anext(stream.body)
        await eventually(lambda: window(storage) == most)
    assert hashlib.sha256(got + await read(stream)).digest() == hashlib.sha256(LARGE).digest()
    await storage.close()


@pytest.mark.usefixtures("eager")
async def test_a_client_that_waits_for_the_storage_is_not_taken_for_a_slow_one(faulty: FaultyBucket) -> None:
    faulty.objects["k"] = LARGE
    storage = await storage_of(faulty, SETTINGS, read_timeout=10)
    go_on = asyncio.Event()

    async def late(answer: Answer) -> None:
        await go_on.wait()
        await healthy(answer)

    faulty.then(healthy)
    faulty.then(late, times=3)
    stream = await opened(storage)
    body = stream.body
    assert isinstance(body, ParallelBody)
    reading = asyncio.ensure_future(read(stream))
    await eventually(lambda: bool(body._parts) and body._parts[0]._leads and body._parts[0]._task is not None)
    body._seen = body._position
    under_way = [*body._parts]
    body._look()
    assert [*body._parts] == under_way
    go_on.set()
    assert hashlib.sha256(await reading).digest() == hashlib.sha256(LARGE).digest()
    await storage.close()


async def test_a_client_slower_than_one_connection_has_one(
    faulty: FaultyBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concurrency, "_FIRST_LOOK_BYTES", MB)
    faulty.objects["k"] = LARGE
    storage = await storage_of(faulty, SETTINGS, read_timeout=10)
    stream = await opened(storage)
    assert stream.body is not None
    async for _ in stream.body:
        await asyncio.sleep(0.002)  # the work of a client
    stream.close()
    assert len(faulty.requests) == 1
    await storage.close()


@pytest.mark.usefixtures("eager")
async def test_who_leaves_leaves_nothing_behind(faulty: FaultyBucket) -> None:
    faulty.objects["k"] = LARGE
    storage = await storage_of(faulty, SETTINGS, read_timeout=10)
    for count in (1, 40, 120):
        stream = await opened(storage)
        assert stream.body is not None
        for _ in range(count):
            await anext(stream.body)
        stream.close()
        await eventually(lambda: not storage.stats()["connections_busy"] and not fetching())
        assert window(storage) == 4 * MB
    assert storage.stats()["connections_free"] == 1024
    faulty.then(healthy, *[stall] * 3)
    stream = await opened(storage)
    assert stream.body is not None
    while len(fetching()) < 3:
        await anext(stream.body)
    stream.close()  # while parts wait for the heads of their answers
    async with asyncio.timeout(5):  # half of the read timeout
        await eventually(lambda: not storage.stats()["connections_busy"] and not fetching())
    await storage.close()


@pytest.mark.usefixtures("eager")
async def test_many_bodies_share_the_memory(faulty: FaultyBucket) -> None:
    faulty.objects["k"] = LARGE
    storage = await storage_of(faulty, SETTINGS, read_timeout=10)
    least = 4 * MB

    async def watched() -> bytes:
        nonlocal least
        stream = await opened(storage)
        assert stream.body is not None
        digest = hashlib.sha256()
        try:
            async for chunk in stream.body:
                least = min(least, window(storage))
                digest.update(chunk)
        finally:
            stream.close()
        return digest.digest()

    assert {*await asyncio.gather(*(watched() for _ in range(8)))} == {hashlib.sha256(LARGE).digest()}
    assert 0 <= least < MB
    assert window(storage) == 4 * MB
    await storage.close()


def paced(*looks: tuple[float, float]) -> list[int]:
    """How many connections there are after each look: `looks` are bytes a second, and the share of waiting."""
    judge = AdaptiveConcurrency(8)
    now = judge._since
    counts = []
    for rate, waiting in looks:
        count = 64 * MB
        spent = count / rate
        judge.note(now, 8 * MB)
        judge.came(count, now + spent * waiting)
        now += spent
        assert judge.note(now, 8 * MB)
        counts.append(judge.connections)
    return counts


async def test_no_more_while_this_process_is_what_is_slow(
    faulty: FaultyBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concurrency, "_BUSY", 0.0)
    monkeypatch.setattr(concurrency, "_FIRST_LOOK_BYTES", MB)
    faulty.objects["k"] = LARGE
    storage = await storage_of(faulty, SETTINGS, read_timeout=10)
    assert hashlib.sha256(await read(await opened(storage))).digest() == hashlib.sha256(LARGE).digest()
    assert len(faulty.requests) == 1
    await storage.close()


def test_more_connections_while_they_help() -> None:
    assert paced((80e6, 1), (300e6, 1), (600e6, 1), (600e6, 1)) == [4, 8, 8, 8]


def test_no_more_than_help() -> None:
    assert paced((80e6, 1), (82e6, 1), (80e6, 1)) == [4, 1, 1]
    assert paced((80e6, 1), (320e6, 1), (330e6, 1), (320e6, 1)) == [4, 8, 4, 4]
    tried_again = paced((80e6, 1), *[(82e6, 1)] * 20)
    assert tried_again[1:17] == [1] * 16
    assert 4 in tried_again[17:]


def test_fewer_for_a_client_that_is_slower() -> None:
    assert paced((80e6, 1), (300e6, 1), (600e6, 0.1), (600e6, 0.1), (600e6, 0.1)) == [4, 8, 4, 2, 1]


async def test_a_part_is_never_cut_before_what_has_been_read_of_it(faulty: FaultyBucket) -> None:
    faulty.objects["k"] = LARGE
    tiny = ParallelSettings(min_bytes=1, connections=64, memory_bytes=MB)  # parts of 16 KB
    storage = await storage_of(faulty, tiny, read_timeout=10)
    body = (await opened(storage)).body
    assert isinstance(body, ParallelBody)
    head = body._body
    while head.position <= 2 * 16 * 1024:
        await head.read()  # ahead of what the client has
    body._pace.connections = 64
    body._cut()
    assert head.stop == body._next == head.position + 16 * 1024
    body.close()
    await storage.close()
