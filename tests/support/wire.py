"""A connection without sockets: the test decides what arrives, in which pieces, and how far the loop turns between."""

import asyncio
from typing import Any

from gateway.server.connections.connection import Connection
from tests.support.eventually import eventually


class Wire(asyncio.Transport):
    """The transport of one Connection, whose client takes everything at once and closes when the server has ended."""

    def __init__(self, connection: Connection, peer: str = "192.0.2.9") -> None:
        super().__init__({"peername": (peer, 4711)})
        self.connection = connection
        self.sent = b""
        self.closing = False
        self.reading = True
        self.lost = asyncio.Event()
        self.stuck = False  # the client takes nothing
        self._pending = b""
        self._untaken = b""

    def start(self) -> "Wire":
        """As one that has been secured: files are not sent past the transport."""
        assert self.connection.admit(self)
        self.connection.start(self, secured=True)
        return self

    def arrive(self, data: bytes) -> None:
        """Hands data on as a socket does: not while reading is paused, nor after the end."""
        self._pending += data
        if self._pending and self.reading and not self.closing:
            data, self._pending = self._pending, b""
            self.connection.data_received(data)

    def end(self) -> None:
        """The client closes its side."""
        if not self.closing:
            self.connection.eof_received()
            self.close()

    async def until_lost(self) -> bytes:
        await eventually(self.lost.is_set, lambda: self.sent)
        return self.sent

    def write(self, data: Any) -> None:
        assert not self.closing
        if self.stuck:
            is_first = not self._untaken
            self._untaken += bytes(data)
            if is_first:
                self.connection.pause_writing()
        else:
            self.sent += bytes(data)

    def release(self) -> None:
        """The client takes what there is."""
        self.stuck = False
        self.sent, self._untaken = self.sent + self._untaken, b""
        self.connection.resume_writing()

    def write_eof(self) -> None:
        asyncio.get_running_loop().call_soon(self.end)

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self._lose)

    abort = close

    def _lose(self) -> None:
        self.connection.connection_lost(None)
        self.lost.set()

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        if not self.reading:
            self.reading = True
            asyncio.get_running_loop().call_soon(self.arrive, b"")

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return len(self._untaken)
