"""The only upstream HTTP client: keeps connections open, and sends requests byte for byte as given."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping

from gateway import usage
from gateway.errors import UpstreamError, UpstreamTimeoutError, UpstreamUnavailableError
from gateway.tracing.context import NO_HEADERS
from gateway.tracing.span import headers as trace_headers
from gateway.upstream.circuits import Circuits
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.connector import REFUSED, Connector
from gateway.upstream.limited import read_limited
from gateway.upstream.request_span import note_answer, request_span
from gateway.upstream.retry_budget import RetryBudget

# S3 closes an idle connection after some 20 s. A request on one that it has just closed must be sent again.
_IDLE_SECONDS = 15.0
# Another index may name any number of hosts, which may keep their connections open for ever.
_MAX_IDLE_ORIGINS = 32
_MAX_ERROR_BODY_BYTES = 64 * 1024
_MAX_LISTING_BYTES = 16 * 1024 * 1024


class UpstreamResponse:
    """One answer of the bucket, with its head read and its body not. It ends with its body, or when it is closed."""

    __slots__ = ("_client", "_connection", "headers", "status")

    def __init__(
        self, client: "Client", connection: UpstreamConnection, status: int, headers: Mapping[str, str]
    ) -> None:
        self._client = client
        self._connection: UpstreamConnection | None = connection
        self.status = status
        self.headers = headers

    async def read(self) -> bytes:
        """The next bytes of the body; `b""` at its end. Raises UpstreamError if it breaks off."""
        if self._connection is None:
            return b""
        try:
            chunk = await self._connection.read()
        except (UpstreamError, UpstreamTimeoutError):
            self._client.retries.broke()
            raise
        if not chunk or self._connection.reusable:
            self.close()  # the body is complete, so another request may use the connection
        return chunk

    def may_be_sent_again(self) -> bool:
        """Whether the retry budget of all clients allows one more request; if so, counts it."""
        return self._client.retries.take()

    async def body(self, first: bytes) -> AsyncIterator[bytes]:
        """Yields `first`, then the rest as it arrives."""
        chunk = first
        del first  # it would be held for as long as the body lasts
        while chunk:
            yield chunk
            chunk = await self.read()

    async def read_error(self) -> bytes:
        """The start of an error body, enough to find its code; the connection is closed if there is more."""
        return await self._read_up_to(_MAX_ERROR_BODY_BYTES, await self.read())

    async def read_listing(self, first: bytes) -> bytes:
        """A whole document that starts with `first`. Raises UpstreamError if it is larger than any listing."""
        body = await self._read_up_to(_MAX_LISTING_BYTES, first)
        if len(body) > _MAX_LISTING_BYTES:
            raise UpstreamError(f"the listing is over {_MAX_LISTING_BYTES} bytes")
        return body

    async def _read_up_to(self, limit: int, first: bytes) -> bytes:
        try:
            return await read_limited(limit, self.body(first))
        finally:  # its reader may have left, or the body may have broken off
            self.close()

    def close(self) -> None:
        """Ends the transfer: the connection is kept if the body was read to its end, else it is closed."""
        if self._connection is not None:
            self._client.release(self._connection)
            self._connection = None


class Client:
    """Keeps idle connections by scheme and host. Sends the given headers, Host, and its User-Agent.

    `retries` is shared by all callers, which ask it before they send a request again.
    """

    def __init__(
        self,
        connector: Connector,
        *,
        max_connections: int,
        user_agent: str = "gateway",
        circuits: Circuits | None = None,
        tells_trace: bool = False,
    ) -> None:
        """At most `max_connections` requests are under way at once; others wait for up to the connect timeout. With
        `tells_trace`, servers that are trusted learn which trace a request is part of."""
        self.retries = RetryBudget()
        self._circuits = circuits or Circuits()
        self._max_connections = max_connections
        self._connector = connector
        self._user_agent = user_agent
        self._tells_trace = tells_trace
        self._free = asyncio.Semaphore(max_connections)
        self._taken = 0
        self._waiting = 0
        self._idle: dict[tuple[str, str], deque[tuple[UpstreamConnection, float]]] = {}
        self._closed = False
        self._busy: dict[UpstreamConnection, tuple[str, str]] = {}
        self._closing: asyncio.TimerHandle | None = None

    async def send(
        self,
        method: str,
        scheme: str,
        host: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | memoryview = b"",
        *,
        anew: bool = False,
        answer_seconds: float | None = None,
    ) -> UpstreamResponse:
        """Sends one request to `host` (with a port unless it is the scheme's), `target` byte for byte as given.

        Redirects are not followed. `anew` uses a new connection: on a kept one, which the server may just be closing, a
        failure does not tell whether the request arrived. `answer_seconds` is for an answer that may take
        longer than others. Raises UpstreamError, UpstreamTimeoutError; and UpstreamUnavailableError if the request was
        not sent.
        """
        with request_span(method, scheme, host, target) as span:
            head = self._head(method, scheme, host, target, headers, body)
            self._circuits.admit(host)
            await self._permit()
            cost = usage.current.get()
            if cost is not None:
                cost.began(time.monotonic())
            try:
                upstream = await self._exchange(method, scheme, host, head, body, anew, answer_seconds)
            except (UpstreamError, UpstreamTimeoutError) as error:
                if error.code != REFUSED:  # our address policy refused, not the server
                    self._circuits.failed(host, str(error))
                raise
            finally:
                if cost is not None:
                    cost.ended(time.monotonic())
            if cost is not None:
                cost.status = upstream.status
            if upstream.status == 429 or (upstream.status >= 500 and upstream.status != 501):
                self._circuits.failed(host, f"it answers {upstream.status}", target.partition("?")[0])
            else:
                self._circuits.answered(host)
                self.retries.answered()
            note_answer(span, upstream.status)
            return upstream

    async def _permit(self) -> None:
        try:
            if self._free.locked():
                self._waiting += 1
                try:
                    async with asyncio.timeout(self._connector.connect_timeout):
                        await self._free.acquire()
                finally:
                    self._waiting -= 1
            else:
                await self._free.acquire()
            self._taken += 1
        except TimeoutError:
            raise UpstreamUnavailableError(
                f"all {self._max_connections} connections are in use (storage.max_pool_connections)",
                code="NoFreeConnection",
            ) from None

    async def _exchange(
        self,
        method: str,
        scheme: str,
        host: str,
        head: bytes,
        body: bytes | memoryview,
        anew: bool,
        answer_seconds: float | None,
    ) -> UpstreamResponse:
        while True:
            connection, fresh = await self._connection(scheme, host, anew)
            try:
                answer = await connection.exchange(method, head, body, answer_seconds=answer_seconds)
                return UpstreamResponse(self, connection, answer.status, answer.headers)
            except UpstreamError:
                if fresh or connection.answered:
                    self.release(connection)
                    raise
                del self._busy[connection]  # the bucket has closed it since it was last used: no fault, try another
            except BaseException:
                self.release(connection)
                raise

    def _give_permit_back(self) -> None:
        self._taken -= 1
        self._free.release()

    def release(self, connection: UpstreamConnection) -> None:
        """Takes a connection back, and keeps it if its answer was read to the end."""
        origin = self._busy.pop(connection)
        self._give_permit_back()
        if connection.reusable and not self._closed:
            idle = self._idle[origin] = self._idle.pop(origin, deque())  # the last used comes last
            idle.append((connection, time.monotonic()))
            if self._closing is None:
                self._closing = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._close_idle)
            if len(self._idle) > _MAX_IDLE_ORIGINS:
                for unused, _ in self._idle.pop(next(iter(self._idle))):
                    unused.close()
        else:
            connection.close()

    def _close_idle(self) -> None:
        """Closes connections that have been idle for too long. Runs by a timer, while there are idle connections."""
        until = time.monotonic() - _IDLE_SECONDS
        for origin, idle in [*self._idle.items()]:
            while idle and idle[0][1] <= until:
                idle.popleft()[0].close()
            if not idle:
                del self._idle[origin]
        oldest = min((idle[0][1] for idle in self._idle.values()), default=None)
        self._closing = None
        if oldest is not None:
            self._closing = asyncio.get_running_loop().call_later(oldest - until, self._close_idle)

    def stats(self) -> dict[str, int]:
        return {
            "connections_busy": len(self._busy),
            "connections_idle": sum(len(idle) for idle in self._idle.values()),
            "connections_free": self._max_connections - self._taken,
            "connections_max": self._max_connections,
            "requests_waiting": self._waiting,
            "retries_total": self.retries.taken,
        }

    async def close(self) -> None:
        """Connections that are still being made are closed when they are released."""
        self._closed = True
        for connection in [*self._busy, *(connection for idle in self._idle.values() for connection, _ in idle)]:
            connection.close()
        self._idle.clear()
        if self._closing is not None:
            self._closing.cancel()

    async def _connection(self, scheme: str, host: str, anew: bool) -> tuple[UpstreamConnection, bool]:
        """A connection, and whether it is new. Takes the one that was used last, so that the others can expire."""
        origin = (scheme, host)
        idle = self._idle.get(origin)
        if anew and idle:
            idle.popleft()[0].close()  # the new one takes its place afterwards: otherwise there would be ever more
        while idle and not anew:
            connection, since = idle.pop()
            if connection.reusable and time.monotonic() - since < _IDLE_SECONDS:
                self._busy[connection] = origin
                return connection, False
            connection.close()
        try:
            connection = await self._connector.connect(scheme, host)
        except BaseException:
            self._give_permit_back()
            raise
        self._busy[connection] = origin
        return connection, True

    def _head(
        self,
        method: str,
        scheme: str,
        host: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | memoryview,
    ) -> bytes:
        # Not signed: proxies may change these two, as they do where they are traced themselves.
        trace = trace_headers() if self._tells_trace and self._connector.trusts(scheme, host) else NO_HEADERS
        headers = {"User-Agent": self._user_agent, **trace, **headers}
        if body or method in ("PUT", "POST"):
            headers["Content-Length"] = str(len(body))
        if scheme == "http" and (proxy := self._connector.proxies.get(scheme)) is not None:
            target = f"http://{host}{target}"
            headers |= proxy.headers()
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n"
        if head.count("\n") != len(headers) + 3 or head.count("\r") != len(headers) + 3:
            raise UpstreamError("a line break in a request's head")  # would be a second request; parsers refuse it
        return head.encode("utf-8", "surrogateescape")
