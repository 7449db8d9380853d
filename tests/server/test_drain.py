"""A listener that drains while clients arrive."""

import asyncio
import socket

import pytest

from gateway.errors import GatewayError
from gateway.server.connections.admission import Admission
from gateway.server.connections.connection import Connection
from gateway.server.connections.limits import Limits
from gateway.server.protocol import Request
from gateway.server.reply import Reply
from gateway.server.server import Listener, Server

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
# From when the client has connected until `drain` is called. asyncio takes a few to accept the connection.
ROUNDS = range(8)


class CountingServer(Server):
    """Counts the connections that were accepted."""

    accepted = 0

    def connection(self) -> Connection:
        self.accepted += 1
        return super().connection()


async def answer(_: Request) -> Reply:
    return Reply(200, {"Content-Type": "text/plain"}, b"hello")


def refuse(_: Request, error: GatewayError) -> Reply:
    return Reply(error.status, {}, b"refused", close=True)


@pytest.mark.parametrize("sent", [b"", REQUEST])
async def test_a_connection_that_is_just_being_accepted_is_drained_too(sent: bytes) -> None:
    """What has been sent on it is answered; it is closed at once, and keeps the listener from nothing."""
    accepted = 0
    for rounds in ROUNDS:
        server = CountingServer(answer, refuse, Limits(5, 5, 5, 8190, 8190), Admission(10, 10, lambda peer: False))
        listening = socket.create_server(("127.0.0.1", 0))
        listener = await Listener.open(server, listening, None)
        with socket.create_connection(listening.getsockname(), timeout=5) as client:
            client.sendall(sent)
            for _ in range(rounds):
                await asyncio.sleep(0)
            async with asyncio.timeout(5):
                await listener.drain(60)
            assert not len(server.admission), rounds
            if server.accepted:
                accepted += 1
                received = await asyncio.to_thread(client.makefile("rb").read)
                assert received.startswith(b"HTTP/1.1 200 " if sent else b""), rounds
                assert bool(received) == bool(sent), rounds
    assert 0 < accepted < len(ROUNDS), "it was tried before and after the connection was accepted"
