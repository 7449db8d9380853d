"""The listening side: a Connection for each client, on a socket."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from gateway.server.connections.admission import Admission
from gateway.server.connections.connection import Connection, Lookup
from gateway.server.connections.limits import Limits
from gateway.server.connections.tls import TlsHandshake
from gateway.server.protocol import HttpProtocol, Refuse, Request
from gateway.server.reply import Reply

_FORCED_CLOSE_SECONDS = 0.5
_BACKLOG = 1024
# As many connections asyncio accepts before any of them is admitted or refused. If the process is out of descriptors,
# asyncio also fails, and logs that, so many times in a row.
_ACCEPTED_AT_ONCE = 16
# How many rounds of the event loop asyncio takes from an accepted socket to its first bytes: for a task that makes the
# transport, for `connection_made`, and for the bytes.
_ROUNDS_TO_BYTES = 4

log = logging.getLogger("gateway")


class Server:
    """Makes a Connection for each client."""

    def __init__(
        self,
        handler: Callable[[Request], Awaitable[Reply]],
        refuse: Refuse,
        limits: Limits,
        admission: Admission,
        lookup: Lookup = lambda head, peer: None,
    ) -> None:
        """`refuse` answers input that can't be parsed. `lookup` returns a cached reply to a request's bytes and its
        peer, or None."""
        self.limits = limits
        self.admission = admission
        self.lookup = lookup
        self._refuse = refuse
        loop = asyncio.get_running_loop()
        # A Reply has all that aiohttp uses of a response: prepare, write_eof, keep_alive.
        self._http = web.Server(
            handler,  # type: ignore[arg-type]
            request_factory=lambda *parsed: Request(*parsed, loop),
            handler_cancellation=True,
        )

    def limit(self, limits: Limits, most: int, most_per_peer: int) -> None:
        """New connections have these limits."""
        self.limits = limits
        self.admission.limit(most, most_per_peer)

    def connection(self) -> Connection:
        return HttpProtocol(self._http, self.limits, self.admission, self.lookup, self._refuse).connection

    async def end(self) -> None:
        """Ends the requests that have not finished."""
        await self._http.shutdown(_FORCED_CLOSE_SECONDS)


class Listener:
    """A Server on a listening socket."""

    def __init__(self, server: Server, acceptor: asyncio.Server, unix_path: str | None) -> None:
        """`unix_path` is removed when nothing is accepted any more."""
        self._server = server
        self._acceptor = acceptor
        self._unix_path = unix_path

    @classmethod
    async def open(
        cls,
        server: Server,
        listener: socket.socket,
        tls: Callable[[], ssl.SSLContext | None] | None,
        *,
        shared: bool = False,
    ) -> "Listener":
        """Starts to accept connections; takes ownership of `listener`. `tls` is called for each connection. Other
        processes accept on a `shared` one: its path stays."""

        def accepted() -> asyncio.Protocol:
            connection, context = server.connection(), tls() if tls is not None else None
            return connection if context is None else TlsHandshake(connection, context, server.limits.header_timeout)

        loop = asyncio.get_running_loop()
        unix_path = listener.getsockname() if listener.family == socket.AF_UNIX and not shared else None
        acceptor = await loop.create_server(accepted, sock=listener, backlog=_ACCEPTED_AT_ONCE)
        listener.listen(_BACKLOG)  # asyncio has one number for both
        return cls(server, acceptor, unix_path)

    @property
    def admission(self) -> Admission:
        """The connections that are open."""
        return self._server.admission

    async def drain(self, grace: float) -> None:
        """Stops accepting, closes idle connections, waits up to `grace` seconds for the others, then ends them."""
        loop = asyncio.get_running_loop()
        for listening in self._acceptor.sockets:
            loop.remove_reader(listening)
        for _ in range(_ROUNDS_TO_BYTES):  # requests that are already here count as in flight
            await asyncio.sleep(0)
        self._acceptor.close()  # not before: asyncio loses the connections that it has accepted and not made yet
        if self._unix_path is not None:
            Path(self._unix_path).unlink(missing_ok=True)  # noqa: ASYNC240  one system call
        admission = self._server.admission
        for connection in admission.connections:
            connection.finish()
        try:
            async with asyncio.timeout(grace):
                await admission.none_left.wait()
        except TimeoutError:
            if admission.connections:  # else the last was about to close
                log.warning("%d connections did not finish in %g s", len(admission), grace)
        await self._server.end()
