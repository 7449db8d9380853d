"""The one upstream HTTP client. aiohttp's exceptions become GatewayErrors here and nowhere else."""

import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
from yarl import URL

from gateway.errors import GatewayError, UpstreamError, UpstreamTimeoutError

# aiohttp adds these by itself; an unexpected one could be signed differently by what stands between.
_NO_AUTOMATIC_HEADERS = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")
_READ_BUFFER_BYTES = 64 * 1024
_MAX_ERROR_BODY_BYTES = 64 * 1024
_MAX_LISTING_BYTES = 16 * 1024 * 1024


class Upstream:
    """One answer of the bucket, its head read and its body not. Ends with its body, or by `close`."""

    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = response.headers

    async def first_chunk(self) -> bytes:
        """The first bytes of the body, or `b""` if it has none. A reset before them can still be retried."""
        with _translated:
            return await self._response.content.readany()

    async def body(self, first: bytes) -> AsyncIterator[bytes]:
        """`first`, then the rest as it comes. Raises UpstreamError if the connection breaks before the end."""
        content = self._response.content
        chunk = first
        while chunk:
            yield chunk
            with _translated:
                chunk = await content.readany()

    async def read_error(self) -> bytes:
        """The start of an error body, enough to find its code; the connection is given up if there is more."""
        body = await self._read_up_to(_MAX_ERROR_BODY_BYTES, await self.first_chunk())
        self.close()
        return body

    async def read_listing(self, first: bytes) -> bytes:
        """A whole small document that starts with `first`. Raises UpstreamError if it is larger than any listing."""
        body = await self._read_up_to(_MAX_LISTING_BYTES, first)
        self.close()
        if len(body) > _MAX_LISTING_BYTES:
            raise UpstreamError(f"the listing is over {_MAX_LISTING_BYTES} bytes")
        return body

    async def _read_up_to(self, limit: int, first: bytes) -> bytes:
        chunks = []
        size = 0
        async for chunk in self.body(first):
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                break
        return b"".join(chunks)

    def close(self) -> None:
        """Ends the transfer. The connection is kept if its body was read to the end, else it is closed."""
        self._response.close()


class Client:
    """Keeps connections to the bucket. Sends exactly the headers it is given, and `Host`."""

    def __init__(
        self, *, connect_timeout: float, read_timeout: float, max_connections: int, verify: bool | Path = True
    ) -> None:
        """Times in seconds: to connect, and between two reads of the socket."""
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout, sock_read=read_timeout)
        self._max_connections = max_connections
        self._verify = verify
        self._session: aiohttp.ClientSession | None = None

    def start(self) -> None:
        """Must be called on the event loop. Raises OSError or ssl.SSLError if the CA bundle can't be read."""
        connector = aiohttp.TCPConnector(
            limit=self._max_connections,
            ssl=_ssl_context(self._verify),
            ttl_dns_cache=30,
            keepalive_timeout=15,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            skip_auto_headers=_NO_AUTOMATIC_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=_READ_BUFFER_BYTES,
        )

    async def send(self, method: str, url: str, headers: Mapping[str, str]) -> Upstream:
        """Sends one request, `url` byte for byte as given. Redirects are not followed."""
        assert self._session is not None
        with _translated:
            response = await self._session.request(
                method, URL(url, encoded=True), headers=headers, allow_redirects=False
            )
        return Upstream(response)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _ssl_context(verify: bool | Path) -> ssl.SSLContext | bool:
    if verify is False:
        return False
    return ssl.create_default_context(cafile=None if verify is True else str(verify))


class _Translated:
    """Turns aiohttp's exceptions into ours. A class, since it stands around every chunk."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, TimeoutError):
            raise UpstreamTimeoutError(f"timed out: {error or type(error).__name__}") from error
        if isinstance(error, aiohttp.ClientError | OSError):
            raise _broken(error) from error


_translated = _Translated()


def _broken(error: Exception) -> GatewayError:
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return UpstreamError(f"TLS with the bucket failed: {error}", code="TLS")
    if isinstance(error, aiohttp.ClientConnectorError):
        return UpstreamError(f"can't connect to the bucket: {error}", code="ConnectionFailed")
    return UpstreamError(f"the bucket's connection broke: {type(error).__name__}: {error}", code="ConnectionBroken")
