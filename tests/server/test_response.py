"""Bodies on their way to clients: slow ones, broken ones, and clients that leave."""

import asyncio
import os
from pathlib import Path

import aiohttp
import pytest

from gateway.app import Gateway
from tests.conftest import StartGateway
from tests.support import faults, oddstorage
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket
from tests.support.http import exchange

GIGABYTE = 1_000_000_000


def port_of(gateway: Gateway) -> int:
    return int(gateway.url.rpartition(":")[2])


def resident_megabytes() -> float:
    """Of this process, in which the gateway runs."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def begin(gateway: Gateway, target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A request whose answer nobody reads beyond its head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(gateway), limit=1024)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    return reader, writer


async def test_a_slow_client_holds_the_bucket_back(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings)
    held_before = resident_megabytes()
    faulty.then(faults.endless(GIGABYTE), times=20)
    clients = [await begin(gateway, "/k") for _ in range(20)]
    # What is under way stands in socket buffers, of which loopback's are large, and in ours, which are small.
    before = [request.sent for request in faulty.requests]
    for _ in range(50):
        await asyncio.sleep(0)
    previous: list[int] = []
    while (sent := [request.sent for request in faulty.requests]) != previous:
        previous = sent
        await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(asyncio.to_thread(lambda: None))), 10)
    assert max(sent) < 30_000_000
    assert len(before) == 20
    assert resident_megabytes() - held_before < 500, "20 bodies of 1 GB were not held"
    for _, writer in clients:
        writer.close()
    await faulty.until(lambda: faulty.open_connections == 0)


async def test_a_client_that_goes_away_ends_the_transfer(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings)
    faulty.then(faults.endless(GIGABYTE))
    _, writer = await begin(gateway, "/k")
    writer.close()
    await faulty.until(lambda: faulty.open_connections == 0)
    assert faulty.requests[0].sent < GIGABYTE


async def test_a_client_that_goes_away_before_the_answer_ends_the_request(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings)
    faulty.then(faults.stall)
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(gateway))
    writer.write(b"GET /k HTTP/1.1\r\nHost: x\r\n\r\n")
    await faulty.until(lambda: len(faulty.requests) == 1)
    writer.close()
    await faulty.until(lambda: faulty.open_connections == 0)


async def test_a_client_that_takes_nothing_is_disconnected(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | {"server.send_timeout": "0.3"})
    faulty.then(faults.endless(GIGABYTE))
    _, writer = await begin(gateway, "/k")
    await faulty.until(lambda: faulty.open_connections == 0)
    assert gateway._main is not None
    async with asyncio.timeout(10):
        await gateway._main.server.admission.none_left.wait()
    writer.close()


async def test_a_client_that_is_slow_but_alive_gets_everything(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    size = 12_000_000
    gateway = await start_gateway(faulty_settings | {"server.send_timeout": "0.5"})
    faulty.then(faults.endless(size))
    reader, writer = await begin(gateway, "/k")
    await reader.readuntil(b"\r\n\r\n")
    got = 0
    while got < size:
        got += len(await reader.read(400_000))
        await asyncio.to_thread(__import__("time").sleep, 0.02)  # the slowness is the point
    assert got == size
    writer.close()


@pytest.mark.parametrize(
    "fault", [faults.reset_in_body(100_000, length=200_000), faults.stall_in_body(100_000, length=200_000)]
)
async def test_a_body_that_breaks_off_is_a_visible_failure(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    http: aiohttp.ClientSession,
    fault: faults.Behaviour,
) -> None:
    gateway = await start_gateway(faulty_settings | {"storage.read_timeout": "0.3"})
    faulty.then(fault)
    async with http.get(f"{gateway.url}/k") as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


@pytest.mark.parametrize("missing", [1, 50, 63, 64, 65, 300])
async def test_nothing_is_ever_put_in_the_place_of_missing_bytes(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], missing: int
) -> None:
    gateway = await start_gateway(faulty_settings)
    faulty.then(faults.reset_in_body(200_000, length=200_000 + missing))
    answer = await exchange(port_of(gateway), b"GET /k HTTP/1.1\r\nHost: x\r\n\r\n")
    body = answer.partition(b"\r\n\r\n")[2]
    assert len(body) <= 200_000
    assert set(body) == {ord("x")}


async def test_a_chunked_body_that_breaks_off_is_not_ended(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings)
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    for ending, complete in ((b"0\r\n\r\n", True), (b"", False)):
        faulty.then(faults.raw(whole + ending))
        answer = await exchange(port_of(gateway), b"GET /k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"hello" in answer
        assert answer.endswith(b"0\r\n\r\n") is complete


async def test_http_1_0_is_spoken(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects["k"] = b"content"
    gateway = await start_gateway(faulty_settings)
    answer = await exchange(port_of(gateway), b"GET /k HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\ncontent")


async def test_a_storm_leaves_no_task_and_no_descriptor(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    import os

    gateway = await start_gateway(faulty_settings | {"storage.read_timeout": "0.3", "storage.max_attempts": "2"})
    faulty.objects["k"] = b"content" * 100_000

    async def storm() -> None:
        behaviours = [
            faults.reset,
            faults.stall,
            faults.reset_in_body(9, length=99),
            faults.healthy,
            faults.endless(10**7),
        ]
        faulty.script = behaviours * 10
        requests = [exchange(port_of(gateway), b"GET /k HTTP/1.1\r\nConnection: close\r\n\r\n") for _ in range(40)]
        leavers = [asyncio.ensure_future(request) for request in requests[:10]]
        stayers = asyncio.gather(*requests[10:])
        for leaver in leavers:
            leaver.cancel()
        await stayers
        assert gateway._main is not None
        async with asyncio.timeout(10):
            await gateway._main.server.admission.none_left.wait()
        faulty.script = []

    await storm()
    tasks, descriptors = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        await storm()
    await faulty.until(lambda: faulty.open_connections <= 45)
    assert len(asyncio.all_tasks()) <= tasks + 45  # kept connections of the test's own bucket have a task each
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 90


async def test_what_is_counted_is_what_was_sent(start_gateway: StartGateway) -> None:
    """A client that leaves before it has the answer has got none: 499, and no body of so many bytes."""
    gateway = await start_gateway({"storage.backend": oddstorage.BACKEND})
    _, writer = await begin(gateway, "/large")
    assert b'route="object"' not in gateway.metrics.render(), "it is on its way"
    writer.transport.abort()
    await eventually(lambda: b'route="object",status="499"' in gateway.metrics.render())
    assert b'status="200"' not in gateway.metrics.render()
    assert b'gateway_response_body_bytes_total{mount="default"} 0.0' in gateway.metrics.render()
