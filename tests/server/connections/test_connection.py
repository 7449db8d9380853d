"""What arrives, in any pieces, is answered request by request: with hot replies the same bytes as without."""

import asyncio
import errno
import itertools
import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gateway.app import Gateway
from gateway.config.load import load
from gateway.server.connections.admission import Admission
from gateway.server.connections.connection import Connection, Lookup
from gateway.server.response_cache import ResponseCache
from gateway.server.server import Server
from tests.support.eventually import eventually
from tests.support.faults import BUCKET, FaultyBucket, etag_of
from tests.support.wire import Wire

CHUNKED = b"POST /p/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
HEAD_LIMIT = 64 + 1000 + 2000


def ask(target: str, *headers: str, method: str = "GET", version: str = "HTTP/1.1") -> bytes:
    lines = [f"{method} {target} {version}", "Host: h", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


BODY = b"0123456789" * 20
HOT = [
    ask("/a.txt"),
    ask("/b.txt"),
    ask("/a.txt", "Range: bytes=5-9"),
    ask("/a.txt", f"If-None-Match: {etag_of(BODY)}"),
]
COLD = [
    ask("/p/"),
    ask("/p/", "Accept: text/html"),
    ask("/absent"),
    ask("/health"),
    ask("/a.txt", method="HEAD"),
    ask("/a.txt", "X-Request-ID: mine"),
    ask("/p/", "Content-Length: 0"),
    ask("/p/", method="DELETE"),
    ask("/p/", "Connection: keep-alive", version="HTTP/1.0"),
    b"\r\n" + HOT[0],
]
LAST = [
    ask("/p/", "Connection: close"),
    ask("/p/", version="HTTP/1.0"),
    ask("/p/", "Connection: Upgrade", "Upgrade: h2c"),
    ask("/p/", "Connection: Upgrade", "Upgrade: websocket"),
    ask("/p/", "no colon"),
    ask("/p/", "Folded: a", " b"),
    b"GET /p/ HTTP/1.1\r\nHost: h\n\n" + HOT[0],
    b"\x16\x03\x01\x02\x00" + HOT[0],
    ask("h:443", method="CONNECT"),
]
BODIES = [b"", b"x", HOT[0], HOT[1] * 3, b"x" * 5000]


def with_body(method: str, body: bytes, *, chunked: bool, expect: bool) -> bytes:
    headers = ["Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body) + 1}"]
    content = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked and body else body + b"."
    return ask("/p/", *headers, *["Expect: 100-continue"] * expect, method=method) + content


ENDS = st.sampled_from(LAST) | st.builds(
    with_body,
    st.sampled_from(["GET", "PUT", "HEAD"]),
    st.sampled_from(BODIES),
    chunked=st.booleans(),
    expect=st.booleans(),
)
GOES_ON = st.sampled_from(HOT) | st.sampled_from(HOT + COLD)


class Edge:
    """A gateway in front of a directory, whose connections have hot replies or have not."""

    def __init__(self, gateway: Gateway, run: Callable[..., object]) -> None:
        assert gateway._main is not None
        self.gateway = gateway
        self.run = run
        self.server = gateway._main.server
        self.hits = 0
        self._known: dict[bytes, bytes] = {}

    def lookup(self, head: bytes, peer: str) -> bytes | None:
        reply = self.server.lookup(head, peer)
        self.hits += reply is not None
        return reply

    def wire(self, *, fast: bool = True, admission: Admission | None = None) -> Wire:
        lookup: Lookup = self.lookup if fast else lambda head, peer: None
        server = self.server
        own = server.admission if admission is None else admission
        handler = server._http.request_handler
        assert handler is not None
        other = Server(handler, server._refuse, server.limits, own, lookup)  # type: ignore[arg-type]
        return Wire(other.connection()).start()

    async def converse(self, segments: Sequence[tuple[bytes, int]], *, fast: bool, half_close: bool = False) -> bytes:
        """All that comes back; each segment arrives, then the loop turns so often."""
        wire = self.wire(fast=fast)
        for data, turns in segments:
            wire.arrive(data)
            for _ in range(turns):
                await asyncio.sleep(0)
        if half_close:
            wire.end()
        return normal(await wire.until_lost())

    async def one(self, request: bytes) -> bytes:
        """The answer to one request, alone."""
        if request not in self._known:
            wire = self.wire(fast=False)
            wire.arrive(request)
            await eventually(lambda: complete(wire.sent, request) or wire.lost.is_set())
            wire.end()
            await wire.until_lost()
            self._known[request] = normal(wire.sent)
        return self._known[request]

    async def heat(self) -> None:
        for request in HOT * 2:
            wire = self.wire()
            wire.arrive(request)
            await eventually(lambda: complete(wire.sent, request))  # noqa: B023
            wire.end()
            assert normal(await wire.until_lost()) == await self.one(request)
        assert all(self.server.lookup(request, "192.0.2.9") for request in HOT)


def complete(answer: bytes, request: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    return bool(end) and (request.startswith(b"HEAD") or length is None or len(body) == int(length[1]))


def normal(answers: bytes) -> bytes:
    """But for ids, dates and ages, and where an answer comes from."""
    answers = re.sub(rb"(X-Request-ID|Date|Age|Cache-Status): [^\r]*\r\n", b"", answers)
    return re.sub(rb'request id: [^\n]*\n|"request_id": "[^"]*"', b"", answers)


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    directory = tmp_path_factory.mktemp("edge")
    bucket = FaultyBucket()
    bucket.objects = {"a.txt": BODY, "b.txt": b"other", "p/p-1.0.tar.gz": b"x"}
    settings = {
        "storage.bucket": BUCKET,
        "storage.addressing_style": "path",
        "storage.region_name": "us-east-1",
        "storage.aws_access_key_id": "AKIDFAULTY",
        "storage.aws_secret_access_key": "the-secret-of-faulty",
        "index.compute_hashes": "false",
        "log.access": "false",
        "server.port": "0",
        "server.max_target_bytes": "1000",
        "server.max_header_bytes": "2000",
    }

    async def start(running: AsyncExitStack) -> Gateway:
        await running.enter_async_context(bucket.running())
        gateway = Gateway(load({"storage.endpoint_url": bucket.url} | settings, environ={}, cwd=directory))
        gateway._graph.main._response_cache = ResponseCache(1_000_000, lambda: 0.0)  # they stay
        await gateway.start()
        running.push_async_callback(gateway.stop)
        return gateway

    with asyncio.Runner() as runner:
        running = AsyncExitStack()
        edge = Edge(runner.run(start(running)), runner.run)
        runner.run(edge.heat())
        yield edge
        runner.run(running.aclose())


def cut(data: bytes, places: list[int], turns: list[int]) -> list[tuple[bytes, int]]:
    edges = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    pieces = [data[start:stop] for start, stop in itertools.pairwise(edges)]
    return list(zip(pieces, itertools.cycle(turns), strict=False))


def test_random_conversations_are_the_same_with_hot_replies_as_without(edge: Edge) -> None:
    """And each answer is the one that its request gets alone; past the last one nothing is answered."""
    before = edge.hits

    @hypothesis_settings(max_examples=150)
    @given(
        st.lists(GOES_ON, max_size=6),
        st.none() | ENDS,
        st.lists(st.integers(0, 5000), max_size=6),
        st.booleans(),
        st.lists(st.sampled_from([0, 1, 2, 3, 4, 6, 9, 40]), min_size=1, max_size=4),
        st.booleans(),
    )
    def converse(
        requests: list[bytes],
        end: bytes | None,
        places: list[int],
        at_requests: bool,
        turns: list[int],
        half_close: bool,
    ) -> None:
        last = end if end is not None else ask("/health", "Connection: close")
        behind = HOT[0]
        whole = [*requests, last, behind]
        segments = cut(b"".join(whole), places, turns)
        if at_requests:
            segments = list(zip(whole, itertools.cycle(turns), strict=False))
        edge.run(compare([*requests, last], segments, half_close=half_close))

    async def compare(requests: list[bytes], segments: list[tuple[bytes, int]], *, half_close: bool) -> None:
        expected = b"".join([await edge.one(request) for request in requests])
        answers = [await edge.converse(segments, fast=fast, half_close=half_close) for fast in (True, False)]
        if half_close:
            assert all(expected.startswith(answer) for answer in answers)
        else:
            assert answers == [expected, expected]

    converse()
    assert edge.hits - before > 20, "hot replies were not taken"


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("first", [COLD[0], COLD[2], HOT[0] + COLD[3]])
def test_a_hot_reply_does_not_overtake_another(edge: Edge, first: bytes, turns: int) -> None:
    """Wherever the loop is with the request before: handed on, taken up, answered, put away."""

    async def converse() -> None:
        before = edge.hits
        wire = edge.wire()
        wire.arrive(HOT[1])
        assert edge.hits == before + 1, "the connection starts with hot replies"
        segments = [(first, turns), (HOT[0], 0), (ask("/health", "Connection: close"), 0)]
        requests = [first] if first != HOT[0] + COLD[3] else [HOT[0], COLD[3]]
        expected = b"".join([await edge.one(r) for r in [*requests, HOT[0], segments[-1][0]]])
        assert await edge.converse(segments, fast=True) == expected
        wire.end()
        await wire.until_lost()

    edge.run(converse())


@pytest.mark.parametrize(
    "head",
    [
        ask("/p/", f"Content-Length: {len(HOT[0])}"),
        ask("/p/", "Content-Length: 100000"),
        ask("/p/", f"Content-Length: {len(HOT[0])}", method="PUT"),
        ask("/p/", f"Content-Length: {len(HOT[0])}", "Expect: 100-continue", method="PUT"),
        ask("/p/", "Transfer-Encoding: chunked", method="POST"),
        ask("/p/", "Transfer-Encoding: chunked", "Expect: 100-continue"),
        ask("/absent", f"Content-Length: {len(HOT[0])}"),
    ],
)
@pytest.mark.parametrize("turns", [0, 1, 2, 3, 50])
def test_a_body_that_comes_later_is_no_request(edge: Edge, head: bytes, turns: int) -> None:
    """The head comes alone; its body is a request that is hot, and another follows it."""

    async def converse() -> None:
        before = edge.hits
        answer = await edge.converse([(HOT[0], 0), (head, turns), (HOT[0], turns), (ask("/health"), 0)], fast=True)
        assert edge.hits == before + 1, "the first is hot, the body is not"
        assert answer.count(b"HTTP/1.1 ") == 2
        assert answer == await edge.one(HOT[0]) + await edge.one(head)
        assert b"\r\nConnection: close\r\n" in answer
        assert b"100 Continue" not in answer

    edge.run(converse())


class Counting(asyncio.Protocol):
    """Stands before aiohttp's protocol."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self.handed_on = 0
        self.connection_lost = protocol.connection_lost  # type: ignore[method-assign]
        self._receive = protocol.data_received

    def data_received(self, data: bytes) -> None:
        self.handed_on += len(data)
        self._receive(data)


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([b"GET /p/ HTTP/1.1\r\nHost: h\r\n"] + [b"A: %s\r\n" % (b"b" * 90)] * 100, 431),
        ([b"GET /p/ HTTP/1.1\r\nHost: h\r\n"] + [b"A: b\r\n"] * 1000, 431),
        ([b"GET /p/ HTTP/1.1\r\nHost: h\r\nA: "] + [b"b" * 100] * 100, 431),
        ([b"GET /p/ HTTP/1.1\r\nHost: h\r\nA: b\r\n"] + [b" b\r\n"] * 2000, 400),
        ([b"GET /"] + [b"b" * 100] * 100, 414),
        ([b"GET /p/ HTTP/1.1\r\nHost: h\r\n" + b"A: b\r\n" * 1000 + b"\r\n"], 431),
        ([b"GET /%s HTTP/1.1\r\nHost: h\r\n\r\n" % (b"b" * 5000)], 414),
        ([b"POST /p/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1"] + [b";a=b"] * 9000, 405),
        (
            [b"POST /p/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"]
            + [b"A: %s\r\n" % bytes(90)] * 900,
            405,
        ),
    ],
)
def test_a_head_is_bounded_as_a_whole(edge: Edge, pieces: list[bytes], status: int) -> None:
    async def converse() -> None:
        wire = edge.wire()
        counting = Counting(wire.connection._http)
        wire.connection._http = counting
        for piece in pieces:
            wire.arrive(piece)
            await asyncio.sleep(0)
        answer = await wire.until_lost()
        assert re.match(rb"HTTP/1.[01] %d " % status, answer)
        assert b"\r\nConnection: close\r\n" in answer or answer.startswith(b"HTTP/1.0")
        assert counting.handed_on <= HEAD_LIMIT + 100, "aiohttp holds no more than a head"

    edge.run(converse())


def test_http_2_is_refused_at_once(edge: Edge) -> None:
    """aiohttp's parser takes the head of its preface for half of one, and would wait for the rest."""

    async def converse() -> None:
        for before in ([], [HOT[0]], [COLD[2]]):
            wire = edge.wire()
            for request in before:
                wire.arrive(request)
                await eventually(lambda: complete(wire.sent, request))  # noqa: B023
            wire.arrive(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
            assert b" 400 Bad Request\r\n" in await wire.until_lost()

    edge.run(converse())


def test_a_head_of_the_longest_kind_is_one(edge: Edge) -> None:
    head = ask("/p/?" + "q" * 996, *["A: " + "b" * 95] * 19)
    assert len(head) > HEAD_LIMIT - 200
    edge.run(edge.one(head))
    assert b" 200 OK" in edge._known[head]


def test_pipelined_requests_wait_where_they_cost_little(edge: Edge) -> None:
    """No more than a head is kept while a request is being answered: then reading pauses."""

    async def converse() -> None:
        wire = edge.wire()
        request = ask("/absent", "A: " + "b" * 500)
        for _ in range(20):
            wire.arrive(request)
        assert not wire.reading
        assert len(wire.connection._kept) <= HEAD_LIMIT + len(request)
        wire.arrive(ask("/health", "Connection: close"))
        answer = await wire.until_lost()
        assert answer.count(b" 404 Not Found\r\n") == 20
        assert answer.count(b" 200 OK\r\n") == 1

    edge.run(converse())


def test_requests_are_cut_anywhere(edge: Edge) -> None:
    """Every cut of a pipeline into two."""
    whole = HOT[0] + COLD[4] + HOT[1] + ask("/health", "Connection: close")

    async def converse() -> None:
        requests = [HOT[0], COLD[4], HOT[1], ask("/health", "Connection: close")]
        expected = b"".join([await edge.one(request) for request in requests])
        for place in range(len(whole)):
            segments = [(whole[:place], random.Random(place).randrange(10)), (whole[place:], 0)]
            assert await edge.converse(segments, fast=True) == expected

    edge.run(converse())


class Client:
    peer = "192.0.2.10"

    def give_up(self) -> None:
        raise AssertionError("nobody comes after it")

    finish = give_up


@pytest.mark.parametrize("request_bytes", [HOT[0], COLD[3]])
def test_a_reply_that_the_client_is_yet_to_take_is_not_given_up(edge: Edge, request_bytes: bytes) -> None:
    """Neither for another connection, nor when the gateway ends, nor for being idle."""

    async def converse() -> None:
        admission = Admission(1, 1, lambda peer: False)
        wire = edge.wire(admission=admission)
        wire.stuck = True
        wire.arrive(request_bytes)
        await eventually(lambda: wire.get_write_buffer_size() > 0)
        assert not admission.admit(Client())
        wire.connection._timeouts._look()  # its deadline, if it had one
        assert not wire.closing
        wire.release()
        assert normal(wire.sent) == await edge.one(request_bytes)
        await eventually(lambda: admission.admit(Client()), lambda: wire.connection._state)
        assert wire.closing, "now it is idle"
        await wire.until_lost()

    edge.run(converse())


def test_a_client_that_takes_nothing_gets_no_more_replies(edge: Edge) -> None:
    """However hot they are: they would take memory without bounds."""

    async def converse() -> None:
        wire = edge.wire()
        wire.arrive(HOT[0])
        await eventually(lambda: wire.sent.endswith(BODY))
        wire.stuck = True
        for _ in range(50):
            wire.arrive(HOT[0])
            await asyncio.sleep(0)
        assert 0 < wire._untaken.count(b"HTTP/1.1 200 ") <= 2
        wire.release()
        await eventually(lambda: wire.sent.count(b"HTTP/1.1 200 ") == 51, lambda: wire.sent.count(b"HTTP/1.1 200 "))
        wire.close()
        await wire.until_lost()

    edge.run(converse())


def test_what_is_idle_is_given_up(edge: Edge) -> None:
    """Before the first request, between two, in the middle of a head, and while a body is awaited that nobody reads."""

    async def converse() -> None:
        for parts in ([], [HOT[0]], [HOT[0][:20]], [HOT[0], HOT[0][:20]]):
            admission = Admission(1, 1, lambda peer: False)
            wire = edge.wire(admission=admission)
            for part in parts:
                wire.arrive(part)
            assert admission.admit(Client())
            assert wire.closing
            await wire.until_lost()
            assert len(admission) == 1
        admission = Admission(1, 1, lambda peer: False)
        wire = await lingering(edge, admission)
        assert admission.admit(Client())
        assert wire.closing
        await wire.until_lost()

    edge.run(converse())


async def lingering(edge: Edge, admission: Admission | None = None) -> Wire:
    """A connection that has been answered, and whose client neither closes nor sends its body of five bytes."""
    wire = edge.wire(admission=admission)
    wire.end = lambda: None  # type: ignore[method-assign]
    wire.arrive(ask("/health", "Content-Length: 5"))
    await eventually(lambda: wire.connection._lingering)
    assert not wire.closing
    return wire


def test_lingering_ends_with_the_body(edge: Edge) -> None:
    async def converse() -> None:
        wire = await lingering(edge)
        wire.arrive(b"1234")
        await loop_turns(20)
        assert not wire.closing
        wire.arrive(b"5")
        await loop_turns(20)
        assert wire.closing
        await wire.until_lost()
        wire = edge.wire()
        wire.end = lambda: None
        wire.arrive(ask("/health", "Content-Length: 5") + b"123")
        await eventually(lambda: wire.connection._lingering)
        wire.arrive(b"45")
        await loop_turns(20)
        assert wire.closing, "what came with the head is a part of it"
        await wire.until_lost()

    edge.run(converse())


def test_a_client_that_resets_before_the_server_ends_its_side_is_no_error(
    edge: Edge, caplog: pytest.LogCaptureFixture
) -> None:
    """As proxies do that have the answer to a request before they have sent its body."""

    async def converse() -> None:
        wire = edge.wire()

        def not_connected() -> None:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

        wire.write_eof = not_connected  # type: ignore[method-assign]
        wire.arrive(ask("/health", "Content-Length: 5"))
        assert (await wire.until_lost()).startswith(b"HTTP/1.1 200 ")

    edge.run(converse())
    assert caplog.text == ""


async def loop_turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_gateway_that_ends_tells_so(edge: Edge) -> None:
    """To those whose request is here; the others are closed."""

    async def converse() -> None:
        wire = edge.wire()
        wire.arrive(COLD[2])
        wire.connection.finish()
        answer = await wire.until_lost()
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert b"\r\nConnection: close\r\n" in answer
        for part in (b"", HOT[0][:9]):
            wire = edge.wire()
            wire.arrive(part)
            wire.connection.finish()
            assert wire.closing
            assert await wire.until_lost() == b""
        wire = await lingering(edge)
        wire.connection.finish()
        assert wire.closing
        await wire.until_lost()

    edge.run(converse())


def test_a_head_has_its_own_time_from_its_first_byte(edge: Edge) -> None:
    """Whatever is left of the time for the next request, be it more or less."""

    async def converse() -> None:
        wire, loop, limits = edge.wire(), asyncio.get_running_loop(), edge.server.limits

        def left() -> float:
            return round(wire.connection._timeouts._deadline - loop.time())

        assert limits.header_timeout != limits.keepalive_timeout
        wire.arrive(HOT[0])
        await eventually(lambda: wire.sent.endswith(BODY))
        assert left() == limits.keepalive_timeout
        wire.arrive(HOT[1][:20])
        assert left() == limits.header_timeout
        wire.connection._timeouts.expect(limits.header_timeout - 5)
        wire.arrive(HOT[1][20:30])
        assert left() == limits.header_timeout - 5, "more of it does not push the deadline"
        wire.close()
        await wire.until_lost()

    edge.run(converse())


def test_what_aiohttp_reads_otherwise_is_the_last_request(edge: Edge) -> None:
    """The lines of the head are not those of the request: one of the two was misled."""

    async def converse() -> None:
        for fields, same in ((1, True), (0, False), (2, False)):
            request = Mock(raw_headers=((b"Host", b"h"),) * fields, body_exists=False, headers={}, keep_alive=True)
            connection = Connection(Mock(), edge.server.limits, edge.server.admission, lambda head, peer: None)
            wire = Wire(connection).start()
            wire.arrive(HOT[0])
            assert connection.begin(request) == (HOT[0] if same else None, same)
            assert connection.begin(request) == (None, False), "nor is a second one"
            wire.close()
            await wire.until_lost()

    edge.run(converse())
