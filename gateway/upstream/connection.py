"""One connection to the bucket: sends a request, then receives the head and the body of its answer.

Of the bytes that the body's reader has not taken, all but one chunk stay in the kernel: a slow client costs little
memory.
"""

import asyncio
import ssl
import time
from collections import deque

from gateway.errors import UpstreamError, UpstreamTimeoutError
from gateway.upstream.parser import Answer

# How much is read at once: some two of these are held for each slow reader, and each costs a round of the event loop. A
# reader that has kept up for more bytes than the kernel buffers gets larger reads, which saves some 10 % of the CPU. A
# reader that was away for so long that a few more rounds don't matter gets smaller ones.
_RECEIVE_BYTES = 48 * 1024
_MORE_BYTES = 128 * 1024
_LESS_BYTES = 16 * 1024
_AWAY_SECONDS = 0.1
_KEPT_UP_BYTES = 4 * 1024 * 1024
# A body that brings less than this within the read timeout counts as silent: otherwise a trickle would hold its
# readers, and all that join them, for ever. Any path that works brings a packet, which is more.
_PROGRESS_BYTES = 1024
# How much of a request's body is sent at once; in between, the sender checks whether the bucket has refused it already.
_SEND_BYTES = 256 * 1024
# All connections share one buffer: the kernel fills it for one of them, which empties it at once.
_received = memoryview(bytearray(_MORE_BYTES))
_usual = _received[:_RECEIVE_BYTES]
_less = _received[:_LESS_BYTES]


class UpstreamConnection(asyncio.BufferedProtocol):
    """Carries one request at a time. Once a body has ended, `reusable` tells whether another request may follow."""

    def __init__(self, read_timeout: float) -> None:
        """`read_timeout` is how long a reader waits for the next _PROGRESS_BYTES or the end, in seconds."""
        self._loop = asyncio.get_running_loop()
        self._read_timeout = self._timeout = read_timeout  # the usual one, and that of the present answer
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiting_since = 0.0
        self._waited = 0.0  # for _PROGRESS_BYTES of the body, without the time that its reader was away
        self._got = 0  # bytes that arrived in this time
        self._answer = Answer("GET")
        self._chunks: deque[bytes] = deque()
        self._paused_at: float | None = None
        self._buffer = _usual
        self._kept_up = 0
        self._full = False  # the send buffer waits for the bucket to take bytes
        self._error: UpstreamError | UpstreamTimeoutError | None = None

    async def exchange(
        self, method: str, head: bytes, body: bytes | memoryview = b"", *, answer_seconds: float | None = None
    ) -> Answer:
        """Sends a request and waits for the head of its answer. `answer_seconds` takes the place of the read
        timeout for it and its body. Raises UpstreamError, UpstreamTimeoutError."""
        self._answer = answer = Answer(method)
        self._waited, self._got = 0.0, 0
        self._time_out_after(answer_seconds or self._read_timeout)
        if self._transport is not None:
            self._transport.write(head)
        sent = await self._send(body) if body else True
        since = time.monotonic()
        while not answer.status:
            await self._more(since)
        if not sent:
            answer.keep_alive = False  # the bucket refused the body half way: the rest is not sent
        return answer

    async def _send(self, body: bytes | memoryview) -> bool:
        """Sends a body as fast as the bucket takes it; False if the bucket answers before it has everything."""
        view = memoryview(body)
        for start in range(0, len(body), _SEND_BYTES):
            if self._answer.begun:
                return False
            if self._transport is not None:
                self._transport.write(view[start : start + _SEND_BYTES])
            while self._full and not self._answer.begun:
                await self._more()
        return True

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Starts TLS with `host`, at the other end of a proxy's tunnel. Raises OSError, ssl.SSLError."""
        assert self._transport is not None
        self._transport = await self._loop.start_tls(self._transport, self, context, server_hostname=host)

    async def read(self) -> bytes:
        """The next bytes of the body; `b""` at its end. Raises UpstreamError if it breaks off."""
        while not self._chunks:
            if self._answer.complete:
                return b""
            if self._paused_at is not None and self._transport is not None:
                self._buffer = _less if time.monotonic() - self._paused_at > _AWAY_SECONDS else _usual
                self._paused_at = None
                self._transport.resume_reading()
            since = time.monotonic() - self._waited
            await self._more(since)
            self._waited = time.monotonic() - since
        chunk = self._chunks.popleft()
        self._got += len(chunk)
        if self._got >= _PROGRESS_BYTES:
            self._waited, self._got = 0.0, 0
        return chunk

    @property
    def reusable(self) -> bool:
        return self._transport is not None and self._answer.complete and self._answer.keep_alive and not self._chunks

    @property
    def answered(self) -> bool:
        """Whether any byte of an answer has arrived."""
        return self._answer.begun

    def close(self) -> None:
        """Closes at once, and drops bytes that have not been read."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._wake()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        try:
            if self._answer.complete:
                raise ValueError("bytes without a request")
            body = self._answer.feed(bytes(_received[:nbytes]))
        except ValueError as error:
            return self._fail(UpstreamError(f"the bucket's answer is not HTTP: {error}", code="ConnectionBroken"))
        if body:
            self._chunks.append(body)
            if self._waiter is not None:
                self._kept_up += nbytes
                if self._kept_up > _KEPT_UP_BYTES:
                    self._buffer = _received
            elif not self._answer.complete and self._transport is not None:
                self._paused_at = time.monotonic()  # its reader is busy, so the client is the slower side
                self._kept_up = 0
                self._transport.pause_reading()
        return self._wake()

    def eof_received(self) -> None:
        try:
            self._answer.feed_eof()
        except ValueError as error:
            self._fail(UpstreamError(f"the bucket's connection broke: {error}", code="ConnectionBroken"))
        self.close()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self._answer.complete:
            self._fail(UpstreamError(f"the bucket's connection broke: {exc}", code="ConnectionBroken"))

    async def _more(self, since: float | None = None) -> None:
        """Waits for bytes. The timeout counts from `since`, or from now."""
        if self._error is not None:
            raise self._error
        if self._transport is None:
            raise UpstreamError("the bucket's connection is closed", code="ConnectionBroken")
        self._waiter = self._loop.create_future()
        self._waiting_since = time.monotonic() if since is None else since
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout, self._check_time)
        try:
            await self._waiter
        finally:
            self._waiter = None
        if self._error is not None and not self._chunks:
            raise self._error

    def _time_out_after(self, seconds: float) -> None:
        if seconds != self._timeout and self._timer is not None:
            self._timer.cancel()  # it would look too late
            self._timer = None
        self._timeout = seconds

    def _check_time(self) -> None:
        """Called by a timer that serves many reads: checks how long the current one has waited."""
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return  # the client is slow, or this process: not the bucket
        left = self._waiting_since + self._timeout - time.monotonic()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_time)
        else:
            self._fail(UpstreamTimeoutError(f"the bucket sent {self._missing} for {self._timeout:g} s"))

    @property
    def _missing(self) -> str:
        """How little has arrived, for the error message."""
        if self._got:
            return f"no more than {self._got} bytes"
        return "no whole head" if self._answer.begun and not self._answer.status else "nothing"

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: UpstreamError | UpstreamTimeoutError) -> None:
        self._error = self._error or error
        self.close()
        self._wake()
