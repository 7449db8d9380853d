"""What the mounts of a gateway share: memory, by its purpose, and credentials."""

from collections.abc import Hashable

from gateway.cache.lru import MemoryLimit, MemoryPool
from gateway.config.settings import ParallelSettings
from gateway.config.storage_settings import StorageSettings
from gateway.storage.s3 import ahead
from gateway.storage.s3.signing.credentials import CredentialSource
from gateway.transfer.parallel import MemoryBudget


class Budgets:
    """Each mount gets a share of what all have together. However much one of them asks for, the others keep theirs."""

    def __init__(self) -> None:
        self._pools: dict[str, MemoryPool] = {}
        self._transit: MemoryBudget | None = None
        self._credentials: dict[Hashable, CredentialSource] = {}

    def memory(self, purpose: str, max_bytes: int) -> MemoryLimit:
        """A share of the memory for a purpose, of which all mounts have `max_bytes` together: the most that any of them
        asks for."""
        return self._pools.setdefault(purpose, MemoryPool(max_bytes)).share(max_bytes)

    def transit(self, settings: ParallelSettings) -> MemoryBudget:
        """A share of the memory for bytes in transit."""
        size = settings.memory_bytes, settings.connections
        if self._transit is None or size != (self._transit.max_bytes, self._transit.connections):
            self._transit = MemoryBudget(*size)  # at start, and when a reload changes it for all mounts
        return self._transit.share()

    def credentials(self, settings: StorageSettings) -> CredentialSource:
        """Where credentials come from that are loaded in the same way: once for all mounts that have such."""
        secret, token = settings.aws_secret_access_key, settings.aws_session_token
        way = settings.profile_name, settings.aws_access_key_id, secret, token
        source = self._credentials.get(way)
        if source is None or not source.users:
            self._credentials = {way: source for way, source in self._credentials.items() if source.users}
            source = self._credentials[way] = CredentialSource(ahead.loader(settings), files=ahead.files(settings))
        source.users += 1
        return source


class MountBudgets(Budgets):
    """What one mount takes of the budgets of all. It gives everything back at once."""

    def __init__(self, whole: Budgets) -> None:
        self._whole = whole
        self._limits: list[MemoryLimit] = []
        self._transits: list[MemoryBudget] = []
        self._sources: list[CredentialSource] = []

    def memory(self, purpose: str, max_bytes: int) -> MemoryLimit:
        self._limits.append(self._whole.memory(purpose, max_bytes))
        return self._limits[-1]

    def transit(self, settings: ParallelSettings) -> MemoryBudget:
        self._transits.append(self._whole.transit(settings))
        return self._transits[-1]

    def credentials(self, settings: StorageSettings) -> CredentialSource:
        self._sources.append(self._whole.credentials(settings))
        return self._sources[-1]

    def leave(self) -> None:
        """The mount has been closed: its storage has given the credentials back."""
        for limit in self._limits:
            limit.leave()
        for transit in self._transits:
            transit.leave()
        self._limits.clear()
        self._transits.clear()

    def abandon(self) -> None:
        """The mount could not be built, so that nobody closes it."""
        self.leave()
        for source in self._sources:
            source.users -= 1
