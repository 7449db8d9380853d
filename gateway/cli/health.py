"""`gateway health`: a health check for images that have no curl. Standard library only, so that it starts fast."""

import http.client
import socket
import ssl
import sys
from collections.abc import Callable
from urllib.parse import urlsplit

from gateway.config.settings import Settings

_TIMEOUT_SECONDS = 3.0
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  where to reach a wildcard address


def health(url: str | None, settings: Callable[[], Settings]) -> int:
    """Returns 0 if `url`, or the gateway that the settings describe, answers 200; else writes why to standard error and
    returns 1."""
    try:
        connection, path = _of_url(url) if url else _of_settings(settings())
        status = _status(connection, path)
        if status == 401 and (token := settings().ops.token) is not None:
            status = _status(connection, path, Authorization=f"Bearer {token.get_secret_value()}")
    except (OSError, http.client.HTTPException, ValueError) as error:
        print(f"gateway health: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if status != 200:
        print(f"gateway health: {path} answered {status}", file=sys.stderr)
        return 1
    return 0


def _status(connection: http.client.HTTPConnection, path: str, **headers: str) -> int:
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def _of_url(url: str) -> tuple[http.client.HTTPConnection, str]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # its message quotes part of the URL, which may be a password
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise ValueError("the URL to ask must start with http:// or https://")
    return _connection(host, port, parts.scheme == "https"), parts.path or "/health"


def _of_settings(settings: Settings) -> tuple[http.client.HTTPConnection, str]:
    server, ops = settings.server, settings.ops
    path = f"{ops.path_prefix}/health"
    tls = server.tls_cert is not None
    if server.unix_socket is not None and ops.port is None:
        return _UnixConnection(str(server.unix_socket), tls=tls), path
    port = server.port if ops.port is None else ops.port
    return _connection(_LOOPBACK.get(server.host, server.host), port, tls), path


def _connection(host: str, port: int | None, tls: bool) -> http.client.HTTPConnection:
    if not tls:
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_SECONDS, context=_context())


def _context() -> ssl.SSLContext:
    """The gateway asks itself, at an address that no certificate names."""
    return ssl._create_unverified_context()  # noqa: S323


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, *, tls: bool) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_SECONDS)
        self._path = path
        self._tls = tls

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
        if self._tls:
            self.sock = _context().wrap_socket(self.sock)
