"""What no well-behaved client would do."""

import asyncio
import contextlib
import re

import pytest

from gateway.app import Gateway
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.faults import FaultyBucket
from tests.support.http import exchange, fetch

LIMITS = {
    "server.header_timeout": "0.4",
    "server.keepalive_timeout": "0.8",
    "server.max_target_bytes": "1000",
    "server.max_header_bytes": "2000",
}


@pytest.fixture
async def gateway(start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]) -> Gateway:
    faulty.objects["k"] = b"content"
    return await start_gateway(faulty_settings | LIMITS)


def port_of(gateway: Gateway) -> int:
    return int(gateway.url.rpartition(":")[2])


async def settled(gateway: Gateway) -> None:
    """Waits until every connection is closed and only the test's own tasks are left."""
    assert gateway._main is not None
    async with asyncio.timeout(10):
        await gateway._main.server.admission.none_left.wait()


async def test_a_request_may_come_one_byte_at_a_time(gateway: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(gateway))
    for byte in b"GET /k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n":
        writer.write(bytes([byte]))
        await writer.drain()
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"content")
    writer.close()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /k\r\n\r\n",
        b"GET /k HTTP/9.9\r\n\r\n",
        b"GET /k HTTP/2.0\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /k HTTP/0.9\r\nHost: x\r\n\r\n",
        b"GET /k HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /k HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /k HTTP/1.1\r\nA: b\0c\r\n\r\n",
        b"GET /k HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /k HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /k HTTP/1.1\r\nTransfer-Encoding: nonsense\r\n\r\n",
        b"G\xffT /k HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_bad_http_is_a_4xx_or_a_closed_connection(
    gateway: Gateway, faulty: FaultyBucket, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await exchange(port_of(gateway), request_bytes)
    assert answer == b"" or re.match(rb"HTTP/1\.\d 4", answer)
    assert b"Traceback" not in answer
    assert [one for one in faulty.requests if "list-type" not in one.target] == []  # listings come by themselves
    assert "Traceback" not in caplog.text
    await settled(gateway)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /%s HTTP/1.1\r\nHost: x\r\n" % (b"a" * 1100), 414),
        (b"GET /a?%s HTTP/1.1\r\nHost: x\r\n" % (b"a" * 1100), 414),
        (b"GET /k HTTP/1.1\r\nA: %s\r\n" % (b"a" * 2100), 431),
        (b"GET /k HTTP/1.1\r\nA: /%s\r\n" % (b"a" * 2100), 431),
        (b"GET /k HTTP/1.1\r\n%s: a\r\n" % (b"a" * 2100), 431),
        (b"GET /k HTTP/1.1\r\n%s" % (b"A: b\r\n" * 1000), 431),
    ],
)
async def test_oversized_heads_are_refused(gateway: Gateway, faulty: FaultyBucket, head: bytes, status: int) -> None:
    answer = await exchange(port_of(gateway), head + b"\r\n")
    assert answer.startswith(b"HTTP/1.0 %d " % status)
    assert b"request id: " in answer
    assert [one for one in faulty.requests if "list-type" not in one.target] == []  # listings come by themselves
    await settled(gateway)


@pytest.mark.parametrize(
    "start",
    [b"", b"G", b"GET /k HTTP/1.1\r\nHost: x\r\n", b"GET /k HTTP/1.1\r\nHost: x\r\n\r\nGET /"],
)
async def test_a_head_that_does_not_end_closes_the_connection(gateway: Gateway, start: bytes) -> None:
    answer = await exchange(port_of(gateway), start)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 200")
    await settled(gateway)


async def test_a_trickle_of_headers_does_not_push_the_deadline(gateway: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(gateway))
    writer.write(b"GET /k HTTP/1.1\r\n")
    closed = asyncio.ensure_future(reader.read())
    started = asyncio.get_running_loop().time()
    while not closed.done():
        writer.write(b"A: b\r\n")
        await asyncio.wait([closed], timeout=0.05)
    assert asyncio.get_running_loop().time() - started < 3
    await asyncio.wait([closed])
    writer.close()
    await settled(gateway)


async def test_the_deadline_is_over_once_the_head_is_there(gateway: Gateway, faulty: FaultyBucket) -> None:
    answering = asyncio.Event()

    async def late(answer: faults.Answer) -> None:
        await answering.wait()
        await faults.healthy(answer)

    faulty.then(late)
    asking = asyncio.ensure_future(fetch(port_of(gateway), "/k"))
    await faulty.until(lambda: len(faulty.requests) == 1)
    asyncio.get_running_loop().call_later(0.6, answering.set)
    assert (await asking).body == b"content"


async def test_an_idle_connection_is_closed(start_gateway: StartGateway, faulty_settings: dict[str, str]) -> None:
    gateway = await start_gateway(faulty_settings | {"server.keepalive_timeout": "0.2"})
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(gateway))
    writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_a_half_closed_socket_gets_an_answer_or_an_end(gateway: Gateway) -> None:
    for request in (b"GET /k HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /k HTTP/1.1\r\n", b""):
        answer = await exchange(port_of(gateway), request, end=True)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 200")
    await settled(gateway)


async def test_pipelined_requests_are_answered_in_order(gateway: Gateway) -> None:
    request = b"GET /%s HTTP/1.1\r\nHost: x\r\n%s\r\n"
    answer = await exchange(
        port_of(gateway),
        request % (b"k", b"") + request % (b"health", b"") + request % (b"nope/", b"Connection: close\r\n"),
    )
    statuses = [line for line in answer.split(b"\r\n") if b"HTTP/1.1 " in line]
    assert [line[-30:].split(b"HTTP/1.1 ")[1][:3] for line in statuses] == [b"200", b"200", b"404"]


async def test_a_refused_upload_is_answered_though_it_goes_on(gateway: Gateway, faulty: FaultyBucket) -> None:
    head = b"PUT /k HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3000000\r\n\r\n"
    answer = await exchange(port_of(gateway), head + bytes(3_000_000))
    assert answer.startswith(b"HTTP/1.1 405")
    assert [one for one in faulty.requests if "list-type" not in one.target] == []  # listings come by themselves
    await settled(gateway)


HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
Held = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def hold(gateway: Gateway, request: bytes = b"", until: bytes = b"") -> Held:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(gateway))
    writer.write(request)
    async with asyncio.timeout(20):
        await reader.readuntil(until) if until else None
    return reader, writer


async def let_go(*held: Held) -> None:
    for _, writer in held:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_busy_connections_are_kept_and_more_are_told_so(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | {"server.max_connections": "2"})
    faulty.then(faults.stall, times=2)
    held = [await hold(gateway, b"GET /k HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(2)]
    await faulty.until(lambda: len(faulty.requests) == 2)
    refused = await exchange(port_of(gateway), HEALTH)
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 1\r\n" in refused
    await let_go(held[0])
    async with asyncio.timeout(10):
        while not (await exchange(port_of(gateway), b"GET /health HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.0 200"):
            pass
    await let_go(held[1])


async def test_idle_connections_make_room(start_gateway: StartGateway, faulty_settings: dict[str, str]) -> None:
    """Those that have been answered, and those that never said a word."""
    gateway = await start_gateway(faulty_settings | {"server.max_connections": "3"})
    silent = [await hold(gateway) for _ in range(30)]
    answered = await hold(gateway, HEALTH, b"}\n")
    for _ in range(2):
        assert (await exchange(port_of(gateway), HEALTH.replace(b"1.1", b"1.0"))).startswith(b"HTTP/1.0 200 ")
    others = [await hold(gateway, HEALTH, b"}\n") for _ in range(3)]
    assert await answered[0].read() == b"", "it was given up"
    await let_go(*silent, answered, *others)


async def test_one_peer_has_a_limit_of_its_own(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    for proxies, admitted in (("", False), ("127.0.0.0/8", True)):
        gateway = await start_gateway(
            faulty_settings | {"server.max_connections_per_peer": "1", "server.trusted_proxies": proxies}
        )
        faulty.then(faults.stall)
        before = len(faulty.requests)
        held = await hold(gateway, b"GET /k HTTP/1.1\r\nHost: x\r\n\r\n")
        await faulty.until(lambda: len(faulty.requests) == before + 1)  # noqa: B023
        answer = await exchange(port_of(gateway), HEALTH.replace(b"1.1", b"1.0"))
        assert answer.startswith(b"HTTP/1.0 200 " if admitted else b"HTTP/1.1 503 ")
        await let_go(held)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /k HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n",
        b"PUT /k HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n",
    ],
)
async def test_chunks_in_http_1_0_are_faulty(gateway: Gateway, request_bytes: bytes) -> None:
    answer = await exchange(port_of(gateway), request_bytes + HEALTH)
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert answer.count(b"HTTP/1.") == 1
    await settled(gateway)
