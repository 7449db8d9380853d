"""The beacon of one gateway: tells others what is published here, and hears of them."""

from collections.abc import Callable
from functools import partial

from gateway.ops.turn import Turn
from gateway.publish.beacon.announcer import Announcer
from gateway.publish.beacon.poller import Poller
from gateway.publish.beacon.stored import StoredBeacon
from gateway.storage.base import Storage


class Beacon:
    """What is published through one gateway can be installed through all others within two seconds."""

    def __init__(
        self,
        storage: Storage,
        turn: Turn,
        *,
        listing_seconds: float,
        asked: Callable[[], int],
        refresh: Callable[[str], None],
        failed: Callable[[str], None],
    ) -> None:
        """`refresh` is called with each project that another gateway has changed, by its normalised name, or with
        EVERYTHING; `failed` with `read` or `write`. See Poller for the others."""
        stored = StoredBeacon(storage)
        self._announced = 0
        self._announcer = Announcer(stored, partial(failed, "write"))
        self._poller = Poller(
            stored,
            turn,
            listing_seconds=listing_seconds,
            asked=lambda: asked() + self._announced,  # an upload leaves a listing too
            is_own=self._announcer.has_written,
            refresh=refresh,
            failed=partial(failed, "read"),
        )

    async def start(self) -> None:
        """The storage has been started, and no client is served yet."""
        await self._poller.start()

    async def leave(self) -> None:
        """Hears no more of others, but still tells them what is published here."""
        await self._poller.close()

    async def close(self) -> None:
        await self.leave()
        await self._announcer.close()

    async def announce(self, project: str, *, everything: bool = False) -> bool:
        """See Announcer."""
        self._announced += 1
        return await self._announcer.announce(project, everything=everything)
