"""Channels: they pass the bytes of a fill to its readers, and hold memory or disk space meanwhile."""

import asyncio
from functools import partial
from typing import Protocol, Self

from gateway.cache.disk.blocks import BlockHasher
from gateway.cache.disk.cache import DiskCache
from gateway.cache.disk.temp_entry import TempEntry
from gateway.cache.memory import CachedObject
from gateway.cache.patience import Patience
from gateway.errors import GatewayError
from gateway.executors import CACHE
from gateway.transfer.file_broadcast import BroadcastError, FileBroadcast
from gateway.transfer.memory_broadcast import MemoryBroadcast
from gateway.transfer.parallel import MemoryBudget

# This part of the budget holds bytes that the fastest reader has read and others have not: 8 MB by default. Clients of
# the same build are apart by what their socket buffers hold, some MB.
_WAKE_SHARE = 4


class Channel(Protocol):
    """The fill writes to `passage`, and its claims read from it."""

    @property
    def passage(self) -> FileBroadcast | MemoryBroadcast: ...

    async def keep(self, key: str, found: CachedObject) -> bool:
        """Called when all bytes have been written. Returns whether the object is on disk now."""

    def fail(self, error: GatewayError) -> None:
        """Tells readers that no more bytes will arrive."""

    def close(self) -> None:
        """Called when no request reads any more."""


class MemoryChannel:
    """Passes bytes through memory, to readers that keep up with the fastest."""

    def __init__(self, budget: MemoryBudget, reserved: int) -> None:
        self.passage = MemoryBroadcast(reserved)
        self._budget = budget
        self._reserved = reserved

    @classmethod
    def open(cls, budget: MemoryBudget) -> Self | None:
        """Returns None if too little of the budget is left."""
        share = budget.max_bytes // _WAKE_SHARE
        return cls(budget, share) if budget.reserve(share) else None

    async def keep(self, key: str, found: CachedObject) -> bool:
        return False

    def fail(self, error: GatewayError) -> None:
        self.passage.fail(error)

    def close(self) -> None:
        self._budget.give_back(self._reserved)


class DiskChannel:
    """Passes bytes through a file of the disk cache; every reader reads at its own pace."""

    def __init__(self, disk: DiskCache, incoming: TempEntry, found: CachedObject) -> None:
        self._disk = disk
        self._incoming = incoming
        self._hasher = BlockHasher(whole=found.sha256 is not None)
        self.passage = FileBroadcast(incoming.file, self._hasher.update)

    @classmethod
    async def open(cls, disk: DiskCache, found: CachedObject, patience: Patience) -> Self | None:
        """Returns None if the disk has no room for the object. Raises UpstreamTimeoutError if it takes longer than
        `patience` to make room."""
        if not disk.takes(found.size):
            return None
        beginning = CACHE.run(disk.begin, found.size)
        try:
            incoming = await patience.fresh(beginning)
        except BaseException:
            beginning.add_done_callback(partial(_drop_begun, disk))
            raise
        return cls(disk, incoming, found) if incoming is not None else None

    async def keep(self, key: str, found: CachedObject) -> bool:
        return await CACHE.run(self._disk.publish, key, self._incoming, self._hasher, found)

    def fail(self, error: GatewayError) -> None:
        self.passage.fail(error)
        if isinstance(error, BroadcastError):
            self._disk.trouble(error)

    def close(self) -> None:
        self.passage.close()
        _drop(self._disk, self._incoming)


def _drop_begun(disk: DiskCache, beginning: "asyncio.Future[TempEntry | None]") -> None:
    if not beginning.cancelled() and beginning.exception() is None and (incoming := beginning.result()) is not None:
        _drop(disk, incoming)


def _drop(disk: DiskCache, incoming: TempEntry) -> None:
    CACHE.run(disk.drop, incoming)
