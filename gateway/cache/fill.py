"""Fills: a fill is one fetch of an object, and answers several requests while it runs.

A fill runs for the requests that hold a claim on it. A request takes its claim in the same step that decides to answer
it from the fill, and gives it back exactly once.

    state    what it means                            joinable                  when the last claim is given back
    -------  ---------------------------------------  ------------------------  ----------------------------------
    ASKING   the storage has not answered yet, or a   yes                       the fetch is cancelled
             small body is being read
    FLOWING  a large body passes through a channel    while its start can be    the fetch is cancelled
                                                      read
    KEEPING  all bytes are written; the cache entry   as FLOWING, also without  the fill finishes, which takes
             is being published                       any claim                 milliseconds
    ENDED    the object is known, or absent; its      no                        the channel's memory or file, and a
             stream is for one request alone, or                                stream that no request has taken, are
             its channel gets no more bytes                                     released

In the step that cancels it, a fill stops being joinable: no request joins a fill that is being cancelled. While it is
KEEPING, requests join it even if no other reads it: a request that asked the storage instead would outdate the entry
that is being published. `retire` stops a fill in any state: requests with claims read on, later requests ask the
storage again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from types import TracebackType
from typing import Self, TypeAlias

from gateway.cache.cached_response import NotHereError, Parts
from gateway.cache.channel import Channel
from gateway.cache.continued import Continued
from gateway.cache.memory import CachedObject
from gateway.errors import GatewayError, UpstreamError
from gateway.messages import Stream
from gateway.single_flight import retrieve_exception
from gateway.tracing.span import current
from gateway.transfer.source import ObjectSource

log = logging.getLogger("gateway.cache")


@dataclass(frozen=True, slots=True)
class Opened:
    """The stream of a whole object that is not kept in memory. `found` is None if requests can't share the stream: it
    has no strong ETag or no length, or may not be cached."""

    found: CachedObject | None
    stream: Stream


Head: TypeAlias = CachedObject | Opened
# Asks the storage on behalf of a fill.
Ask: TypeAlias = Callable[["Fill"], Awaitable[Head]]
Route: TypeAlias = Callable[["Fill", CachedObject], Awaitable[Channel | None]]


class _State(Enum):
    ASKING = 1
    FLOWING = 2
    KEEPING = 3
    ENDED = 4


class Fill:
    """See the table above. `current` is False once the object may have changed since the fetch began."""

    def __init__(
        self,
        key: str,
        ask: Ask,
        route: Route,
        source: ObjectSource,
        *,
        began: float,
        on_kept: Callable[["Fill"], None],
        on_over: Callable[["Fill"], None],
    ) -> None:
        """`began` is on the cache's clock. `route` opens the channel of a large body, or returns None to give the
        stream to one request alone. `on_kept` is called when the object is on disk, `on_over` at the end."""
        self.key = key
        self.began = began
        self.current = True
        self.claims = 0
        self.found: CachedObject | None = None
        self.channel: Channel | None = None
        self.taken = False
        self._ask = ask
        self._route = route
        self._source = source
        self._on_kept = on_kept
        self._on_over = on_over
        self._state = _State.ASKING
        self._retired = False
        self._noted: str | None = None
        self._stream: Stream | None = None
        self._span = current.get().child("fill")
        loop = asyncio.get_running_loop()
        self._head: asyncio.Future[Head] = loop.create_future()
        self._head.add_done_callback(retrieve_exception)  # every request may have left
        self._task = loop.create_task(self._run())
        self._task.add_done_callback(self._ended)

    @property
    def joinable(self) -> bool:
        readable = self.channel is None or self.channel.passage.joinable
        return readable and self._state is not _State.ENDED and not self._retired

    def claim(self) -> "Claim":
        assert self.joinable
        self.claims += 1
        current.get().link(self._span)
        return Claim(self, self._source)

    def give_back(self) -> None:
        """Called by a claim, once."""
        self.claims -= 1
        if self.claims:
            return
        _WHEN_LEFT[self._state](self)

    def retire(self) -> None:
        """Prevents further requests from joining."""
        self._retired = True

    def outdate(self) -> None:
        """The object may have changed: the answer is only for the requests that already wait for it."""
        self.current = False
        self.retire()

    def note(self, etag: str) -> None:
        """A listing shows the object with this ETag."""
        self._noted = etag
        if self.found is not None:
            self._compare(self.found)

    def keeps(self, found: CachedObject) -> bool:
        """Whether to cache the object that the storage has answered with."""
        self._compare(found)
        return self.current

    def _compare(self, found: CachedObject) -> None:
        if self._noted not in (None, found.etag):
            self.outdate()

    async def head(self) -> Head:
        """Waits for the storage's answer. Raises its error."""
        return await asyncio.shield(self._head)

    def take(self) -> Stream | None:
        """Returns the stream that is for one request alone; None if it is taken, or goes to a channel."""
        if self.channel is not None or self._stream is None:
            return None
        stream, self._stream = self._stream, None
        self.taken = True
        return stream

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        with self._span:
            try:
                head = await self._ask(self)
                if isinstance(head, Opened):
                    self._stream, self.found = head.stream, head.found
                    if head.found is not None:
                        self._compare(head.found)
                        self.channel = await self._route(self, head.found)
            except Exception as error:
                self._span.raised(error)
                self.retire()
                self._head.set_exception(error)
                return
            if self.channel is None:
                self.retire()
                self._head.set_result(head)
            else:
                self._state = _State.FLOWING
                self._head.set_result(head)
                await self._flow(self.channel, head)

    async def _flow(self, channel: Channel, head: Head) -> None:
        assert isinstance(head, Opened)
        assert head.found is not None
        assert head.stream.body is not None
        try:
            async for chunk in head.stream.body:
                await channel.passage.write(chunk)
            self._state = _State.KEEPING
            await channel.passage.finish()
            if self.current and await channel.keep(self.key, head.found):
                self._on_kept(self)  # the fill may have been outdated meanwhile
        except GatewayError as error:
            self._span.raised(error)
            channel.fail(error)
        except asyncio.CancelledError:
            channel.fail(UpstreamError("the gateway stops"))
            raise
        except Exception:
            log.exception("reading %r failed: this is a bug", self.key)
            channel.fail(GatewayError("unexpected exception, see the log above"))

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Called even if the task was cancelled before it started."""
        self._state = _State.ENDED
        self._span.end()
        if not self._head.done():
            self._head.set_exception(UpstreamError("the gateway stops"))
        if self.channel is not None:
            self._close_stream()
        if not self.claims:
            self._over()

    def _cancel(self) -> None:
        self.retire()
        self._task.cancel()

    def _go_on(self) -> None:
        """Lets the fill finish: in milliseconds, the object is on disk for later requests."""

    def _close_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _over(self) -> None:
        self._close_stream()
        if self.channel is not None:
            self.channel.close()
        del self._head  # nobody waits for it any more; the frames of an error in it refer to the fill
        self._on_over(self)


# The last column of the table above.
_WHEN_LEFT: dict[_State, Callable[[Fill], None]] = {
    _State.ASKING: Fill._cancel,
    _State.FLOWING: Fill._cancel,
    _State.KEEPING: Fill._go_on,
    _State.ENDED: Fill._over,
}


class Claim:
    """One request's hold on a fill, and a Source (see cached_response.py). As a context manager, it gives itself back
    on exit, unless a body is being read: then the body gives it back when it ends or is closed."""

    def __init__(self, fill: Fill, source: ObjectSource) -> None:
        self._fill: Fill | None = fill
        self._source = source
        self._reading = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._reading:
            self._give_back()

    @property
    def fill(self) -> Fill:
        assert self._fill is not None, "the claim has been given back"
        return self._fill

    async def head(self) -> Head:
        """See Fill."""
        return await self.fill.head()

    def take(self) -> Stream | None:
        """See Fill. Closing the stream gives the claim back."""
        stream = self.fill.take()
        if stream is not None:
            self._reading = True
            stream.close = partial(self._close, stream.close)
        return stream

    def read(self, start: int, stop: int) -> tuple[Parts, Callable[[], None]]:
        channel, found = self.fill.channel, self.fill.found
        if channel is None or found is None or not channel.passage.reaches(start):
            raise NotHereError
        self._reading = True
        here = channel.passage.parts(start, stop)
        body = Continued(here, self._source, self.fill.key, found, start, stop, self._give_back)
        return body.parts(), body.close

    def _close(self, close: Callable[[], None]) -> None:
        close()
        self._give_back()

    def _give_back(self) -> None:
        fill, self._fill = self._fill, None
        if fill is not None:
            fill.give_back()
