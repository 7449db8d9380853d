"""Files sent by the kernel: all of it, as fast as the client takes it, and an end for who takes nothing."""

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.errors import UpstreamError
from gateway.messages import FilePart
from gateway.server.connections.sendfile import FileSender

CONTENT = os.urandom(5_000_000)


@pytest.fixture
def descriptor() -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        file.write(CONTENT)
        file.flush()
        yield file.fileno()


@pytest.fixture
async def ends() -> AsyncIterator[tuple[asyncio.Transport, socket.socket]]:
    """The transport that sends, and the socket that receives."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    yield transport, theirs
    transport.abort()
    theirs.close()


async def receive(sock: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count and (chunk := await asyncio.get_running_loop().sock_recv(sock, 100_000)):
        got += chunk
    return got


async def test_all_of_a_part_arrives(ends: tuple[asyncio.Transport, socket.socket], descriptor: int) -> None:
    transport, theirs = ends
    sender = FileSender(transport, 10)
    received = asyncio.ensure_future(receive(theirs, 4_000_000))
    told = [sent async for sent in sender.send(FilePart(descriptor, 500_000, 4_500_000))]
    assert sum(told) == 4_000_000
    assert await received == CONTENT[500_000:4_500_000]
    transport.write(b"and the transport goes on")
    assert await receive(theirs, 25) == b"and the transport goes on"


async def test_a_client_that_takes_nothing_is_let_go(
    ends: tuple[asyncio.Transport, socket.socket], descriptor: int
) -> None:
    transport, _ = ends
    with pytest.raises(ConnectionAbortedError, match=r"read nothing for 0.05 s"):
        async for _ in FileSender(transport, 0.05).send(FilePart(descriptor, 0, len(CONTENT))):
            pass
    assert transport.is_closing()


async def test_a_client_that_is_gone(ends: tuple[asyncio.Transport, socket.socket], descriptor: int) -> None:
    transport, theirs = ends
    theirs.close()
    with pytest.raises(ConnectionError):
        async for _ in FileSender(transport, 10).send(FilePart(descriptor, 0, len(CONTENT))):
            pass


async def test_a_file_that_is_cut_short_is_an_error(
    ends: tuple[asyncio.Transport, socket.socket], descriptor: int
) -> None:
    transport, theirs = ends
    os.truncate(descriptor, 1000)
    received = asyncio.ensure_future(receive(theirs, 1000))
    with pytest.raises(UpstreamError, match="cut short"):
        async for _ in FileSender(transport, 10).send(FilePart(descriptor, 0, len(CONTENT))):
            pass
    assert await received == CONTENT[:1000]


async def test_what_the_transport_has_not_sent_is_never_overtaken(
    ends: tuple[asyncio.Transport, socket.socket], descriptor: int
) -> None:
    transport, _ = ends
    transport.write(CONTENT)  # more than the socket takes
    with pytest.raises(ConnectionResetError):
        async for _ in FileSender(transport, 10).send(FilePart(descriptor, 0, len(CONTENT))):
            pass
