"""The body of a request, given to whoever reads it."""

import asyncio
import math
import socket
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.server.connections.admission import Admission
from gateway.server.connections.body import Body
from gateway.server.connections.limits import Limits
from gateway.server.protocol import Request
from gateway.server.reply import Reply
from gateway.server.server import Listener, Server
from tests.support.eventually import eventually
from tests.support.http import exchange

Handler = Callable[[Request], Awaitable[Reply]]


class Side(asyncio.Transport):
    """The client's side of a connection: what it has been sent, and whether it is read from."""

    def __init__(self) -> None:
        self.sent = b""
        self.paused = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


@given(st.lists(st.binary(max_size=40), max_size=8), st.binary(max_size=5))
async def test_it_is_the_bytes_that_were_announced_however_they_come(pieces: list[bytes], behind: bytes) -> None:
    whole = b"".join(pieces)
    body, read = Body(len(whole), Side()), b""
    for piece in pieces[:-1]:
        body.feed(piece)
        if piece:
            read += await body.read()
    body.feed((pieces[-1] if pieces else b"") + behind)
    read += await body.read()
    assert read == whole
    assert await body.read() == b""
    assert body.left == -len(behind)


async def test_a_client_waits_while_nobody_reads() -> None:
    side = Side()
    body = Body(1_000_000, side)
    body.feed(bytes(63_000))
    assert not side.paused
    body.feed(bytes(10_000))
    assert side.paused
    assert len(await body.read()) == 73_000
    assert not side.paused
    body.feed(bytes(70_000))
    assert side.paused
    body.drop()
    assert not side.paused
    body.feed(bytes(1_000_000 - 143_000))
    assert body.left == 0
    await body.arrived(0)


async def test_who_reads_waits_for_what_is_to_come() -> None:
    body = Body(6, Side())
    reading = asyncio.ensure_future(body.read())
    await asyncio.sleep(0)
    assert not reading.done()
    body.feed(b"abc")
    assert await reading == b"abc"
    reading = asyncio.ensure_future(body.read())
    await asyncio.sleep(0)
    body.lose()
    with pytest.raises(ConnectionResetError):
        await reading


async def test_a_body_of_unknown_length_and_one_that_is_not_wanted_can_t_be_read() -> None:
    for body in (Body(math.inf, Side()), Body(10, Side(), wanted=False)):
        assert not body.may_be_read
        body.feed(b"0123456789")
    assert body.left == 0


async def test_a_client_that_waits_to_be_asked_is_asked_once() -> None:
    side = Side()
    body = Body(2, side, invited=False)
    assert side.sent == b""
    body.feed(b"a")
    await body.read()
    body.feed(b"b")
    await body.read()
    assert side.sent == b"HTTP/1.1 100 Continue\r\n\r\n"


async def serve(handler: Handler, request: bytes) -> bytes:
    """All that comes back."""

    def refuse(_: Request, error: GatewayError) -> Reply:
        return Reply(error.status, {}, b"", close=True)

    admission = Admission(10, 10, lambda peer: False)
    sock = socket.create_server(("127.0.0.1", 0))
    limits = Limits(5, 5, 5, 8190, 8190)
    listener = await Listener.open(Server(handler, refuse, limits, admission), sock, None)
    try:
        return await exchange(sock.getsockname()[1], request)
    finally:
        await listener.drain(1)


async def echo(request: Request) -> Reply:
    try:
        return Reply(200, {}, await request.read_limited(100_000, 5))
    except GatewayError as error:
        return Reply(error.status, {}, b"")


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n", b"abc", 200),
        (b"PUT / HTTP/1.0\r\nContent-Length: 3\r\n", b"abc", 200),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n", b"x" * 100_000, 200),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n", b"", 200),
        (b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", b"", 200),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n", b"x" * 100_001, 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n", b"x" * 200_000, 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n", 411),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n", b"abc", 411),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n", b"abc", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n", b"abc", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"abc", 400),
    ],
)
async def test_a_request_has_the_body_that_its_head_announces(head: bytes, body: bytes, status: int) -> None:
    answer = await serve(echo, head + b"\r\n" + body)
    assert int(answer.split(b" ")[1]) == status
    assert answer.partition(b"\r\n\r\n")[2] == (body if status == 200 else b"")


async def test_what_follows_a_body_is_no_request() -> None:
    handled = []

    async def handler(request: Request) -> Reply:
        handled.append(await request.read_limited(10, 5))
        return Reply(200, {}, b"")

    hidden = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    await serve(handler, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + hidden)
    assert handled == [b"abc"]


async def whole(request: Request, seconds: float) -> bytes:
    return await request.read_limited(10, seconds)


async def in_pieces(request: Request, seconds: float) -> bytes:
    return b"".join([piece async for piece in request.pieces(seconds)])


Read = Callable[[Request, float], Awaitable[bytes]]
both = pytest.mark.parametrize("read", [whole, in_pieces])


@both
async def test_a_client_that_is_slow_is_told_so(read: Read) -> None:
    async def handler(request: Request) -> Reply:
        with pytest.raises(GatewayError) as refused:
            await read(request, 0.01)
        return Reply(refused.value.status, {}, b"")

    sock = socket.create_server(("127.0.0.1", 0))
    listener = await Listener.open(
        Server(handler, lambda *_: Reply(400, {}, b""), Limits(5, 5, 5, 8190, 8190), Admission(9, 9, lambda _: False)),
        sock,
        None,
    )
    reader, writer = await asyncio.open_connection(*sock.getsockname())
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab")
    assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    writer.close()
    await listener.drain(1)


@both
async def test_a_client_that_leaves_in_its_body_is_gone(read: Read) -> None:
    ended: list[BaseException] = []

    async def handler(request: Request) -> Reply:
        try:
            await read(request, 5)
        except BaseException as error:
            ended.append(error)
            raise
        return Reply(200, {}, b"")

    sock = socket.create_server(("127.0.0.1", 0))
    listener = await Listener.open(
        Server(handler, lambda *_: Reply(400, {}, b""), Limits(5, 5, 5, 8190, 8190), Admission(9, 9, lambda _: False)),
        sock,
        None,
    )
    _, writer = await asyncio.open_connection(*sock.getsockname())
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab")
    await writer.drain()
    writer.close()
    await eventually(lambda: bool(ended))
    assert isinstance(ended[0], ConnectionResetError | asyncio.CancelledError)
    await listener.drain(1)


@both
async def test_a_connection_that_waits_for_its_body_makes_room_as_one_that_waits_for_its_head_does(read: Read) -> None:
    """Else a client of two addresses could hold all connections with forms that it never sends."""
    reading, resume = asyncio.Event(), asyncio.Event()
    ended: list[BaseException | bytes] = []

    async def handler(request: Request) -> Reply:
        reading.set()
        try:
            ended.append(await read(request, 5))
        except BaseException as error:
            ended.append(error)
            raise
        await resume.wait()
        return Reply(200, {}, b"")

    sock = socket.create_server(("127.0.0.1", 0))
    limits, admission = Limits(5, 5, 5, 8190, 8190), Admission(1, 1, lambda _: False)
    listener = await Listener.open(Server(handler, lambda *_: Reply(400, {}, b""), limits, admission), sock, None)
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
    writers = []

    async def sent(request: bytes) -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection(*sock.getsockname())
        writer.write(request)
        writers.append(writer)
        return reader

    slow = await sent(post + b"ab")
    await reading.wait()
    quick = await sent(post + b"abc")
    await eventually(lambda: len(ended) == 2)
    assert b"abc" in ended
    assert await slow.read() == b""
    refused = await sent(post)  # whose body is here is being answered
    assert (await refused.readline()).startswith(b"HTTP/1.1 503 ")
    resume.set()
    assert (await quick.readline()).startswith(b"HTTP/1.1 200 ")
    for writer in writers:
        writer.close()
    await listener.drain(1)
