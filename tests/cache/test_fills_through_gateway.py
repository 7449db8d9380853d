"""One fetch for many, without a disk: what the bucket is asked, what clients get, what is left behind."""

import asyncio
import hashlib
import os

import pytest

from gateway.app import Gateway
from gateway.cache import channel
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.faults import Answer, FaultyBucket, error, etag_of
from tests.support.http import fetch

LARGE = os.urandom(12_000_000)
DIGEST = hashlib.sha256(LARGE).digest()


@pytest.fixture
async def gateway(start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]) -> Gateway:
    faulty.objects["k.whl"] = LARGE
    return await start_gateway(faulty_settings | {"cache.memory_bytes": "10000000", "storage.max_attempts": "1"})


async def digest(gateway: Gateway) -> bytes:
    return hashlib.sha256((await fetch(int(gateway.url.rpartition(":")[2]), "/k.whl")).body).digest()


def free(gateway: Gateway) -> int:
    return gateway.storage.stats()["budget_free"]


async def test_a_slow_reader_goes_on_by_itself(
    gateway: Gateway, faulty: FaultyBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "_WAKE_SHARE", 44)  # which makes 1.5 MB
    before = free(gateway)
    go_on = asyncio.Event()

    async def waiting(answer: Answer) -> None:
        await go_on.wait()
        await faults.healthy(answer)

    faulty.then(waiting)
    quick = [asyncio.ensure_future(digest(gateway)) for _ in range(5)]
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]), limit=1024)
    writer.write(b"GET /k.whl HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    await faulty.until(lambda: len(faulty.requests) == 1)
    go_on.set()
    assert {*await asyncio.gather(*quick)} == {DIGEST}
    assert len(faulty.requests) == 1
    body = (await reader.read()).partition(b"\r\n\r\n")[2]
    assert hashlib.sha256(body).digest() == DIGEST
    assert [request.headers.get("if-match") for request in faulty.requests] == [None, etag_of(LARGE)]
    assert free(gateway) == before
    writer.close()


async def test_the_first_who_leaves_takes_it_from_nobody_and_the_last_ends_it(
    gateway: Gateway, faulty: FaultyBucket
) -> None:
    before = free(gateway)
    go_on = asyncio.Event()

    async def halting(answer: Answer) -> None:
        await go_on.wait()
        await answer.send(200, [("ETag", etag_of(LARGE)), ("Content-Length", str(len(LARGE)))], LARGE[:500_000])
        await faults.stall(answer)

    faulty.then(halting)
    clients = []
    for _ in range(3):
        client = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
        client[1].write(b"GET /k.whl HTTP/1.1\r\nHost: x\r\n\r\n")
        clients.append(client)
    await faulty.until(lambda: len(faulty.requests) == 1)
    go_on.set()
    for reader, writer in clients:
        assert len(await reader.readexactly(400_000)) == 400_000
        assert len(faulty.requests) == faulty.open_connections == 1
        assert free(gateway) < before
        writer.transport.abort()
    await faulty.until(lambda: faulty.open_connections == 0)
    assert await digest(gateway) == DIGEST
    assert free(gateway) == before


async def test_while_one_client_has_a_stream_of_its_own_others_share_the_next(
    gateway: Gateway, faulty: FaultyBucket
) -> None:
    go_on, half_there = asyncio.Event(), asyncio.Semaphore(0)

    async def slow(answer: Answer) -> None:
        await answer.send(200, [("ETag", etag_of(LARGE)), ("Content-Length", str(len(LARGE)))], LARGE[:500_000])
        half_there.release()
        await go_on.wait()
        await answer.write(LARGE[500_000:])

    faulty.then(slow, slow)
    first = asyncio.ensure_future(digest(gateway))
    await half_there.acquire()
    second = asyncio.ensure_future(digest(gateway))
    await half_there.acquire()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    writer.write(b"GET /k.whl HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    go_on.set()
    assert await first == await second == hashlib.sha256(await reader.read()).digest() == DIGEST
    assert len(faulty.requests) == 2
    writer.close()


async def test_what_breaks_breaks_visibly_for_all(gateway: Gateway, faulty: FaultyBucket) -> None:
    faulty.then(faults.reset_in_body(500_000, length=3_000_000), *[error(412, "PreconditionFailed")] * 10)
    answers = await asyncio.gather(*(fetch(int(gateway.url.rpartition(":")[2]), "/k.whl") for _ in range(5)))
    assert {answer.headers["content-length"] for answer in answers} == {"3000000"}
    assert all(len(answer.body) <= 500_000 for answer in answers)
    faulty.script.clear()
    assert await digest(gateway) == DIGEST
