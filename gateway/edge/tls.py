"""TLS handshakes, as connections that count: asyncio's own server tells of a connection when its handshake is over."""

import asyncio
import logging
import ssl

from gateway.edge.connection import Connection

log = logging.getLogger("gateway")


class TlsHandshake(asyncio.Protocol):
    """Secures an accepted socket, then leaves it to `connection`."""

    def __init__(self, connection: Connection, context: ssl.SSLContext, timeout: float) -> None:
        """`timeout` is what the handshake may take, in seconds."""
        self._connection = connection
        self._context = context
        self._timeout = timeout
        self._task: asyncio.Task[None] | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self._connection.admit(transport):
            self._task = asyncio.get_running_loop().create_task(self._run(transport))
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """What came with the handshake's last bytes: asyncio hands it on before `start_tls` returns."""
        self._early.append(data)

    async def _run(self, transport: asyncio.Transport) -> None:
        secured = None
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport, self, self._context, server_side=True, ssl_handshake_timeout=self._timeout
            )
        except OSError as error:  # as are ssl.SSLError and TimeoutError
            log.debug("TLS handshake with %s failed: %s", self._connection.peer, error)
        if secured is None:  # failed, or the client is gone
            self._connection.connection_lost(None)
            return
        secured.set_protocol(self._connection)
        self._connection.start(secured, secured=True)
        for data in self._early:
            self._connection.data_received(data)
