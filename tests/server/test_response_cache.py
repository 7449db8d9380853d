"""Requests that come again byte for byte: the reply is the same, and nothing else is ever taken for one of them."""

import asyncio
import base64
import contextlib
import gc
import json
import re
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from gateway.app import Gateway
from gateway.messages import RequestRecord
from gateway.ops.output import STDOUT
from gateway.server.client_address import UNIX_SOCKET
from gateway.server.reply import Reply
from gateway.server.response_cache import ResponseCache
from tests.conftest import StartGateway
from tests.support.faults import FaultyBucket, etag_of

BODY = b"0123456789" * 100
EXCHANGE = RequestRecord("id", "GET", "/", "127.0.0.1", "agent", 100.0)


@pytest.fixture
async def gateway(start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]) -> Gateway:
    faulty.objects = {"a.txt": BODY, "b.txt": b"other", "p/p-1.0.tar.gz": b"x"}
    return await start_gateway(faulty_settings | {"cache.memory_bytes": "1000000"})


class Client:
    """One connection, on which requests are sent as bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
            return (
                int(head.split(" ")[1]),
                headers,
                await self.reader.readexactly(int(headers.get("content-length", 0))),
            )

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        self.writer.write(request)
        return await self.answer()


Connect = Callable[[Gateway], Awaitable[Client]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    writers: list[asyncio.StreamWriter] = []

    async def connect(gateway: Gateway) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
        writers.append(writer)
        return Client(reader, writer)

    yield connect
    for writer in writers:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def get(target: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: h", *headers, "", ""]).encode()


def spied(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The requests that were answered again without being looked at."""
    hits: list[bytes] = []
    hot = gateway.response_cache
    assert hot is not None
    wrapped = hot.get

    def spy(request: bytes) -> object:
        found = wrapped(request)
        if found is not None:
            hits.append(request)
        return found

    monkeypatch.setattr(hot, "get", spy)
    return hits


async def test_a_redirect_is_given_again(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faulty.objects = {"a.txt": BODY}
    gateway = await start_gateway(faulty_settings | {"storage.redirect_urls": "true", "cache.memory_bytes": "10000000"})
    hits = spied(gateway, monkeypatch)
    client = await connect(gateway)
    first, second = [await client.ask(get("/a.txt")) for _ in range(2)]
    assert hits == [get("/a.txt")]
    assert (first[0], first[2]) == (302, b"")
    assert (second[0], second[1]["location"]) == (302, first[1]["location"])
    gateway.refresh()
    assert (await client.ask(get("/a.txt")))[0] == 302
    assert len(hits) == 1


@pytest.mark.parametrize("header", ["X-Request-ID: r1", "Upgrade: h2c", "Expect: 100-continue"])
async def test_a_request_that_wants_more_than_a_reply_is_not_answered_from_the_cache(
    gateway: Gateway, connect: Connect, header: str
) -> None:
    client = await connect(gateway)
    await client.ask(get("/a.txt"))
    await client.ask(get("/a.txt", "X-Plain: yes"))
    cache = gateway.response_cache
    assert cache is not None
    assert cache.get(get("/a.txt", "X-Plain: yes")) is not None, "an unknown header keeps no reply out"
    client.writer.write(get("/a.txt", header))
    status, _, body = await client.answer()
    if status == 100:
        status, _, body = await client.answer()
    assert (status, body) == (200, BODY)
    assert cache.get(get("/a.txt", header)) is None


@pytest.mark.parametrize(
    "request_bytes",
    [
        get("/a.txt"),
        get("/a.txt", "Range: bytes=5-9"),
        get("/a.txt", f"If-None-Match: {etag_of(BODY)}"),
        get("/simple/p/", "Accept: application/vnd.pypi.simple.v1+json"),
        get("/", "Accept: text/html,application/xhtml+xml"),
    ],
)
async def test_the_same_request_gets_the_same_reply(
    gateway: Gateway, connect: Connect, monkeypatch: pytest.MonkeyPatch, request_bytes: bytes
) -> None:
    client = await connect(gateway)
    await client.ask(get("/a.txt"))
    await client.ask(request_bytes)
    await gateway.mount.metadata.settled()
    gateway.refresh()
    hits = spied(gateway, monkeypatch)
    status, headers, body = await client.ask(request_bytes)
    others = [await client.ask(request_bytes) for _ in range(3)] + [await (await connect(gateway)).ask(request_bytes)]
    assert len(hits) == 4
    ids = {headers.pop("x-request-id")}
    headers.pop("date")
    for other_status, other_headers, other_body in others:
        ids.add(other_headers.pop("x-request-id"))
        other_headers.pop("date")
        assert (other_status, other_headers, other_body) == (status, headers, body)
    assert len(ids) == 5, "each has its own"
    assert (await client.ask(get("/b.txt")))[2] == b"other", "the connection goes on"


@pytest.mark.parametrize(
    "request_bytes",
    [
        get("/a.txt", "Content-Length: 0"),
        get("/a.txt", "X-Request-ID: mine"),
        get("/a.txt", "Connection: close"),
        get("/absent.txt"),
        get("/health"),
        get("/a.txt").replace(b"HTTP/1.1", b"HTTP/1.0"),
        get("/a.txt").replace(b"GET", b"HEAD"),
    ],
)
async def test_what_is_not_for_it_is_looked_at_each_time(
    gateway: Gateway, connect: Connect, monkeypatch: pytest.MonkeyPatch, request_bytes: bytes
) -> None:
    hits = spied(gateway, monkeypatch)
    for _ in range(3):
        client = await connect(gateway)
        client.writer.write(request_bytes)
        assert await client.reader.read(1)
        client.writer.close()
    assert (hits == []) or request_bytes == get("/a.txt", "Content-Length: 0")


async def test_pieces_and_pipelines_are_read_as_ever(gateway: Gateway, connect: Connect) -> None:
    client = await connect(gateway)
    await client.ask(get("/a.txt"))
    client.writer.write(get("/a.txt") + get("/b.txt") + get("/a.txt"))
    assert [(await client.answer())[2] for _ in range(3)] == [BODY, b"other", BODY]
    half = get("/a.txt")
    client.writer.write(b"GET /b.txt HTTP/1.1\r\nX-Rest: ")
    await asyncio.sleep(0)
    client.writer.write(half)
    assert (await client.answer())[2] == b"other", "the rest of a head is no request of its own"


async def test_what_a_trusted_proxy_says_is_not_taken_from_others(
    start_gateway: StartGateway, connect: Connect, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    """The same bytes, from a peer that is believed (a Unix socket) and from one that is not."""
    faulty.objects = {"p/p-1.0.tar.gz": b"x", "p/p-1.0.tar.gz.provenance": b"{}"}
    settings = faulty_settings | {"cache.memory_bytes": "1000000"}
    gateway = await start_gateway(settings)
    request = get("/p/", "X-Forwarded-Proto: https", "Accept: application/vnd.pypi.simple.v1+json")
    client = await connect(gateway)
    await client.ask(request)
    await gateway.mount.metadata.settled()
    body = (await client.ask(request))[2]
    assert b'"http://h/p/' in body
    assert gateway._main is not None
    lookup = gateway._main.server.lookup
    peers = ("127.0.0.1", "127.0.0.2", UNIX_SOCKET)
    assert [lookup(request, peer) is not None for peer in peers] == [True, True, False]


async def test_it_lasts_a_second_or_until_refresh(
    gateway: Gateway, connect: Connect, faulty: FaultyBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    hits = spied(gateway, monkeypatch)
    client = await connect(gateway)
    for _ in range(2):
        await client.ask(get("/a.txt"))
    assert len(hits) == 1
    faulty.objects["a.txt"] = b"new"
    gateway.refresh()
    assert (await client.ask(get("/a.txt")))[2] == b"new"


def test_replies_are_kept_no_longer_than_they_are_fresh_nor_than_a_second() -> None:
    now = 100.0
    hot = ResponseCache(1_000_000, lambda: now)

    def reply(fresh_for: float, body: bytes | None = b"x", status: int = 200) -> Reply:
        return Reply(status, {"A": "b", "X-Request-ID": "id"}, body, fresh_for=fresh_for)

    for request, made in [
        (b"no", reply(0)),
        (b"streamed", reply(9, None)),
        (b"error", reply(9, status=404)),
        (b"huge", reply(9, bytes(300_000))),
        (b"x" * 5000, reply(9)),
    ]:
        hot.keep(request, made, EXCHANGE)
        assert hot.get(request) is None
    hot.keep(b"short", reply(0.5), EXCHANGE)
    hot.keep(b"long", reply(60), EXCHANGE)
    found = hot.get(b"long")
    assert found is not None
    wire = found.wire("the-id")
    assert re.fullmatch(
        rb"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 1\r\nDate: [^\r]+\r\nX-Request-ID: the-id\r\n\r\nx", wire
    )
    now += 0.6
    assert hot.get(b"short") is None
    assert hot.get(b"long") is not None
    now += 0.6
    assert hot.get(b"long") is None


async def test_hits_are_logged_and_counted_like_any_request(
    start_gateway: StartGateway,
    connect: Connect,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    faulty.objects = {"a.txt": BODY}
    settings = {"cache.memory_bytes": "1000000", "log.access": "true", "log.format": "json"}
    gateway = await start_gateway(faulty_settings | settings | {"server.trusted_proxies": "127.0.0.1"})
    client = await connect(gateway)
    request = get("/a.txt?signature=secret", "User-Agent: pip/1", "X-Forwarded-For: 192.0.2.7")
    for _ in range(3):
        _, headers, _ = await client.ask(request)
    STDOUT.flush(20)
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
    assert len(lines) == 3
    assert lines[-1]["request_id"] == headers["x-request-id"]
    assert [line["cache"] for line in lines] == ["", "memory", "memory"]
    for line in lines:
        line.update(time="", duration_ms=0, ttfb_ms=0, request_id="", upstream_status=None, cache="")
        for cost in ("key", "attempts", "upstream_ms", "stale"):
            line.pop(cost, None)
    assert lines[0] == lines[2]
    assert (lines[2]["client"], lines[2]["bytes"], lines[2]["path"]) == ("192.0.2.7", len(BODY), "/a.txt")
    metrics = gateway.metrics.render().decode()
    assert 'gateway_requests_total{method="GET",mount="default",route="object",status="200"} 3.0' in metrics
    assert f'gateway_response_body_bytes_total{{mount="default"}} {3 * len(BODY)}' in metrics.replace(".0", "")


async def test_a_hit_is_logged_with_the_address_of_its_own_client(
    start_gateway: StartGateway,
    connect: Connect,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    faulty.objects = {"a.txt": BODY}
    settings = {"cache.memory_bytes": "1000000", "log.access": "true", "log.format": "json"}
    gateway = await start_gateway(faulty_settings | settings | {"server.trusted_proxies": "127.0.0.8/30"})
    request = get("/a.txt", "X-Forwarded-For: 192.0.2.7, 127.0.0.9")
    await (await connect(gateway)).ask(request)
    assert gateway._main is not None
    assert gateway._main.server.lookup(request, "127.0.0.2") is not None
    STDOUT.flush(20)
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
    assert [line["client"] for line in lines] == ["127.0.0.1", "127.0.0.2"]


ACCESS = {
    "access.authenticators": "tests.support.people:People",
    "access.rules": "[{projects: p, read: [user:alice], only: true}]",
    "cache.memory_bytes": "1000000",
    "log.format": "json",
    "log.audit": "true",
}


async def test_a_request_without_credentials_is_refused_again_and_counted_each_time(
    start_gateway: StartGateway,
    connect: Connect,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    faulty.objects = {"p/p-1.0.tar.gz": BODY}
    gateway = await start_gateway(faulty_settings | ACCESS | {"log.access": "true"})
    hits, client = spied(gateway, monkeypatch), await connect(gateway)
    request = get("/p/p-1.0.tar.gz")
    answers = [await client.ask(request) for _ in range(3)]
    assert hits == [request] * 2
    assert {(status, body) for status, _, body in answers} == {
        (401, b"401 Credentials are needed here: a user and a password, or a token\n")
    }
    assert {headers["www-authenticate"] for _, headers, _ in answers} == {'basic realm="packages", charset="utf-8"'}
    assert {headers["cache-control"] for _, headers, _ in answers} == {"no-store"}
    STDOUT.flush(20)
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
    assert [line["error"] for line in lines if "log" not in line] == [
        "access.rules[1] does not grant read to the anonymous"
    ] * 3
    audit = [line for line in lines if line.get("log") == "audit"]
    assert [line["request_id"] for line in audit] == [headers["x-request-id"] for _, headers, _ in answers]
    assert {(line["allowed"], line["status"]) for line in audit} == {("no", 401)}
    told = gateway.metrics.render().decode()
    assert 'gateway_auth_total{method="anonymous",result="denied"} 3.0' in told
    assert 'gateway_cache_hits_total{mount="default",source="memory"} 0.0' in told, "no object was answered with"


async def test_what_depends_on_a_credential_is_refused_anew_each_time(
    start_gateway: StartGateway,
    connect: Connect,
    faulty_settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = await start_gateway(faulty_settings | ACCESS)
    hits, client = spied(gateway, monkeypatch), await connect(gateway)
    for user, status in (("alice:wrong", 401), ("bob:pw-bob", 403)):
        request = get("/p/p-1.0.tar.gz", f"Authorization: Basic {base64.b64encode(user.encode()).decode()}")
        answers = [await client.ask(request) for _ in range(2)]
        assert [got[0] for got in answers] == [status] * 2
        assert b"request id: " in answers[0][2]
    assert hits == []


def test_refusals_evict_no_replies() -> None:
    hot = ResponseCache(100_000, lambda: 100.5)
    hot.keep(b"reply", Reply(200, {}, b"x", fresh_for=9), EXCHANGE)
    for number in range(1000):
        hot.keep(b"%d" % number, Reply(401, {}, b"x", fresh_for=9), EXCHANGE)
    assert hot.get(b"reply") is not None
    assert hot.get(b"999") is not None
    assert hot.get(b"0") is None, "there is an end to them"
    hot.clear()
    assert hot.get(b"999") is None


def test_a_reply_is_no_younger_for_a_client_that_is_slow_to_take_it() -> None:
    now = 100.4
    hot = ResponseCache(1_000_000, lambda: now)
    hot.keep(b"slow", Reply(200, {}, b"x", fresh_for=9), EXCHANGE)
    now = 100.9
    assert hot.get(b"slow") is not None
    now = 101.1
    assert hot.get(b"slow") is None
    hot.keep(b"very slow", Reply(200, {}, b"x", fresh_for=9), EXCHANGE)
    now = 100.5
    assert hot.get(b"very slow") is None


def test_what_was_asked_for_before_a_refresh_is_not_kept_after_it() -> None:
    now = 100.0
    hot = ResponseCache(1_000_000, lambda: now)
    hot.clear()
    hot.keep(b"old", Reply(200, {}, b"x", fresh_for=9), EXCHANGE)
    assert hot.get(b"old") is None
    hot.keep(b"new", Reply(200, {}, b"x", fresh_for=9), replace(EXCHANGE, started=100.1))
    assert hot.get(b"new") is not None


def test_a_reply_weighs_what_it_takes() -> None:
    """A head of 4 KB is held as it came, and once more as the texts for the log."""
    hot = ResponseCache(10_000_000, clock=lambda: 100.5)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(300):
            request = get(f"/{number}" + "x" * 1500, "User-Agent: " + "y" * 1500 + str(number), "X-Forwarded-For: 1")
            target, agent = request[4:1504].decode(), request[1600:3100].decode()
            exchange = replace(EXCHANGE, target=target, key=target[1:], agent=agent, forwarded_for=(f"{number}",))
            hot.keep(request, Reply(304, {"ETag": f'"{number}"'}, b"", fresh_for=60), exchange)
        del request, target, agent, exchange
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(hot._replies) == 300
    assert 0.8 * taken <= hot._replies.used <= 1.5 * taken
