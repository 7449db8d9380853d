"""Handshakes are connections: they count, they have a deadline, they make room."""

import asyncio
import contextlib
import ssl
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.ops.output import STDOUT
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.certificates import self_signed
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket

HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


@pytest.fixture
def certificate(tmp_path: Path) -> dict[str, str]:
    pem, key = self_signed(tmp_path)
    return {"server.tls_cert": str(pem), "server.tls_key": str(key)}


def port_of(gateway: Gateway) -> int:
    return int(gateway.url.rpartition(":")[2])


def client_context(certificate: dict[str, str]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate["server.tls_cert"])


def connections(gateway: Gateway) -> int:
    assert gateway._main is not None
    return len(gateway._main.server.admission)


async def ask(gateway: Gateway, certificate: dict[str, str], request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(gateway), ssl=client_context(certificate))
    writer.write(request)
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()
    return answer


async def test_requests_are_answered_and_connections_end(
    start_gateway: StartGateway, certificate: dict[str, str]
) -> None:
    gateway = await start_gateway(certificate)
    again = HEALTH.replace(b"Connection: close\r\n", b"")
    answer = await ask(gateway, certificate, again * 2 + HEALTH)
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 3
    body = b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000)
    assert (await ask(gateway, certificate, body)).startswith(b"HTTP/1.1 405 ")
    await eventually(lambda: connections(gateway) == 0)


async def test_a_body_is_read(start_gateway: StartGateway, certificate: dict[str, str]) -> None:
    people = {"access.authenticators": "tests.support.people:People"}
    login = people | {"access.login": '{cookie_keys: ["%s"]}' % ("k" * 40)}
    gateway = await start_gateway(certificate | login)
    head = b"POST /-/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    for length, status in ((16_000, 403), (200_000, 413)):
        answer = await ask(gateway, certificate, head + b"Content-Length: %d\r\n\r\n" % length + b"a" * length)
        assert int(answer.split(b" ")[1]) == status


async def answered(gateway: Gateway, certificate: dict[str, str], request: bytes) -> tuple[bytes, asyncio.StreamWriter]:
    """What a client that does its TLS by hand is answered, up to the `ok` of /health; and its connection, still open.
    The request comes in one segment with the handshake's last message, as a client sends that need not wait."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context(certificate).wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(gateway))
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
            incoming.write(await reader.read(65536))
    tls.write(request)
    writer.write(outgoing.read())
    answer = b""
    while b"ok" not in answer:
        incoming.write(await asyncio.wait_for(reader.read(65536), 20))
        with contextlib.suppress(ssl.SSLWantReadError):
            answer += tls.read()
    return answer, writer


async def ended(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_a_request_that_comes_with_the_end_of_the_handshake_is_answered(
    start_gateway: StartGateway, certificate: dict[str, str]
) -> None:
    answer, writer = await answered(await start_gateway(certificate), certificate, HEALTH)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    await ended(writer)


async def test_handshakes_that_do_not_end_count_and_make_room(
    start_gateway: StartGateway, certificate: dict[str, str]
) -> None:
    gateway = await start_gateway(certificate | {"server.max_connections": "3"})
    silent = []
    for _ in range(3):
        silent.append(await asyncio.open_connection("127.0.0.1", port_of(gateway)))
        silent[-1][1].write(HELLO)
    await eventually(lambda: connections(gateway) == 3)
    assert (await ask(gateway, certificate, HEALTH)).startswith(b"HTTP/1.1 200 OK\r\n")
    assert await asyncio.wait_for(silent[0][0].read(), 20) == b"", "the first was given up"
    for _, writer in silent:
        await ended(writer)
    await eventually(lambda: connections(gateway) == 0)


async def test_a_handshake_has_a_deadline(start_gateway: StartGateway, certificate: dict[str, str]) -> None:
    gateway = await start_gateway(certificate | {"server.header_timeout": "0.2"})
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(gateway))
    writer.write(HELLO)
    assert await asyncio.wait_for(reader.read(), 20) == b""
    await eventually(lambda: connections(gateway) == 0)
    writer.close()


async def test_what_is_no_tls_is_refused_without_a_word_in_the_log(
    start_gateway: StartGateway, certificate: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await start_gateway(certificate)
    caplog.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(gateway))
    writer.write(HEALTH)
    with contextlib.suppress(ConnectionError):
        await asyncio.wait_for(reader.read(), 20)
    await eventually(lambda: connections(gateway) == 0)
    writer.close()
    assert [record for record in caplog.records if record.levelno > 20] == []


async def test_handshakes_end_with_the_gateway(start_gateway: StartGateway, certificate: dict[str, str]) -> None:
    gateway = await start_gateway(certificate)
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(gateway))
    await eventually(lambda: connections(gateway) == 1)
    await asyncio.wait_for(gateway.stop(), 5)
    assert await asyncio.wait_for(reader.read(), 20) == b""
    writer.close()


@asynccontextmanager
async def aloof(gateway: Gateway, certificate: dict[str, str], request: bytes) -> AsyncIterator[None]:
    """A client that has been answered and does not listen any more: it neither hears nor tells of an end."""
    _, writer = await answered(gateway, certificate, request)
    assert connections(gateway) <= 1
    yield
    await ended(writer)


async def test_the_end_of_a_connection_does_not_wait_for_the_client(
    start_gateway: StartGateway, certificate: dict[str, str]
) -> None:
    """Neither after the last answer, nor of an idle one when the gateway ends."""
    gateway = await start_gateway(certificate | {"server.shutdown_grace": "20"})
    async with aloof(gateway, certificate, HEALTH):
        async with asyncio.timeout(10):
            await eventually(lambda: connections(gateway) == 0)
    async with aloof(gateway, certificate, HEALTH.replace(b"Connection: close\r\n", b"")):
        assert connections(gateway) == 1
        await asyncio.wait_for(gateway.stop(), 10)


async def test_a_body_that_breaks_off_ends_the_connection_without_waiting_for_the_client(
    start_gateway: StartGateway, certificate: dict[str, str], faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | certificate | {"storage.max_attempts": "1"})
    faulty.then(faults.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok"), times=50)
    async with aloof(gateway, certificate, b"GET /k HTTP/1.1\r\nHost: x\r\n\r\n"):
        async with asyncio.timeout(10):
            await eventually(lambda: connections(gateway) == 0)


async def test_connections_take_little_memory_before_they_have_said_anything(
    start_gateway: StartGateway, certificate: dict[str, str]
) -> None:
    gateway = await start_gateway(certificate)
    count = 40
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        silent = [await asyncio.open_connection("127.0.0.1", port_of(gateway)) for _ in range(count)]
        for _, writer in silent:
            writer.write(HELLO)
        await eventually(lambda: connections(gateway) == count)
        assert (tracemalloc.get_traced_memory()[0] - before) / count < 150_000
    finally:
        tracemalloc.stop()
    for _, writer in silent:
        await ended(writer)


async def test_what_comes_behind_a_request_waits_in_little_memory_and_is_answered(
    start_gateway: StartGateway, certificate: dict[str, str], faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects["k"] = b"content"
    gateway = await start_gateway(faulty_settings | certificate)
    answering = asyncio.Event()

    async def late(answer: faults.Answer) -> None:
        await answering.wait()
        await faults.healthy(answer)

    faulty.then(late, times=9)
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(gateway), ssl=client_context(certificate))
    request, count = b"GET /health HTTP/1.1\r\nHost: x\r\nA: %s\r\n\r\n" % (b"a" * 6000), 300
    writer.write(b"GET /k HTTP/1.1\r\nHost: x\r\n\r\n")
    await faulty.until(lambda: any(one.target.endswith("/k") for one in faulty.requests))
    writer.write(request * count + HEALTH)  # at once: in records of the largest size
    assert gateway._main is not None
    (connection,) = gateway._main.server.admission.connections
    transport: Any = connection._transport  # type: ignore[attr-defined]
    most: int = 0

    def waits() -> int:
        nonlocal most
        most = max(most, transport.get_read_buffer_size())
        return most

    await eventually(lambda: waits() >= 64 * 1024)
    for _ in range(200):
        await asyncio.sleep(0)
        waits()
    assert most < 128 * 1024
    answering.set()
    answer = await asyncio.wait_for(reader.read(), 20)
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == count + 2
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()


async def test_tls_to_a_port_without_it_is_told_in_the_log(
    start_gateway: StartGateway, capfd: pytest.CaptureFixture[str]
) -> None:
    gateway = await start_gateway({"log.access": "true"})
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(gateway))
    writer.write(HELLO)
    assert b" 400 Bad Request\r\n" in await reader.read()
    writer.close()
    await writer.wait_closed()
    STDOUT.flush()
    assert 'error="TLS on a port without TLS: use http://, or set server.tls_cert' in capfd.readouterr().out
