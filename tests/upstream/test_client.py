"""Connections to the bucket: kept, dropped, timed, encrypted."""

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import UpstreamError, UpstreamTimeoutError, UpstreamUnavailableError
from gateway.upstream import client as upstream_client
from gateway.upstream.client import Client, UpstreamResponse
from gateway.upstream.connector import Connector
from tests.support import faults
from tests.support.certificates import self_signed
from tests.support.faults import FaultyBucket


def make(**changes: object) -> Client:
    options = {"connect_timeout": 5.0, "read_timeout": 5.0} | changes
    most = options.pop("max_connections", 10)
    return Client(Connector(**options), max_connections=most)  # type: ignore[arg-type]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    client = make()
    yield client
    await client.close()


async def send(client: Client, faulty: FaultyBucket, key: str = "k", method: str = "GET") -> UpstreamResponse:
    return await client.send(method, "http", f"127.0.0.1:{faulty.port}", f"/{faults.BUCKET}/{key}", {})


async def whole(upstream: UpstreamResponse) -> bytes:
    return b"".join([chunk async for chunk in upstream.body(await upstream.read())])


async def test_a_connection_is_kept_once_its_body_is_read(client: Client, faulty: FaultyBucket) -> None:
    faulty.objects["k"] = b"content"
    for _ in range(3):
        assert await whole(await send(client, faulty)) == b"content"
    assert {request.connection for request in faulty.requests} == {1}


async def test_connections_to_many_hosts_are_not_all_kept(client: Client, faulty: FaultyBucket) -> None:
    faulty.objects["k"] = b"content"
    spellings = itertools.islice(itertools.product(*zip("localhost", "LOCALHOST", strict=True)), 40)
    hosts = [f"{''.join(letters)}:{faulty.port}" for letters in spellings]
    for host in hosts:
        assert await whole(await client.send("GET", "http", host, f"/{faults.BUCKET}/k", {})) == b"content"
    await faulty.until(lambda: faulty.open_connections == 32)
    await whole(await client.send("GET", "http", hosts[-32], f"/{faults.BUCKET}/k", {}))
    assert faulty.requests[-1].connection == 9, "the last used are kept"


async def test_a_connection_that_was_being_made_at_the_end_is_not_kept(client: Client, faulty: FaultyBucket) -> None:
    faulty.objects["k"] = b"content"
    await whole(await send(client, faulty))
    host, target = f"127.0.0.1:{faulty.port}", f"/{faults.BUCKET}/k"
    late = asyncio.create_task(client.send("GET", "http", host, target, {}, anew=True))
    await asyncio.sleep(0)
    assert client.stats()["connections_busy"] == 0, "it is being made"
    await client.close()
    assert await whole(await late) == b"content"
    await faulty.until(lambda: faulty.open_connections == 0)


async def test_connections_that_nobody_uses_are_closed(
    client: Client, faulty: FaultyBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream_client, "_IDLE_SECONDS", 0.05)
    faulty.objects["k"] = b"content"
    hosts = [f"127.0.0.1:{faulty.port}", f"localhost:{faulty.port}"]
    for _ in range(2):  # the timer comes back
        answers = [await client.send("GET", "http", host, f"/{faults.BUCKET}/k", {}) for host in hosts * 2]
        assert faulty.open_connections == 4
        for answer in answers:
            await whole(answer)
        assert client.stats()["connections_idle"] == 4
        await faulty.until(lambda: faulty.open_connections == 0)
        assert client.stats()["connections_idle"] == 0
        assert client._idle == {}
    assert client._closing is None


async def test_a_connection_that_is_used_again_is_not_closed(
    client: Client, faulty: FaultyBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty.objects["k"] = b"content"
    await whole(await send(client, faulty))
    assert client._closing is not None
    client._closing.cancel()
    client._close_idle()
    assert client.stats()["connections_idle"] == 1, "it is not due"
    assert client._closing is not None, "it comes back"
    assert await whole(await send(client, faulty)) == b"content"
    assert {request.connection for request in faulty.requests} == {1}


async def test_a_connection_with_an_unread_body_is_closed(client: Client, faulty: FaultyBucket) -> None:
    faulty.objects["k"] = bytes(10_000_000)
    upstream = await send(client, faulty)
    upstream.close()
    upstream.close()
    await faulty.until(lambda: faulty.open_connections == 0)
    await whole(await send(client, faulty))
    assert [request.connection for request in faulty.requests] == [1, 2]


async def test_a_kept_connection_that_the_bucket_closed_costs_no_error(client: Client, faulty: FaultyBucket) -> None:
    faulty.objects["k"] = b"content"
    first, second = await send(client, faulty), await send(client, faulty)
    assert [await whole(first), await whole(second)] == [b"content", b"content"]
    faulty.then(faults.close, faults.reset)
    assert await whole(await send(client, faulty)) == b"content"
    assert [request.connection for request in faulty.requests] == [1, 2, 2, 1, 3]


async def test_a_kept_connection_that_breaks_within_an_answer_is_an_error(client: Client, faulty: FaultyBucket) -> None:
    faulty.objects["k"] = b"content"
    await whole(await send(client, faulty))
    faulty.then(faults.raw(b"HTTP/1.1 200 OK\r\nConte"))
    with pytest.raises(UpstreamError, match="ended early"):
        await send(client, faulty)
    assert [request.connection for request in faulty.requests] == [1, 1]
    assert client.stats() == {
        "connections_busy": 0,
        "connections_idle": 0,
        "connections_free": 10,
        "connections_max": 10,
        "requests_waiting": 0,
        "retries_total": 0,
    }


async def test_a_request_that_asks_for_a_new_connection_has_one(client: Client, faulty: FaultyBucket) -> None:
    faulty.objects["k"] = b"content"
    host, target = f"127.0.0.1:{faulty.port}", f"/{faults.BUCKET}/k"
    for anew in (False, False, True):
        assert await whole(await client.send("GET", "http", host, target, {}, anew=anew)) == b"content"
    assert [request.connection for request in faulty.requests] == [1, 1, 2]
    assert client.stats()["connections_idle"] == 1, "it replaces another one"
    await faulty.until(lambda: faulty.open_connections == 1)


async def test_a_new_connection_that_breaks_is_an_error(client: Client, faulty: FaultyBucket) -> None:
    faulty.then(faults.close)
    with pytest.raises(UpstreamError, match="ended early"):
        await send(client, faulty)
    assert len(faulty.requests) == 1


async def test_a_bucket_that_speaks_out_of_turn_is_not_listened_to(client: Client, faulty: FaultyBucket) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"

    async def twice(to: faults.Answer) -> None:
        await to.write(answer + b"ok")
        await to.write(answer + b"no")

    faulty.then(twice)
    with contextlib.suppress(UpstreamError):  # if both come at once: it can't be told which one is meant
        assert await whole(await send(client, faulty)) == b"ok"
    faulty.objects["k"] = b"content"
    await faulty.until(lambda: faulty.open_connections == 0)
    assert await whole(await send(client, faulty)) == b"content"


async def test_no_more_connections_than_allowed(faulty: FaultyBucket) -> None:
    faulty.objects["k"] = b"content"
    client = make(max_connections=2)
    held = [await send(client, faulty) for _ in range(2)]
    waiting = asyncio.ensure_future(send(client, faulty))
    await asyncio.wait([waiting], timeout=0.05)
    assert not waiting.done()
    held[0].close()
    assert await whole(await waiting) == b"content"
    for _ in range(5):  # and those that fail give their places back
        with pytest.raises(UpstreamError):
            await client.send("GET", "http", "127.0.0.1:1", "/", {})
    held[1].close()
    await client.close()


async def test_a_connection_is_not_waited_for_without_end(faulty: FaultyBucket) -> None:
    client = make(max_connections=1, connect_timeout=0.05)
    faulty.then(faults.stall)
    held = asyncio.ensure_future(send(client, faulty))
    await faulty.until(lambda: len(faulty.requests) == 1)
    with pytest.raises(
        UpstreamUnavailableError, match=r"all 1 connections are in use \(storage\.max_pool_connections\)"
    ):
        await send(client, faulty)
    held.cancel()
    await asyncio.gather(held, return_exceptions=True)
    (await send(client, faulty)).close()
    await client.close()


async def test_times_are_kept(faulty: FaultyBucket) -> None:
    client = make(read_timeout=0.1, connect_timeout=0.1)
    faulty.then(faults.stall, faults.stall_in_body(10, length=20))
    with pytest.raises(UpstreamTimeoutError, match=r"sent nothing for 0\.1 s"):
        await send(client, faulty)
    upstream = await send(client, faulty)
    assert await upstream.read() == b"x" * 10
    with pytest.raises(UpstreamTimeoutError):
        await upstream.read()
    with pytest.raises(UpstreamTimeoutError, match="can't connect"):
        await _connect_to_silence(client)
    await client.close()


async def test_a_head_that_comes_byte_by_byte_has_no_more_time_than_another(faulty: FaultyBucket) -> None:
    async def drip(answer: faults.Answer) -> None:
        await answer.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
        while True:
            await answer.write(b"x")
            await asyncio.sleep(0)

    client = make(read_timeout=0.1, connect_timeout=5)
    faulty.then(drip)
    with pytest.raises(UpstreamTimeoutError, match=r"sent no whole head for 0\.1 s"):
        await send(client, faulty)
    await client.close()


async def _read_to_the_end(upstream: UpstreamResponse) -> None:
    while await upstream.read():
        pass


async def test_a_body_that_drips_counts_as_silent(faulty: FaultyBucket) -> None:
    async def drip(answer: faults.Answer) -> None:
        await answer.send(200, [("Content-Length", "1000000")], b"x" * 48)
        while True:
            await answer.write(b"x")
            await asyncio.sleep(0.01)

    client = make(read_timeout=0.3, connect_timeout=5)
    faulty.then(drip)
    upstream = await send(client, faulty)
    with pytest.raises(UpstreamTimeoutError, match=r"sent no more than \d+ bytes for 0\.3 s"):
        await asyncio.wait_for(_read_to_the_end(upstream), 10)
    upstream.close()
    await client.close()


async def test_the_time_that_a_reader_is_away_is_not_the_buckets(faulty: FaultyBucket) -> None:
    away = asyncio.Event()

    async def drip(answer: faults.Answer) -> None:
        await answer.send(200, [("Content-Length", "2")], b"x")
        await away.wait()
        await asyncio.sleep(0.1)
        await answer.write(b"y")

    client = make(read_timeout=0.3, connect_timeout=5)
    faulty.then(drip)
    upstream = await send(client, faulty)
    assert await upstream.read() == b"x"
    await asyncio.sleep(0.4)  # what is slow here is the client
    away.set()
    assert await upstream.read() == b"y"
    await client.close()


async def _connect_to_silence(client: Client) -> None:
    """A server whose queue is full: connecting to it hangs."""
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        try:
            await client.send("GET", "http", f"127.0.0.1:{port}", "/", {})
        finally:
            for filler in fillers:
                filler.close()


async def test_a_name_that_does_not_resolve_is_an_error(client: Client) -> None:
    with pytest.raises(UpstreamError, match="can't connect"):
        await client.send("GET", "http", "no-such-host.invalid", "/", {})


async def test_line_breaks_never_reach_the_wire(client: Client, faulty: FaultyBucket) -> None:
    for target, headers in [("/a\r\nX: y", {}), ("/a", {"range": "bytes=0-1\r\nX: y"}), ("/a", {"range\n": "x"})]:
        with pytest.raises(UpstreamError, match="line break"):
            await client.send("GET", "http", f"127.0.0.1:{faulty.port}", target, headers)
    assert faulty.requests == []


@pytest.mark.parametrize(("verify", "trusted"), [(True, False), (False, True), ("bundle", True)])
async def test_the_certificate_is_checked(tmp_path: Path, verify: bool | str, trusted: bool) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    client = make(verify=certificate if verify == "bundle" else verify)
    host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    if trusted:
        assert await whole(await client.send("GET", "https", host, "/", {})) == bytes(1_000_000)
    else:
        with pytest.raises(UpstreamError, match="TLS") as refused:
            await client.send("GET", "https", host, "/", {})
        assert refused.value.code == "TLS"
    await client.close()
    server.close()
