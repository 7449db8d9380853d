"""Channels: how the bytes of a fill reach its readers, and what they hold meanwhile."""

import asyncio
from functools import partial
from typing import Protocol, Self

from gateway.cache.disk.blocks import BlockHasher
from gateway.cache.disk.cache import DiskCache
from gateway.cache.disk.temp_entry import TempEntry
from gateway.cache.memory import CachedObject
from gateway.errors import GatewayError
from gateway.executors import ROOM
from gateway.transfer.file_broadcast import BroadcastError, FileBroadcast
from gateway.transfer.memory_broadcast import MemoryBroadcast
from gateway.transfer.parallel import MemoryBudget

# The part of the budget for bytes that the fastest reader has had and others have not: 8 MB by default. Clients of one
# build differ by their sockets' buffers, some MB.
_WAKE_SHARE = 4


class Channel(Protocol):
    """`passage` is written by the fill and read by its claims."""

    @property
    def passage(self) -> FileBroadcast | MemoryBroadcast: ...

    async def keep(self, key: str, found: CachedObject) -> bool:
        """All bytes have been written. Whether the object is on disk now."""

    def fail(self, error: GatewayError) -> None:
        """No more bytes will come."""

    def close(self) -> None:
        """No request reads any more."""


class MemoryChannel:
    """Through memory, for readers that keep up with the fastest."""

    def __init__(self, budget: MemoryBudget, reserved: int) -> None:
        self.passage = MemoryBroadcast(reserved)
        self._budget = budget
        self._reserved = reserved

    @classmethod
    def open(cls, budget: MemoryBudget) -> Self | None:
        """None if the budget has too little left."""
        share = budget.max_bytes // _WAKE_SHARE
        return cls(budget, share) if budget.reserve(share) else None

    async def keep(self, key: str, found: CachedObject) -> bool:
        return False

    def fail(self, error: GatewayError) -> None:
        self.passage.fail(error)

    def close(self) -> None:
        self._budget.give_back(self._reserved)


class DiskChannel:
    """Into the disk cache: every reader at its own pace."""

    def __init__(self, disk: DiskCache, incoming: TempEntry, found: CachedObject) -> None:
        self._disk = disk
        self._incoming = incoming
        self._hasher = BlockHasher(whole=found.sha256 is not None)
        self.passage = FileBroadcast(incoming.file, self._hasher.update)

    @classmethod
    async def open(cls, disk: DiskCache, found: CachedObject) -> Self | None:
        """None if the disk has no room for the object."""
        if not disk.takes(found.size):
            return None
        beginning = ROOM.run(disk.begin, found.size)
        try:
            incoming = await asyncio.shield(beginning)
        except BaseException:
            beginning.add_done_callback(partial(_drop_begun, disk))
            raise
        return cls(disk, incoming, found) if incoming is not None else None

    async def keep(self, key: str, found: CachedObject) -> bool:
        return await ROOM.run(self._disk.publish, key, self._incoming, self._hasher, found)

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
    ROOM.run(disk.drop, incoming)
