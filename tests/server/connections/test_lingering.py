"""A client that is refused while it sends a body: over TLS, it would see a broken connection in place of the answer."""

import asyncio
import math
import socket

import pytest

from gateway.server.connections import connection
from gateway.server.connections.admission import Admission
from gateway.server.connections.body import Body
from gateway.server.connections.limits import Limits
from gateway.server.protocol import Request
from gateway.server.reply import Reply
from gateway.server.server import Listener, Server
from tests.support.eventually import eventually


async def refuse(request: Request) -> Reply:
    return Reply(401, {}, b"")


@pytest.mark.parametrize(
    ("framing", "seconds", "left"),
    [
        (b"Content-Length: 6", 60.0, [6, 5, 4]),
        (b"Content-Length: 6", 0.0, [6]),
        (b"Transfer-Encoding: chunked", 60.0, [math.inf]),
    ],
)
async def test_it_may_go_on_for_a_while_but_not_pause(
    monkeypatch: pytest.MonkeyPatch, framing: bytes, seconds: float, left: list[float]
) -> None:
    waits: list[float] = []

    async def arrived(body: Body, pause: float) -> None:
        """The client sends another byte, or, with four left, none for so long."""
        waits.append(body.left)
        if 4 < body.left < math.inf:
            writer.write(b"x")
            await eventually(lambda: body.left < waits[-1])

    monkeypatch.setattr(Body, "arrived", arrived)
    monkeypatch.setattr(connection, "_LINGERING_SECONDS", seconds)
    sock = socket.create_server(("127.0.0.1", 0))
    limits, admission = Limits(5, 5, 5, 8190, 8190), Admission(9, 9, lambda _: False)
    listener = await Listener.open(Server(refuse, lambda *_: Reply(400, {}, b""), limits, admission), sock, None)
    reader, writer = await asyncio.open_connection(*sock.getsockname())
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
    await eventually(lambda: not admission.connections)
    writer.close()
    await listener.drain(1)
    assert waits == left
