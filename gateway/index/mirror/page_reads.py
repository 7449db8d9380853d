"""Bounds the memory of pages that are being read or wait to be parsed.

Clients choose how many pages are asked for, and the other index how long they are. Pages are parsed one at a time, and
without a bound, all that arrive meanwhile would wait in memory.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

# Half of the connections (client_for): the others are for files. A connection is held while its page waits.
_MAX_PAGES = 32
# Most pages are far shorter, above all compressed. Of longer ones, only a few have their turn at once.
_SMALL_BYTES = 512 * 1024
_MAX_LARGE = 2


class PageRead:
    """One page, from the request to the end of its parsing."""

    def __init__(self, ends: AsyncExitStack, large: asyncio.Semaphore) -> None:
        self._ends = ends
        self._large = large

    async def in_turn(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The chunks of the page's body. Those of a long body wait for its turn, which lasts until the page's end."""
        size, small = 0, True
        async for chunk in chunks:
            size += len(chunk)
            if small and size > _SMALL_BYTES:
                small = False
                await self._ends.enter_async_context(self._large)
            yield chunk


class PageReads:
    """All pages of one index."""

    def __init__(self) -> None:
        self._pages = asyncio.Semaphore(_MAX_PAGES)
        self._large = asyncio.Semaphore(_MAX_LARGE)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PageRead]:
        """Waits while many pages are being read."""
        async with self._pages, AsyncExitStack() as ends:
            yield PageRead(ends, self._large)
