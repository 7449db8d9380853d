"""What a connection held is free when it has ended, not when the garbage collector comes by."""

import asyncio
import gc
import socket
import ssl
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.server.connections.admission import Admission
from gateway.server.connections.connection import Connection
from gateway.server.connections.head import Head
from gateway.server.connections.limits import Limits
from gateway.server.protocol import HttpProtocol, Request
from gateway.server.reply import Reply
from gateway.server.server import Listener, Server
from tests.support.certificates import self_signed
from tests.support.eventually import eventually

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


HELD = {Connection, HttpProtocol, Request, Head}


async def answer(_: Request) -> Reply:
    return Reply(200, {"Content-Type": "text/plain"}, b"hello")


def refuse(_: Request, error: GatewayError) -> Reply:
    return Reply(error.status, {}, b"refused", close=True)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        REQUEST,
        REQUEST * 3,
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: %s\r\n\r\n" % (b"a" * 9000),
        b"GET / HTTP/1.1\r\nHost: x\r\n%s\r\n" % (b"A: b\r\n" * 5000),
        b"no HTTP\r\n\r\n",
    ],
)
async def test_a_connection_that_has_ended_is_free(tmp_path: Path, sent: bytes, reset: bool, tls: bool) -> None:
    certificate, key = self_signed(tmp_path)
    of_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    of_server.load_cert_chain(certificate, key)
    of_client = ssl.create_default_context(cafile=certificate)
    admission = Admission(10, 10, lambda peer: False)
    listening = socket.create_server(("127.0.0.1", 0))
    server = Server(answer, refuse, Limits(5, 5, 5, 8190, 8190), admission)
    listener = await Listener.open(server, listening, (lambda: of_server) if tls else None)
    gc.collect()
    gc.disable()
    try:
        port = listening.getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=of_client if tls else None)
        writer.write(sent)
        if sent.endswith(b"\r\n\r\n"):
            assert (await reader.read(10)).startswith(b"HTTP/1.")
        await eventually(lambda: len(admission) <= 1)
        writer.transport.abort() if reset else writer.close()
        await eventually(lambda: not len(admission))

        def held() -> list[object]:
            return [one for one in gc.get_objects() if type(one) in HELD]

        await eventually(lambda: not held(), held)
    finally:
        gc.enable()
        await listener.drain(1)
