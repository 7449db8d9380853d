"""How much of a body is read at once: it is what each slow reader holds."""

import asyncio

import pytest

from gateway.upstream import connection as upstream
from gateway.upstream.connection import UpstreamConnection


class Kernel(asyncio.Transport):
    """Has more of a body whenever it may tell so."""

    def __init__(self, protocol: UpstreamConnection) -> None:
        super().__init__()
        self.protocol = protocol
        self.reading = True

    def write(self, data: object) -> None:
        self.give(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        pass

    def give(self, data: bytes = b"") -> int:
        """Returns how much it gave."""
        buffer = self.protocol.get_buffer(-1)
        data = data or bytes(len(buffer))
        buffer[: len(data)] = data
        self.protocol.buffer_updated(len(data))
        return len(data)


async def away(connection: UpstreamConnection, kernel: Kernel) -> int:
    """The reader goes away with a chunk ahead of it, and comes back. Returns how much it then gets at once."""
    kernel.give()
    assert not kernel.reading, "one chunk is enough for a reader that is away"
    assert await connection.read()
    reading = asyncio.ensure_future(connection.read())
    await asyncio.sleep(0)
    assert kernel.reading
    given = kernel.give()
    assert len(await reading) == given
    return given


async def test_a_reader_that_was_away_for_long_gets_little_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = UpstreamConnection(read_timeout=30)
    kernel = Kernel(connection)
    connection.connection_made(kernel)
    await connection.exchange("GET", b"GET / HTTP/1.1\r\n\r\n")
    assert await away(connection, kernel) == 48 * 1024
    with monkeypatch.context() as patch:
        patch.setattr(upstream, "_AWAY_SECONDS", 0.0)
        assert await away(connection, kernel) == 16 * 1024
    assert await away(connection, kernel) == 48 * 1024
    connection.close()
