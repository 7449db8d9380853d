"""One connection: bodies that go out, and what comes back meanwhile. What comes in is in test_client.py."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from unittest.mock import Mock

import pytest

from gateway.errors import UpstreamError, UpstreamTimeoutError
from gateway.upstream.connection import UpstreamConnection
from tests.support.stepped import SteppedLoop

HEAD = b"PUT /k HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
Start = Callable[..., Awaitable[tuple["Server", UpstreamConnection]]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Server:
    """Takes `takes` bytes after a head, answers, and goes on taking."""

    def __init__(self, takes: int, answer: bytes) -> None:
        self.takes = takes
        self.answer = answer
        self.got = 0
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            while self.got < self.takes and (data := await reader.read(65536)):
                self.got += len(data)
            writer.write(self.answer)
            while await reader.read(65536):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self.ended.set()


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    servers: list[tuple[Server, asyncio.Server]] = []
    connections: list[UpstreamConnection] = []

    async def start(takes: int, answer: bytes = OK, read_timeout: float = 5.0) -> tuple[Server, UpstreamConnection]:
        server = Server(takes, answer)
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        servers.append((server, listening))
        port = listening.sockets[0].getsockname()[1]
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: UpstreamConnection(read_timeout), "127.0.0.1", port
        )
        connections.append(connection)
        return server, connection

    yield start
    for connection in connections:
        connection.close()
    for server, listening in servers:
        await server.ended.wait()
        listening.close()


@pytest.mark.parametrize("size", [1, 100_000, 20_000_000])
async def test_a_body_goes_out_whole(start: Start, size: int) -> None:
    server, connection = await start(size)
    answer = await connection.exchange("PUT", HEAD % size, bytes(size))
    assert (answer.status, server.got, connection.reusable) == (200, size, True)


async def test_an_answer_before_the_end_of_the_body_is_heard_and_ends_the_connection(start: Start) -> None:
    size = 50_000_000
    server, connection = await start(100_000, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    answer = await connection.exchange("PUT", HEAD % size, bytes(size))
    assert (answer.status, connection.reusable) == (403, False)
    assert server.got < size


async def test_a_bucket_that_takes_nothing_is_given_up(start: Start) -> None:
    _, connection = await start(10**9, read_timeout=0.3)
    with pytest.raises(UpstreamTimeoutError):
        await connection.exchange("PUT", HEAD % 1000, bytes(1000))


async def test_an_answer_may_take_longer_than_others_if_its_request_says_so(start: Start) -> None:
    _, connection = await start(0, read_timeout=0.0)
    assert (await connection.exchange("POST", HEAD % 0, answer_seconds=60.0)).status == 200
    with pytest.raises(UpstreamTimeoutError, match="for 0 s"):  # and not after 60 s
        await asyncio.wait_for(connection.exchange("POST", HEAD % 0), 20)


async def test_one_that_is_closed_can_t_be_used(start: Start) -> None:
    _, connection = await start(0)
    connection.close()
    with pytest.raises(UpstreamError):
        await connection.exchange("GET", b"GET / HTTP/1.1\r\n\r\n")


async def test_bytes_that_come_as_the_time_is_up_are_not_lost() -> None:
    """A process that was held up for so long finds both at once: the bytes, and that their time is up."""
    loop = SteppedLoop()  # type: ignore[abstract]  # of the rest nothing is called
    with loop.running():
        connection = UpstreamConnection(read_timeout=0.0)
        connection.connection_made(Mock(asyncio.Transport))
        exchange = loop.create_task(connection.exchange("GET", b"GET /k HTTP/1.1\r\n\r\n"))
    assert loop.step()
    loop.advance(0.0)  # the timer comes before whoever reads
    with loop.running():
        connection.get_buffer(-1)[: len(OK)] = OK
        connection.buffer_updated(len(OK))
    loop.settle()
    assert exchange.result().status == 200
    assert connection.reusable
