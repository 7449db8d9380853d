"""What the mounts of a gateway share: memory, by its purpose, the disk, and credentials."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

from gateway.cache.disk.cache import MAX_OPEN
from gateway.cache.disk.quota import DiskQuota
from gateway.cache.lru import MemoryLimit, MemoryPool
from gateway.config.cache_settings import CacheSettings, ParallelSettings
from gateway.config.storage_settings import StorageSettings
from gateway.storage.s3 import ahead
from gateway.storage.s3.signing.credentials import CredentialSource
from gateway.transfer.parallel import MemoryBudget

S = TypeVar("S")

_FEW_OPEN = 4


class Budgets:
    """Each mount gets a share of what all have together. However much one of them asks for, the others keep theirs."""

    def __init__(self, mounts: int = 1) -> None:
        """`mounts` is how many there are."""
        self.open_entries = max(_FEW_OPEN, MAX_OPEN // mounts)
        """So many entries of the disk cache stay open for one mount, each with a descriptor."""
        self._pools: dict[str, MemoryPool] = {}
        self._one: dict[Callable[[], Any], Any] = {}
        self.transfer: MemoryBudget | None = None
        self.quota: DiskQuota | None = None
        self._credentials: dict[Hashable, CredentialSource] = {}

    def memory(self, purpose: str, max_bytes: int) -> MemoryLimit:
        """A share of the memory for a purpose, of which all mounts have `max_bytes` together: the most that any of them
        asks for."""
        return self._pools.setdefault(purpose, MemoryPool(max_bytes)).share(max_bytes)

    def one(self, kind: Callable[[], S]) -> S:
        """The object of a kind that all mounts share; made when it is asked for first."""
        if kind not in self._one:
            self._one[kind] = kind()
        found: S = self._one[kind]
        return found

    @property
    def pools(self) -> Mapping[str, MemoryPool]:
        """The memory of all mounts, by its purpose."""
        return self._pools

    def transit(self, settings: ParallelSettings) -> MemoryBudget:
        """A share of the memory for bytes in transit."""
        if self.transfer is None:
            self.transfer = MemoryBudget(settings.memory_bytes, settings.connections)
        return self.transfer.share()

    def disk(self, settings: CacheSettings) -> DiskQuota | None:
        """The room on disk, which all mounts count together; None without a disk cache."""
        if self.quota is None and settings.dir is not None:
            self.quota = DiskQuota(settings.dir, settings.disk_bytes)
        return self.quota

    def credentials(self, settings: StorageSettings) -> CredentialSource:
        """Where credentials come from that are loaded in the same way: once for all mounts that have such."""
        way = ahead.way_to_credentials(settings)
        source = self._credentials.get(way)
        if source is None or not source.users:
            source = self._credentials[way] = CredentialSource(ahead.loader(settings))
        source.users += 1
        return source
