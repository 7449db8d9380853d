"""What leaves the handler is either a client's fault, or its leaving, or a bug: each is answered as what it is."""

import gc
import logging
import socket
from collections.abc import Awaitable, Callable

import pytest
from aiohttp.http_exceptions import HttpProcessingError

from gateway.errors import GatewayError
from gateway.server.connections.admission import Admission
from gateway.server.connections.limits import Limits
from gateway.server.protocol import Request
from gateway.server.reply import Reply
from gateway.server.server import Listener, Server
from tests.support.http import exchange

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def serve(handler: Callable[[Request], Awaitable[Reply]], request: bytes) -> tuple[bytes, list[GatewayError]]:
    refused: list[GatewayError] = []

    def refuse(_: Request, error: GatewayError) -> Reply:
        refused.append(error)
        return Reply(error.status, {}, b"refused", close=True)

    admission = Admission(10, 10, lambda peer: False)
    sock = socket.create_server(("127.0.0.1", 0))
    listener = await Listener.open(Server(handler, refuse, Limits(5, 5, 5, 8190, 8190), admission), sock, None)
    answer = await exchange(sock.getsockname()[1], request)
    await listener.drain(1)
    return answer, refused


@pytest.mark.parametrize("error", [ValueError("ours"), KeyError("ours"), TimeoutError()])
async def test_a_bug_is_a_500_and_in_the_log(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(_: Request) -> Reply:
        raise error

    answer, refused = await serve(fail, REQUEST)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert [type(one) for one in refused] == [GatewayError]
    assert any(record.levelno == logging.ERROR and record.exc_info for record in caplog.records)
    assert b"Traceback" not in answer
    assert b"ours" not in answer


async def test_a_bug_in_the_middle_of_an_answer_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(request: Request) -> Reply:
        reply = Reply(200, {"Content-Length": "100"})
        await reply.prepare(request)
        raise ValueError("ours")

    answer, refused = await serve(fail, REQUEST)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n")
    assert refused == []
    assert "ours" in caplog.text


async def test_a_client_that_leaves_is_no_bug(caplog: pytest.LogCaptureFixture) -> None:
    async def leave(_: Request) -> Reply:
        raise ConnectionResetError("gone")

    assert await serve(leave, REQUEST) == (b"", [])
    assert caplog.records == []


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"no HTTP\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00", 400),
        (b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 9000), 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: %s\r\n\r\n" % (b"a" * 9000), 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n%s" % (b"A: b\r\n" * 200), 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n%s" % (b"A: b\r\n" * 9000), 431),
    ],
)
async def test_what_is_no_request_is_the_clients_fault(
    request_bytes: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(_: Request) -> Reply:
        raise AssertionError("not asked")

    _, refused = await serve(answer, request_bytes)
    assert [error.status for error in refused] == [status]
    assert caplog.records == []


async def test_what_was_no_request_is_let_go_when_it_has_been_refused() -> None:
    """The exception would hold it, by the frames of its traceback, until the garbage collector comes by."""
    gc.collect()
    gc.disable()
    try:
        await serve(_answered, b"GET / HTTP/1.1\r\nHost: x\r\nno field " + b"x" * 7000 + b"\r\n\r\n")
        held = [found for found in gc.get_objects() if isinstance(found, BaseException) and found.__traceback__]
        assert not [found for found in held if isinstance(found, HttpProcessingError)]
    finally:
        gc.enable()


async def _answered(_: Request) -> Reply:
    return Reply(204, {})
