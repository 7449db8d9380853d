"""What the mounts of a gateway share: memory, by its purpose, the disk, and credentials."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from gateway.cache.disk.cache import MAX_OPEN
from gateway.cache.disk.quota import DiskQuota
from gateway.cache.lru import MemoryLimit, MemoryPool
from gateway.config.cache_settings import CacheSettings, ParallelSettings
from gateway.config.storage_settings import StorageSettings
from gateway.storage.s3 import ahead
from gateway.storage.s3.signing.credentials import CredentialSource
from gateway.transfer.parallel import MemoryBudget


class Shared(Protocol):
    """Has a part for each mount, which `leave` gives back."""

    def share(self) -> Self: ...

    def leave(self) -> None: ...


K = TypeVar("K", bound=Hashable)
S = TypeVar("S")
P = TypeVar("P", bound=Shared)

_FEW_OPEN = 4


class InUse(Generic[K, S]):
    """What mounts use together: one for each key, as long as any mount uses it."""

    def __init__(self, make: Callable[[K], S]) -> None:
        self._make = make
        self._found: dict[K, S] = {}  # the one that was taken last comes last
        self._users: Counter[K] = Counter()

    def take(self, key: K) -> S:
        """`leave` has to be called once for each call."""
        found = self._found.pop(key) if key in self._found else self._make(key)
        self._found[key] = found
        self._users[key] += 1
        return found

    def leave(self, key: K) -> None:
        self._users[key] -= 1
        if not self._users[key]:
            del self._users[key], self._found[key]

    @property
    def last(self) -> S | None:
        """The one that was taken last. What a reload has replaced may be in use beside it for a while."""
        return next(reversed(self._found.values()), None)


class Budgets:
    """Each mount gets a share of what all have together. However much one of them asks for, the others keep theirs."""

    def __init__(self, mounts: int = 1) -> None:
        """`mounts` is how many there are."""
        self.open_entries = max(_FEW_OPEN, MAX_OPEN // mounts)
        """So many entries of the disk cache stay open for one mount, each with a descriptor."""
        self._pools: dict[str, MemoryPool] = {}
        self._one: dict[Hashable, Any] = {}
        self._transfers = InUse[tuple[int, int], MemoryBudget](lambda size: MemoryBudget(*size))
        self._quotas = InUse[tuple[Path, int], DiskQuota](lambda place: DiskQuota(*place))
        self._credentials: dict[Hashable, CredentialSource] = {}

    def memory(self, purpose: str, max_bytes: int) -> MemoryLimit:
        """A share of the memory for a purpose, of which all mounts have `max_bytes` together: the most that any of them
        asks for."""
        return self._pools.setdefault(purpose, MemoryPool(max_bytes)).share(max_bytes)

    def one(self, kind: Callable[..., S], **options: Hashable) -> S:
        """The object of a kind with these options that all mounts share; made when it is asked for first."""
        wanted = kind, *sorted(options.items())
        if wanted not in self._one:
            self._one[wanted] = kind(**options)
        found: S = self._one[wanted]
        return found

    def part(self, kind: Callable[[], P]) -> P:
        """A mount's part of the object of a kind that all mounts share."""
        return self.one(kind).share()

    @property
    def pools(self) -> Mapping[str, MemoryPool]:
        """The memory of all mounts, by its purpose."""
        return self._pools

    @property
    def transfer(self) -> MemoryBudget | None:
        """The memory for bytes in transit, of which mounts have shares."""
        return self._transfers.last

    @property
    def quota(self) -> DiskQuota | None:
        """The room on disk."""
        return self._quotas.last

    def transit(self, settings: ParallelSettings) -> MemoryBudget:
        """A share of the memory for bytes in transit. A reload that changes its size changes it for all mounts."""
        return self._transfers.take((settings.memory_bytes, settings.connections)).share()

    def disk(self, settings: CacheSettings) -> DiskQuota | None:
        """The room on disk, which all mounts count together; None without a disk cache."""
        return self._quotas.take((settings.dir, settings.disk_bytes)) if settings.dir is not None else None

    def credentials(self, settings: StorageSettings) -> CredentialSource:
        """Where credentials come from that are loaded in the same way: once for all mounts that have such."""
        way = ahead.way_to_credentials(settings)
        source = self._credentials.get(way)
        if source is None or not source.users:
            self._credentials = {way: source for way, source in self._credentials.items() if source.users}
            source = self._credentials[way] = CredentialSource(ahead.loader(settings), files=ahead.files(settings))
        source.users += 1
        return source


class MountBudgets(Budgets):
    """What one mount takes of the budgets of all. It gives everything back at once."""

    def __init__(self, whole: Budgets, mounts: int = 1) -> None:
        """`mounts` is how many there are."""
        super().__init__(mounts)
        self._whole = whole
        self._limits: list[MemoryLimit] = []
        self._parts: list[Shared] = []
        self._transits: list[MemoryBudget] = []
        self._places: list[tuple[Path, int]] = []
        self._sources: list[CredentialSource] = []

    def memory(self, purpose: str, max_bytes: int) -> MemoryLimit:
        self._limits.append(self._whole.memory(purpose, max_bytes))
        return self._limits[-1]

    def one(self, kind: Callable[..., S], **options: Hashable) -> S:
        return self._whole.one(kind, **options)

    def part(self, kind: Callable[[], P]) -> P:
        part = self._whole.part(kind)
        self._parts.append(part)
        return part

    def transit(self, settings: ParallelSettings) -> MemoryBudget:
        self._transits.append(self._whole.transit(settings))
        return self._transits[-1]

    def disk(self, settings: CacheSettings) -> DiskQuota | None:
        if settings.dir is not None:
            self._places.append((settings.dir, settings.disk_bytes))
        return self._whole.disk(settings)

    def credentials(self, settings: StorageSettings) -> CredentialSource:
        self._sources.append(self._whole.credentials(settings))
        return self._sources[-1]

    def leave(self) -> None:
        """The mount has been closed: its storage has given the credentials back."""
        for limit in self._limits:
            limit.leave()
        for part in self._parts:
            part.leave()
        for transit in self._transits:
            transit.leave()
            self._whole._transfers.leave((transit.max_bytes, transit.connections))
        for place in self._places:
            self._whole._quotas.leave(place)
        self._limits.clear()
        self._parts.clear()
        self._transits.clear()
        self._places.clear()

    def abandon(self) -> None:
        """The mount could not be built, so that nobody closes it."""
        self.leave()
        for source in self._sources:
            source.users -= 1
