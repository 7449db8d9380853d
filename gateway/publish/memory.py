"""The memory of all uploads together: who needs more than is left waits, and comes in turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.errors import UpstreamBusyError


class UploadMemory:
    """`most` bytes, of which no upload takes more than `most_each`."""

    def __init__(self, most: int, most_each: int, seconds: float) -> None:
        """Uploads wait for up to `seconds`."""
        self._most = most
        self._most_each = most_each
        self._seconds = seconds
        self._left = most
        self._running = 0
        self._asking = 0
        self._waiting = asyncio.Lock()  # whose turn it is, in the order of arrival
        self._freed = asyncio.Event()

    def stats(self) -> dict[str, int]:
        """Uploads that have memory, and that wait for it; bytes in use, and how many there are."""
        used = self._most - self._left
        return {"running": self._running, "waiting": self._asking, "used": used, "max": self._most}

    @asynccontextmanager
    async def of(self, length: int) -> AsyncIterator[None]:
        """Memory for an upload of `length` bytes. Raises UpstreamBusyError if there is none in time."""
        need = min(length, self._most_each)
        self._asking += 1
        try:
            async with asyncio.timeout(self._seconds), self._waiting:
                while self._left < need:
                    self._freed.clear()
                    await self._freed.wait()
                self._left -= need
        except TimeoutError as error:
            raise UpstreamBusyError("other uploads have all the memory for them", code="TooManyUploads") from error
        finally:
            self._asking -= 1
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            self._left += need
            self._freed.set()
