"""One client connection: cuts what arrives into requests, and hands aiohttp one at a time.

| state | received so far                   | what arrives now                             | next                  |
|-------|-----------------------------------|----------------------------------------------|-----------------------|
| IDLE  | requests, each of them answered   | a request with a cached reply, which is sent | IDLE                  |
|       |                                   | else it is the start of a head               | HEAD                  |
| HEAD  | and a part of a head              | goes to aiohttp, up to the head's empty line | BUSY                  |
|       |                                   | if too long: 431 or 414                      | LAST                  |
| BUSY  | and a head, whose reply is coming | is kept; if too much, reading pauses         | sent: IDLE, read on   |
| LAST  | and a request that is the last    | is its body (see body.py), or is dropped     | sent: linger, close   |

A request ends its connection if it or its reply says so, if it has a body or asks for another protocol, or if aiohttp
read anything but one head from the bytes it got. So no byte of a body is ever taken for a request, no reply overtakes
another, and aiohttp's parser never holds more than one head.
"""

import asyncio
from collections.abc import Callable
from enum import IntEnum

from aiohttp import web

from gateway.errors import GatewayError
from gateway.server.client_address import UNIX_SOCKET, plain_address
from gateway.server.connections.admission import Admission
from gateway.server.connections.body import Body
from gateway.server.connections.head import Head, other_protocol
from gateway.server.connections.limits import Limits
from gateway.server.connections.sendfile import FileSender
from gateway.server.connections.timeouts import Timeouts

# A client that is refused while it sends a body may go on for so long, but not pause, or it would miss the answer: over
# TLS, it would see only that the connection breaks.
_LINGERING_SECONDS = 30.0
_LINGERING_PAUSE_SECONDS = 5.0
_RECEIVE_BYTES = 32 * 1024
_NO_HTTP = b"\0\r\n\r\n"
_BUSY = b"Too many connections; try again\n"
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Retry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_BUSY), _BUSY)
)
# Takes the place of aiohttp's protocol in the end, or the two would keep each other until the garbage collector runs.
_NOBODY = asyncio.Protocol()
Lookup = Callable[[bytes, str], bytes | None]


class _State(IntEnum):  # an Enum's hash, for the table at the end, is computed in Python
    IDLE = 1
    HEAD = 2
    BUSY = 3
    LAST = 4


class Connection(asyncio.Protocol):
    """Stands between a socket's transport and aiohttp's protocol, which answers one request after the other."""

    __slots__ = (
        "_admission",
        "_carrier",
        "_draining",
        "_head",
        "_http",
        "_kept",
        "_limits",
        "_lingering",
        "_lookup",
        "_loop",
        "_paused",
        "_state",
        "_timeouts",
        "_transport",
        "body",
        "file_sender",
        "peer",
        "refusal",
    )

    def __init__(self, http: asyncio.Protocol, limits: Limits, admission: Admission, lookup: Lookup) -> None:
        self._http = http
        self._limits = limits
        self._admission = admission
        self._lookup = lookup
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._carrier: asyncio.Transport | None = None  # the socket's transport, below TLS if there is any
        self.peer = ""
        self.file_sender: FileSender | None = None  # None with TLS
        self.refusal: GatewayError | None = None  # why the bytes that aiohttp got are not a request
        self._state = _State.IDLE
        self._paused = False
        self._draining = False
        self._head = Head(limits)
        self._kept = b""  # the bytes that have arrived after it
        self.body: Body | None = None  # of the last request, also if that has none
        self._lingering = False
        self._timeouts = Timeouts(self._loop, self.give_up)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if not self.admit(transport):
            transport.write(_REFUSAL)
            transport.close()
            return
        self.start(transport, secured=False)

    def admit(self, transport: asyncio.Transport) -> bool:
        """Whether the connection is admitted. `start` and `connection_lost` follow, or only the latter."""
        peer = transport.get_extra_info("peername")
        self.peer = plain_address(peer[0]) if peer else UNIX_SOCKET
        self._transport = self._carrier = transport
        if self._admission.admit(self):
            return True
        self._state = _State.LAST
        return False

    def start(self, transport: asyncio.Transport, *, secured: bool) -> None:
        """From now on requests may arrive on `transport`."""
        # Writing pauses whenever the kernel has not taken everything. So a slow client costs one chunk of memory, an
        # answer does not count as sent while a client that reads nothing keeps it here, and the buffer is empty when a
        # file is sent past it. (With TLS it is not 0: asyncio's transport would count as full when it is empty.)
        transport.set_write_buffer_limits(high=1 if secured else 0)
        # asyncio allocates 256 KB for each read, before it knows how much has arrived. A head is smaller.
        transport.max_size = _RECEIVE_BYTES  # type: ignore[attr-defined]
        self._transport = transport
        self.file_sender = None if secured else FileSender(transport, self._limits.send_timeout)
        self._http.connection_made(transport)
        self._timeouts.expect(self._limits.header_timeout)

    def data_received(self, data: bytes) -> None:
        _ARRIVED[self._state](self, data)

    def _to_idle(self, data: bytes) -> None:
        if not self._paused and (reply := self._lookup(data, self.peer)) is not None:
            assert self._transport is not None
            self._transport.write(reply)
            if not self._paused:
                self._rest()
        else:
            self._begin_head(data)

    def _begin_head(self, data: bytes) -> None:
        data = data.lstrip(b"\r\n")  # RFC 9112, 2.2: an empty line before a request is ignored
        if not data:
            return
        self._state = _State.HEAD
        self._head.begin()
        if (refusal := other_protocol(data)) is not None:
            self._hand_on_no_http(refusal)
        else:
            self._to_head(data)
            if self._state is _State.HEAD:
                self._timeouts.expect(self._limits.header_timeout)

    def _to_head(self, data: bytes) -> None:
        """Passes the bytes of the head on, and keeps those after it."""
        try:
            part, behind = self._head.cut(data)
        except GatewayError as error:
            self._hand_on_no_http(error)
            return
        if behind is not None:
            self._state, self._kept = _State.BUSY, behind
        self._http.data_received(part)

    def _hand_on_no_http(self, refusal: GatewayError) -> None:
        """Has aiohttp answer as it answers anything that is not HTTP, with the reason in `refusal`."""
        self.refusal = refusal
        self._state = _State.BUSY
        self._head.begin()
        self._http.data_received(_NO_HTTP)

    def _to_busy(self, data: bytes) -> None:
        self._kept += data
        if len(self._kept) > self._limits.max_head_bytes and self._transport is not None:
            self._transport.pause_reading()

    def _to_last(self, data: bytes) -> None:
        if self.body is not None:
            self.body.feed(data)

    def begin(self, request: web.BaseRequest) -> tuple[bytes | None, bool]:
        """Called when aiohttp begins with a request. Returns the bytes of its head, if they came together and have as
        many lines as the request, and whether another request may follow it.
        """
        same = self._head.claim(len(request.raw_headers)) and self._state is _State.BUSY
        plain = same and not request.body_exists and "Upgrade" not in request.headers
        more = plain and request.keep_alive and not self._draining
        self._timeouts.expect_nothing()
        self._admission.busy(self)
        if not more:
            kept = self._kept
            self._end()
            if self._transport is not None:
                self.body = Body.of(request, self._transport, framed=same)
                self.body.feed(kept)
        return (self._head.whole if plain else None), more

    async def sent(self, keep_alive: bool) -> None:
        """Called when aiohttp has sent the whole reply. The connection is kept only if both it and the reply say so."""
        transport = self._transport
        if transport is None:
            return
        if self._state is _State.BUSY and keep_alive and not self._draining:
            self._state = _State.IDLE
            if not self._paused:
                self._rest()
            if self._kept:
                kept, self._kept = self._kept, b""
                transport.resume_reading()
                self._begin_head(kept)
            return
        self._end()
        if self.body is not None and self.body.left:
            await self._linger(transport, self.body)
        self.close()

    def close(self) -> None:
        """Ends the connection when the client has received what was written."""
        if self._transport is not None and self._carrier is not None:
            self._transport.close()
            # With TLS, that sends close_notify, and would wait for the client's, which is optional (RFC 8446, 6.1).
            self._carrier.close()

    def _rest(self) -> None:
        """No request is under way: the client has `keepalive_timeout` to send one."""
        self._timeouts.expect(self._limits.keepalive_timeout)
        self._admission.idle(self)

    async def _linger(self, transport: asyncio.Transport, body: Body) -> None:
        """Lets the client finish sending: if the socket were closed before, the client would lose the answer."""
        try:
            if transport.can_write_eof():
                transport.write_eof()
        except OSError:
            return  # the client has reset the connection
        self._lingering = True
        self._admission.idle(self)
        await body.arrived_steadily(_LINGERING_SECONDS, _LINGERING_PAUSE_SECONDS)

    def _end(self) -> None:
        """No byte that arrives from now on is another request's."""
        self._state = _State.LAST
        self._kept = b""
        if self.body is not None:
            self.body.drop()
        if self._transport is not None:
            self._transport.resume_reading()

    def finish(self) -> None:
        """Ends the connection: at once if no request is being answered, else after the reply."""
        self._draining = True
        if self._transport is not None and (self._state in (_State.IDLE, _State.HEAD) or self._lingering):
            self._state = _State.LAST
            self.close()

    def give_up(self) -> None:
        self._state = _State.LAST
        if self._transport is not None:
            self._transport.abort()

    def eof_received(self) -> None:
        """The transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._timeouts.cancel()
        if self.body is not None:
            self.body.lose()
        self._transport = self._carrier = None
        self._kept = b""
        self._head.clear()
        self._http.connection_lost(exc)
        self._admission.left(self)
        self._http = _NOBODY

    def pause_writing(self) -> None:
        self._paused = True
        self._http.pause_writing()
        self._timeouts.expect_nothing()
        self._admission.busy(self)
        if self._transport is not None:
            self._timeouts.watch(self._transport, self._limits.send_timeout)

    def resume_writing(self) -> None:
        self._paused = False
        self._http.resume_writing()
        self._timeouts.flows()
        if self._state is _State.IDLE:
            self._rest()


# The third column of the table above.
_ARRIVED: dict[_State, Callable[[Connection, bytes], None]] = {
    _State.IDLE: Connection._to_idle,
    _State.HEAD: Connection._to_head,
    _State.BUSY: Connection._to_busy,
    _State.LAST: Connection._to_last,
}
