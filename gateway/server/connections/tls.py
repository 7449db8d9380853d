"""TLS handshakes that count as connections: asyncio's own server reports a connection when its handshake is over."""

import asyncio
import logging
import re
import ssl
from asyncio.sslproto import SSLProtocol
from typing import Any

from gateway.server.connections.connection import Connection

# While a request is being answered, reading pauses beyond so many encrypted bytes.
_MAX_WAITING_BYTES = 64 * 1024

_PLAIN_HTTP = re.compile(rb"[A-Z]{3,8} [/*]")
_HINT = b"400 This port speaks TLS: use https://\n"
_ANSWER_IN_CLEAR = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_HINT), _HINT)
)

log = logging.getLogger("gateway")


class _Tls(SSLProtocol):
    """asyncio's protocol with a smaller buffer: its own takes 256 KB for each connection, before anything arrives."""

    max_size = 32 * 1024
    _has_begun = False

    def buffer_updated(self, nbytes: int) -> None:
        """Answers a client that speaks plain HTTP; the handshake then fails, and ends the connection."""
        if not self._has_begun:
            self._has_begun = True
            carrier: Any = self._transport
            if carrier is not None and _PLAIN_HTTP.match(self.get_buffer(nbytes)[:nbytes]):
                carrier.write(_ANSWER_IN_CLEAR)
        super().buffer_updated(nbytes)


class TlsHandshake(asyncio.Protocol):
    """Secures an accepted socket, then leaves it to `connection`."""

    def __init__(self, connection: Connection, context: ssl.SSLContext, timeout: float) -> None:
        """`timeout` is what the handshake may take, in seconds."""
        self._connection = connection
        self._context = context
        self._timeout = timeout
        self._admitted = False
        self._secured = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called twice: for the accepted socket, and by `_Tls` when the handshake is over."""
        assert isinstance(transport, asyncio.Transport)
        if self._admitted:
            self._start(transport)
        elif self._connection.admit(transport):
            self._admitted = True
            self._shake_hands(transport)
        else:
            transport.abort()

    def _shake_hands(self, transport: asyncio.Transport) -> None:
        transport.set_write_buffer_limits(high=0)  # bytes that wait for the client are held once, by `_Tls`
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        done.add_done_callback(self._handshake_done)
        timeout: Any = self._timeout  # typeshed has it as a whole number
        tls = _Tls(loop, self, self._context, done, server_side=True, ssl_handshake_timeout=timeout)
        transport.set_protocol(tls)
        tls.connection_made(transport)

    def _start(self, transport: asyncio.Transport) -> None:
        """Hands the transport to `connection`, which first gets the bytes that came with the end of the handshake."""
        self._secured = True
        transport.set_read_buffer_limits(high=_MAX_WAITING_BYTES)  # type: ignore[attr-defined]
        transport.set_protocol(self._connection)
        self._connection.start(transport, secured=True)

    def _handshake_done(self, done: asyncio.Future[None]) -> None:
        if done.cancelled() or self._secured:
            return
        if error := done.exception():
            log.debug("TLS handshake with %s failed: %s", self._connection.peer, error)
        self._connection.connection_lost(None)
