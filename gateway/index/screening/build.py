"""The screen of a mount, built from its settings."""

from gateway.cache.disk.quota import DiskQuota
from gateway.cache.lru import MemoryLimit
from gateway.config.settings import Settings
from gateway.index.screening.exceptions import Exceptions
from gateway.index.screening.own_files import OwnFilesScreen
from gateway.index.screening.screen import Screen
from gateway.index.screening.seen_records import FOLDER, SeenRecords
from gateway.index.screening.settings import exceptions_of, policy_of
from gateway.index.screening.stored_exceptions import StoredExceptions
from gateway.index.wheels.metadata_store import SharedMetadataStore, disk_stores
from gateway.storage.base import Storage


def build_own(settings: Settings, storage: Storage, root: str, memory: MemoryLimit) -> OwnFilesScreen:
    """The policy for the storage's own files. It knows when they were stored."""
    exceptions = Exceptions(StoredExceptions(storage, root), exceptions_of(settings.policy))
    return OwnFilesScreen(Screen(policy_of(settings.policy), "", [], exceptions, memory), memory)


def build_screen(
    settings: Settings, storage: Storage, root: str, quota: DiskQuota | None, memory: MemoryLimit
) -> Screen:
    """For an index below the key `root`; `quota` is the room on disk."""
    shared = SharedMetadataStore(storage, root, folder=FOLDER, asked_for="policy", must_know=True)
    seen = SeenRecords([*disk_stores(settings, root, quota, "seen"), shared], memory)
    exceptions = Exceptions(StoredExceptions(storage, root), exceptions_of(settings.policy))
    return Screen(policy_of(settings.policy), settings.fallback.base_url, [seen], exceptions, memory)
