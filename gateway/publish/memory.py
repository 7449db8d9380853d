"""The memory of all uploads together: who needs more than is left waits, and comes in turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.errors import UpstreamBusyError


class UploadMemory:
    """`most` bytes, of which no upload takes more than `most_each`.

    Large uploads leave `kept` bytes to small ones, which wait for no large ones: slow clients take minutes for these.
    Small ones take all that is free, unless a large one waits for it.
    """

    def __init__(self, most: int, most_each: int, seconds: float, *, kept: int = 0, small: int = 0) -> None:
        """Uploads wait for up to `seconds`. Those of up to `small` bytes are small."""
        self._most = most
        self._most_each = most_each
        self._seconds = seconds
        self._small = small
        self._left = most
        self._left_to_small = kept  # of that which is kept
        # Whose turn it is, in the order of arrival.
        self._large_waiting, self._small_waiting = asyncio.Lock(), asyncio.Lock()
        self._changed = asyncio.Event()
        self._running = self._asking = 0

    def stats(self) -> dict[str, int]:
        """Uploads that have memory, and that wait for it; bytes in use, and how many there are."""
        used = self._most - self._left
        return {"running": self._running, "waiting": self._asking, "used": used, "max": self._most}

    @asynccontextmanager
    async def of(self, length: int) -> AsyncIterator[None]:
        """Memory for an upload of `length` bytes. Raises UpstreamBusyError if there is none in time."""
        need, small = min(length, self._most_each), length <= self._small
        self._asking += 1
        try:
            async with asyncio.timeout(self._seconds), self._small_waiting if small else self._large_waiting:
                while not self._has(need, small=small):
                    self._changed.clear()
                    await self._changed.wait()
                self._take(need, small=small)
        except TimeoutError as error:
            raise UpstreamBusyError("other uploads have all the memory for them", code="TooManyUploads") from error
        finally:
            self._asking -= 1
            self._changed.set()  # small ones may have waited because this one did
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            self._take(-need, small=small)
            self._changed.set()

    def _has(self, need: int, *, small: bool) -> bool:
        if not small:
            return need <= self._left - max(self._left_to_small, 0)
        return need <= self._left and (need <= self._left_to_small or not self._large_waiting.locked())

    def _take(self, need: int, *, small: bool) -> None:
        self._left -= need
        if small:
            self._left_to_small -= need
