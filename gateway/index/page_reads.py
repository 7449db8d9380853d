"""Bounds the memory of pages that are being read or wait to be parsed.

Clients choose how many pages are asked for, and others have made them, of any length. Few are parsed at a time, and
without a bound, all that arrive meanwhile would wait in memory.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from gateway.errors import UpstreamBusyError

# Half of the connections to another index (client_for): the others are for files. A connection is held while its page
# waits.
_MAX_PAGES = 32
# Most pages are far shorter, above all compressed. Of longer ones, only a few have their turn at once.
_SMALL_BYTES = 512 * 1024
_MAX_LARGE = 2
# A page that waits holds a connection, and most clients have left by then.
_WAIT_SECONDS = 10.0


class PageRead:
    """One page, from its first byte to the end of its parsing."""

    def __init__(self, ends: AsyncExitStack, large: asyncio.Semaphore) -> None:
        self._ends = ends
        self._large = large

    async def in_turn(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The chunks of the page's body. Those of a long body wait for its turn, which lasts until the page's end.
        Raises UpstreamBusyError if its turn does not come soon."""
        size, small = 0, True
        async for chunk in chunks:
            size += len(chunk)
            if small and size > _SMALL_BYTES:
                small = False
                await _enter(self._ends, self._large)
            yield chunk


class PageReads:
    """All pages from one source."""

    def __init__(self) -> None:
        self._pages = asyncio.Semaphore(_MAX_PAGES)
        self._large = asyncio.Semaphore(_MAX_LARGE)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PageRead]:
        """Waits while many pages are being read. Raises UpstreamBusyError if that takes long."""
        async with AsyncExitStack() as ends:
            await _enter(ends, self._pages)
            yield PageRead(ends, self._large)


async def _enter(ends: AsyncExitStack, turns: asyncio.Semaphore) -> None:
    try:
        async with asyncio.timeout(_WAIT_SECONDS):
            await ends.enter_async_context(turns)
    except TimeoutError:
        raise UpstreamBusyError(f"other pages were being read for {_WAIT_SECONDS:g} s") from None
