"""The listening side: aiohttp's low-level server, with the limits and plain answers that it lacks."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from gateway.access.caller import UNIX_SOCKET
from gateway.edge.reply import Reply
from gateway.edge.sendfile import FileSender
from gateway.errors import BadRequestError, GatewayError, HeadersTooLargeError, UriTooLongError

# A client that is refused while it sends a body may finish sending, or it would miss the answer.
_LINGERING_SECONDS = 5.0
_FORCED_CLOSE_SECONDS = 0.5
_BACKLOG = 1024
_BUSY = b"Too many connections; try again\n"
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Retry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_BUSY), _BUSY)
)

log = logging.getLogger("gateway")


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds. `header_timeout` spans a whole request head, from its first byte or from connecting;
    `send_timeout` is how long a client may take no byte of what is ready for it.
    """

    header_timeout: float
    keepalive_timeout: float
    send_timeout: float
    max_connections: int
    max_target_bytes: int
    max_header_bytes: int


class ConnectionCounter:
    """How many client connections are open; `none_left` is set while there are none."""

    def __init__(self) -> None:
        self.open = 0
        self.none_left = asyncio.Event()
        self.none_left.set()

    def opened(self) -> None:
        self.open += 1
        self.none_left.clear()

    def closed(self) -> None:
        self.open -= 1
        if not self.open:
            self.none_left.set()


class Connection(web.RequestHandler):
    """One client connection. Adds to aiohttp's: deadlines for a request's head and for a client that takes nothing,
    and our answers to what is no HTTP.
    """

    __slots__ = (
        "_again",
        "_clean",
        "_counter",
        "_head_deadline",
        "_limits",
        "_peer",
        "_refuse",
        "_stall_check",
        "file_sender",
        "only_request",
    )

    def __init__(self, server: "Server", **options: Any) -> None:
        super().__init__(server, **options)
        self._limits = server.limits
        self._refuse = server.refuse
        self._counter = server.counter
        self._again = server.again
        self._peer = ""
        self._clean = True
        self.only_request: bytes | None = None  # the bytes that the present request is made of, if they are just it
        self.file_sender: FileSender | None = None  # where there is no TLS
        self._head_deadline: asyncio.TimerHandle | None = None
        self._stall_check: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.WriteTransport)
        tls = transport.get_extra_info("sslcontext") is not None
        # Paused whenever the kernel has not taken everything: a slow client costs one chunk, no answer counts as sent
        # that is still here, where a client that reads nothing could keep it for ever, and nothing is left here when a
        # file is sent past it. (Not 0 with TLS: asyncio's transport would then count as full when it is empty.)
        transport.set_write_buffer_limits(high=1 if tls else 0)
        self.file_sender = None if tls else FileSender(transport, self._limits.send_timeout)
        self._counter.opened()
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if peer else UNIX_SOCKET
        if self._counter.open > self._limits.max_connections:
            assert self.transport is not None
            self.transport.write(_REFUSAL)
            self.force_close()
        else:
            self._expect_head()

    def data_received(self, data: bytes) -> None:
        idle = not (self._messages or self._request_in_progress or self._current_request is not None)
        if idle and self._clean and not self._paused and self.transport is not None:
            reply = self._again(data, self._peer)
            if reply is not None:
                self.transport.write(reply)
                self._stay()
                return
        # One request and nothing else, as far as this side can tell; what is parsed of it tells the rest.
        self._clean = idle and self._clean and data.endswith(b"\r\n\r\n") and data.count(b"\r\n\r\n") == 1
        super().data_received(data)
        self.only_request = data if self._clean and len(self._messages) == 1 else None
        if self._messages or self._request_in_progress or self._current_request is not None:
            if self._head_deadline is not None:
                self._head_deadline.cancel()
                self._head_deadline = None
        elif data and self._head_deadline is None:
            self._expect_head()

    def _stay(self) -> None:
        """What aiohttp does for a connection that has just been answered: it is kept for so long."""
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None
        self._next_keepalive_close_time = close_time = self._loop.time() + self._limits.keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive = True
            self._keepalive_handle = self._loop.call_at(close_time, self._process_keepalive)

    def connection_lost(self, exc: BaseException | None) -> None:
        for timer in (self._head_deadline, self._stall_check):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        self._counter.closed()

    def close(self) -> None:
        """Ends an idle connection, which aiohttp leaves open; one with a request in progress ends after it."""
        idle = self._current_request is None and not self._messages and not self._request_in_progress
        super().close()
        if idle and self.transport is not None:
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.transport is not None:
            self._watch_for_a_stall(self.transport)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall_check is not None:
            self._stall_check.cancel()

    def _watch_for_a_stall(self, transport: asyncio.WriteTransport) -> None:
        left = transport.get_write_buffer_size()

        def check() -> None:
            if transport.get_write_buffer_size() < left:
                self._watch_for_a_stall(transport)
            else:
                transport.abort()  # what the client does not take can't be flushed either

        self._stall_check = self._loop.call_later(self._limits.send_timeout, check)

    def _expect_head(self) -> None:
        self._head_deadline = self._loop.call_later(self._limits.header_timeout, self.force_close)

    def handle_error(  # type: ignore[override]
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> Reply:
        """aiohttp calls this for what its parser refuses, and for the ConnectionError by which `send` ends a body."""
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            # Another answer would be taken for the rest of the body.
            raise ConnectionAbortedError(str(exc)) from exc
        return self._refuse(request, _parse_error(exc, self._limits.max_target_bytes))


def _parse_error(exc: BaseException | None, max_target_bytes: int) -> GatewayError:
    if isinstance(exc, LineTooLong):
        # One exception serves targets and headers; it tells the text and the limit that it broke.
        text, limit = exc.args[:2]
        if limit == max_target_bytes and text.startswith((b"/", b"http")):
            return UriTooLongError(f"target over {limit} bytes")
        return HeadersTooLargeError(f"header over {limit} bytes")
    if isinstance(exc, BadHttpMessage) and "Too many headers" in exc.message:
        return HeadersTooLargeError(exc.message)
    return BadRequestError(f"not HTTP: {type(exc).__name__}", public="The request is not valid HTTP")


class Server(web.Server):
    """Makes a Connection for each client. `refuse` answers what could not be parsed."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[Reply]],
        refuse: Callable[[web.BaseRequest, GatewayError], Reply],
        limits: Limits,
        again: Callable[[bytes, str], bytes | None] = lambda head, peer: None,
    ) -> None:
        """`again` may know the reply to a request by its bytes, and the peer that it is from."""
        # A Reply has all that a connection asks of a response: prepare, write_eof, keep_alive.
        super().__init__(handler, handler_cancellation=True, access_log=None)  # type: ignore[arg-type]
        self.refuse = refuse
        self.limits = limits
        self.again = again
        self.counter = ConnectionCounter()
        self._options: dict[str, Any] = {
            "access_log": None,
            "keepalive_timeout": limits.keepalive_timeout,
            "max_line_size": limits.max_target_bytes,
            "max_field_size": limits.max_header_bytes,
            "lingering_time": _LINGERING_SECONDS,
            "auto_decompress": False,
        }

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._options)


class Listener:
    """A Server on a listening socket."""

    def __init__(self, server: Server, acceptor: asyncio.Server, listener: socket.socket) -> None:
        self._server = server
        self._acceptor = acceptor
        self._unix_path = listener.getsockname() if listener.family == socket.AF_UNIX else None

    @classmethod
    async def open(cls, server: Server, listener: socket.socket, tls: ssl.SSLContext | None) -> "Listener":
        """Starts to accept; takes `listener` over."""
        acceptor = await asyncio.get_running_loop().create_server(
            server,
            sock=listener,
            ssl=tls,
            ssl_handshake_timeout=server.limits.header_timeout if tls else None,
            backlog=_BACKLOG,
        )
        return cls(server, acceptor, listener)

    async def drain(self, grace: float) -> None:
        """Stops accepting, closes idle connections, waits up to `grace` seconds for the others, then ends them."""
        self._acceptor.close()
        if self._unix_path is not None:
            Path(self._unix_path).unlink(missing_ok=True)  # noqa: ASYNC240  one system call
        await asyncio.sleep(0)  # requests that are already here count as in flight
        self._server.pre_shutdown()
        try:
            async with asyncio.timeout(grace):
                await self._server.counter.none_left.wait()
        except TimeoutError:
            log.warning("%d connections did not finish in %g s", self._server.counter.open, grace)
        await self._server.shutdown(_FORCED_CLOSE_SECONDS)
