"""The memory of all uploads together: who needs more than is left waits, and comes in turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.errors import UpstreamBusyError

# A mount may hold so many times what it leaves free, or one large upload and one small one.
_FAIR_SHARE = 2


class UploadMemory:
    """`most` bytes, of which no upload takes more than `most_each`.

    Large uploads leave `kept` bytes to small ones, which wait for no large ones: slow clients take minutes for these.
    Small ones take all that is free, unless a large one of their mount waits for it.
    """

    def __init__(
        self,
        most: int,
        most_each: int,
        seconds: float,
        *,
        kept: int = 0,
        small: int = 0,
        whole: "UploadMemory | None" = None,
    ) -> None:
        """Uploads wait for up to `seconds`. Those of up to `small` bytes are small. `whole` is what several mounts have
        together."""
        self._most, self._kept = most, kept
        self._most_each = most_each
        self._seconds = seconds
        self._small = small
        self._whole = whole or self
        self._shares = 0
        self._large_used = self._small_used = 0
        self._left = most
        self._left_to_small = kept  # of that which is kept
        # Whose turn it is at this mount, in the order of arrival.
        self._large_waiting, self._small_waiting = asyncio.Lock(), asyncio.Lock()
        self._changed = asyncio.Event()
        self._running = self._asking = 0

    def stats(self) -> dict[str, int]:
        """Uploads of all mounts that have memory, and that wait for it; bytes in use, and how many there are."""
        whole = self._whole
        used = whole._most - whole._left
        return {"running": whole._running, "waiting": whole._asking, "used": used, "max": whole._most}

    def share(self) -> "UploadMemory":
        """The part of a mount. While there is another one, a part of the whole stays free for it, also if clients of
        this one are slow."""
        self._shares += 1
        return UploadMemory(
            self._most, self._most_each, self._seconds, kept=self._kept, small=self._small, whole=self._whole
        )

    def leave(self) -> None:
        """There is no such mount any more."""
        self._whole._shares -= 1
        self._whole._changed.set()  # another may have more now

    @asynccontextmanager
    async def of(self, length: int) -> AsyncIterator[None]:
        """Memory for an upload of `length` bytes. Raises UpstreamBusyError if there is none in time."""
        need, small, changed = min(length, self._most_each), length <= self._small, self._whole._changed
        self._whole._asking += 1
        try:
            async with asyncio.timeout(self._seconds), self._small_waiting if small else self._large_waiting:
                while not self._has(need, small=small):
                    changed.clear()
                    await changed.wait()
                self._take(need, small=small)
        except TimeoutError as error:
            raise UpstreamBusyError("other uploads have all the memory for them", code="TooManyUploads") from error
        finally:
            self._whole._asking -= 1
            changed.set()  # small ones may have waited because this one did
        self._whole._running += 1
        try:
            yield
        finally:
            self._whole._running -= 1
            self._take(-need, small=small)
            changed.set()

    def _has(self, need: int, *, small: bool) -> bool:
        whole, used = self._whole, self._large_used + self._small_used
        rest = whole._left - need
        has_one = self._small_used if small else self._large_used
        if whole._shares > 1 and has_one and used + need > _FAIR_SHARE * rest:
            return False
        if small:
            return rest >= 0 and (need <= whole._left_to_small or not self._large_waiting.locked())
        return rest >= max(whole._left_to_small, 0)

    def _take(self, need: int, *, small: bool) -> None:
        self._whole._left -= need
        if small:
            self._small_used += need
            self._whole._left_to_small -= need
        else:
            self._large_used += need
