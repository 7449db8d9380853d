"""aiohttp's side of a connection: its server protocol with our errors, and its requests with our Connection.

Uses only names of aiohttp without an underscore, so that any version works with which the tests pass.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError, LineTooLong

from gateway.errors import (
    BadRequestError,
    ContentTooLargeError,
    GatewayError,
    HeadersTooLargeError,
    LengthRequiredError,
    RequestTimeoutError,
    UriTooLongError,
    without_frames,
)
from gateway.server.connections.admission import Admission
from gateway.server.connections.connection import Connection, Lookup
from gateway.server.connections.limits import Limits
from gateway.server.connections.sendfile import FileSender
from gateway.server.reply import Reply

_FOR_EVER_SECONDS = 1e9  # Connection itself closes idle connections

log = logging.getLogger("gateway")

Refuse = Callable[["Request", GatewayError], Reply]


class Request(web.BaseRequest):
    """A request on a Connection. `head` are its bytes; None if they are unknown, or not all of the request."""

    def __init__(self, message: Any, payload: Any, protocol: "HttpProtocol", *rest: Any) -> None:
        super().__init__(message, payload, protocol, *rest)
        self._more = True
        self._connection = protocol.connection
        self._admission = protocol.admission
        self.peer = protocol.connection.peer
        self.head, self._more = protocol.connection.begin(self)

    @property
    def keep_alive(self) -> bool:
        """Whether another request may follow on the connection."""
        return self._more and super().keep_alive

    async def read_limited(self, max_bytes: int, seconds: float) -> bytes:
        """The body, all of which must arrive within `seconds`. The connection ends with the reply. Raises
        LengthRequiredError, ContentTooLargeError or RequestTimeoutError, and ConnectionError if the client leaves."""
        body = self._connection.body
        if not self.body_exists:
            return b""
        if body is None:
            raise ConnectionResetError("client gone")
        if self.content_length is None or not body.may_be_read:
            raise LengthRequiredError("a body without Content-Length")
        if self.content_length > max_bytes:
            raise ContentTooLargeError(f"a body over {max_bytes} bytes")
        try:
            with self._admission.awaiting(self._connection):
                async with asyncio.timeout(seconds):
                    pieces = []
                    while piece := await body.read():
                        pieces.append(piece)
        except TimeoutError as error:
            raise RequestTimeoutError(f"the body took over {seconds:g} s") from error
        return b"".join(pieces)

    async def pieces(self, seconds: float) -> AsyncIterator[bytes]:
        """The body, as it arrives. The connection ends with the reply; while nothing arrives, it makes room for others.
        Raises LengthRequiredError; RequestTimeoutError if nothing arrives for `seconds`; and ConnectionError if the
        client leaves."""
        body = self._connection.body
        if not self.body_exists:
            return
        if body is None:
            raise ConnectionResetError("client gone")
        if not body.may_be_read:
            raise LengthRequiredError("a body without Content-Length")
        while True:
            try:
                with self._admission.awaiting(self._connection):
                    async with asyncio.timeout(seconds):
                        piece = await body.read()
            except TimeoutError as error:
                raise RequestTimeoutError(f"nothing of the body for {seconds:g} s") from error
            if not piece:
                return
            yield piece

    async def pause(self, seconds: float) -> None:
        """Has the client wait for its answer. If others need its connection meanwhile, they get it."""
        with self._admission.awaiting(self._connection):
            await asyncio.sleep(seconds)

    async def sent(self, keep_alive: bool) -> None:
        """Called when aiohttp has sent the whole reply."""
        await self._connection.sent(keep_alive)


class HttpProtocol(web.RequestHandler):
    """aiohttp's protocol, which gets one whole head at a time, and never a body."""

    __slots__ = ("_max_target_bytes", "_refuse", "admission", "connection")

    def __init__(
        self, server: web.Server, limits: Limits, admission: Admission, lookup: Lookup, refuse: Refuse
    ) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            logger=log,
            access_log=None,  # type: ignore[arg-type]
            keepalive_timeout=_FOR_EVER_SECONDS,
            lingering_time=0,
            max_line_size=limits.max_target_bytes,
            max_field_size=limits.max_header_bytes,
            auto_decompress=False,
        )
        self.admission = admission
        self.connection = Connection(self, limits, admission, lookup)
        self._max_target_bytes = limits.max_target_bytes
        self._refuse = refuse

    @property
    def file_sender(self) -> FileSender | None:
        return self.connection.file_sender

    def handle_error(  # type: ignore[override]
        self,
        request: Request,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> Reply:
        """aiohttp calls this for input that its parser refuses, for the ConnectionError with which `send` ends a body,
        and for any other exception of the handler, which would be a bug."""
        if isinstance(exc, HttpProcessingError):
            without_frames(exc)  # they hold the received bytes, for as long as aiohttp holds the exception
            return self._refuse(request, self.connection.refusal or _parse_error(exc, self._max_target_bytes))
        if not isinstance(exc, ConnectionError):
            log.error("a request failed: this is a bug", exc_info=exc or True)  # without it, aiohttp is handling it
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            # Another answer would be taken for the rest of the body.
            self.connection.close()
            raise ConnectionAbortedError(str(exc)) from exc
        return self._refuse(request, GatewayError("unexpected exception, see the log above"))


def _parse_error(exc: HttpProcessingError, max_target_bytes: int) -> GatewayError:
    if isinstance(exc, LineTooLong):
        # aiohttp raises it for targets and for headers, with the text and the limit that the text exceeds.
        text, limit = exc.args[:2]
        if limit == max_target_bytes and text.startswith((b"/", b"http")):
            return UriTooLongError(f"target over {limit} bytes")
        return HeadersTooLargeError(f"header over {limit} bytes")
    if isinstance(exc, BadHttpMessage) and "Too many headers" in exc.message:
        return HeadersTooLargeError(exc.message)
    return BadRequestError(f"not HTTP: {type(exc).__name__}", public="The request is not valid HTTP")


def check_version(request: Request) -> None:
    """Refuses all versions but 1.0 and 1.1, and HTTP/1.0 with Transfer-Encoding, which is faulty framing (RFC 9112,
    6.1). Raises BadRequestError."""
    if request.version not in (HttpVersion10, HttpVersion11):
        raise BadRequestError("neither HTTP/1.0 nor HTTP/1.1", public="The request is not valid HTTP")
    if request.version == HttpVersion10 and "Transfer-Encoding" in request.headers:
        raise BadRequestError("Transfer-Encoding in HTTP/1.0", public="The request is not valid HTTP")
