"""The body of a connection's last request, as its bytes arrive: given to whoever reads it, or dropped.

| nobody has asked for it yet | some of it is held; beyond that the client has to wait               |
| it is being read            | the same: the client sends as fast as it is read                     |
| it is dropped               | its bytes are counted, so that the connection ends when all are here |

Only a body whose length is known can be read.
"""

import asyncio
import math
from collections.abc import Callable

from aiohttp import HttpVersion11, web

_MAX_HELD_BYTES = 64 * 1024
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_BODILESS = ("GET", "HEAD")  # nobody reads their bodies


class Body:
    """`left` bytes are yet to arrive; infinitely many if their number is unknown, less than 0 if more have come."""

    __slots__ = ("_changed", "_held", "_invited", "_lost", "_transport", "left")

    def __init__(
        self, length: float, transport: asyncio.Transport, *, wanted: bool = True, invited: bool = True
    ) -> None:
        """Without `wanted`, it is dropped from the start. `invited`: the client does not wait until it is asked to send
        it (RFC 9110, 10.1.1)."""
        self.left = length
        self._transport = transport
        self._invited = invited
        self._held: bytearray | None = bytearray() if wanted and length < math.inf else None
        self._changed: asyncio.Future[None] | None = None
        self._lost = False

    @classmethod
    def of(cls, request: web.BaseRequest, transport: asyncio.Transport, *, framed: bool) -> "Body":
        """That of `request`; without `framed`, nobody knows where it ends."""
        length = 0.0
        if not framed or request.method == "CONNECT":
            length = math.inf
        elif request.body_exists:
            length = math.inf if request.content_length is None else request.content_length
        waits = request.body_exists and request.version >= HttpVersion11
        waits = waits and request.headers.get("Expect", "").lower() == "100-continue"
        return cls(length, transport, wanted=request.method not in _BODILESS, invited=not waits)

    @property
    def may_be_read(self) -> bool:
        return self._held is not None

    def feed(self, data: bytes) -> None:
        if self._held is not None:
            self._held += data[: max(int(self.left), 0)]
            if len(self._held) >= _MAX_HELD_BYTES:
                self._transport.pause_reading()
        self.left -= len(data)
        self._tell()

    def lose(self) -> None:
        """Nothing arrives any more."""
        self._lost = True
        self._tell()

    def drop(self) -> None:
        """Nobody reads it any more."""
        if self._held is not None:
            self._held = None
            self._transport.resume_reading()

    async def read(self) -> bytes:
        """The next bytes; none at the end. Raises ConnectionResetError if the client has left before. `may_be_read`
        tells whether this may be called; one task may call it at a time."""
        if not self._invited:
            self._invited = True
            self._transport.write(_CONTINUE)
        while not self._held and self.left > 0:
            if self._lost:
                raise ConnectionResetError("client gone in the body of its request")
            await self._until(lambda: bool(self._held) or self._lost)
        assert self._held is not None
        data = bytes(self._held)
        self._held.clear()
        self._transport.resume_reading()
        return data

    async def arrived(self, seconds: float) -> None:
        """Returns when all of it has arrived, the connection is lost, or after `seconds`."""
        await self._until(lambda: self.left == 0 or self._lost, seconds)

    async def arrived_steadily(self, seconds: float, pause: float) -> None:
        """The same, and when nothing has come for `pause` seconds."""
        loop = asyncio.get_running_loop()
        end, before = loop.time() + seconds, math.nan
        while self.left and self.left != before:
            before = self.left
            await self.arrived(pause)
            if loop.time() >= end:
                return

    async def _until(self, holds: Callable[[], bool], seconds: float | None = None) -> None:
        loop = asyncio.get_running_loop()
        end = math.inf if seconds is None else loop.time() + seconds
        while not holds() and (now := loop.time()) < end:
            self._changed = loop.create_future()
            if seconds is None:
                await self._changed
            else:
                await asyncio.wait([self._changed], timeout=end - now)

    def _tell(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)
