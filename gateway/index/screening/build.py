"""The screen of a mount, built from its settings."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.cache.disk.quota import DiskQuota
from gateway.cache.lru import MemoryLimit
from gateway.config.settings import Settings
from gateway.index.screening.exceptions import Exceptions
from gateway.index.screening.own_files import OwnFilesScreen
from gateway.index.screening.screen import FactSource, Screen
from gateway.index.screening.seen_records import FOLDER, SeenRecords
from gateway.index.screening.settings import exceptions_of, policy_of
from gateway.index.screening.stored_exceptions import StoredExceptions
from gateway.index.wheels.metadata_store import SharedMetadataStore, disk_stores
from gateway.storage.base import Storage

if TYPE_CHECKING:
    from gateway.index.screening.provenance.lookup import Documents, Reader


def build_own(settings: Settings, storage: Storage, root: str, memory: MemoryLimit) -> OwnFilesScreen:
    """The policy for the storage's own files. It knows when they were stored."""
    exceptions = Exceptions(StoredExceptions(storage, root), exceptions_of(settings.policy))
    return OwnFilesScreen(Screen(policy_of(settings.policy), "", _advisories(settings), exceptions, memory), memory)


def build_screen(
    settings: Settings,
    storage: Storage,
    root: str,
    quota: DiskQuota | None,
    memory: MemoryLimit,
    documents: "Documents",
    reader: "Reader | None",
) -> Screen:
    """For an index below the key `root`, which is asked for `documents`; `quota` is the room on disk. `reader` verifies
    the provenance among these; None if no rule asks for it. Raises ConfigError if the environment's proxies can't be
    used."""
    policy = policy_of(settings.policy)
    # What one index has had for long, another one may have got today.
    index = settings.fallback.base_url.partition("://")[2].strip("/").replace("/", "_")
    shared = SharedMetadataStore(storage, root, folder=f"{FOLDER}{index}/", asked_for="policy", must_know=True)
    sources: list[FactSource] = [SeenRecords([*disk_stores(settings, root, quota, f"seen {index}"), shared], memory)]
    if policy.asks_for_licences:
        from gateway.index.screening.licences import source

        shared = SharedMetadataStore(storage, root, folder=source.FOLDER, asked_for="policy.rules")
        stores = [*disk_stores(settings, root, quota, "licences"), shared]
        host = urlsplit(settings.fallback.base_url).hostname or ""
        sources.append(source.LicenceSource(documents, policy, host, stores, memory))
    if reader is not None:
        from gateway.index.screening.provenance.build import build_provenance

        sources.append(build_provenance(settings, policy, documents, reader, storage, root, quota, memory))
    sources += _advisories(settings)
    exceptions = Exceptions(StoredExceptions(storage, root), exceptions_of(settings.policy))
    return Screen(policy, settings.fallback.base_url, sources, exceptions, memory)


def _advisories(settings: Settings) -> list[FactSource]:
    if settings.policy.advisories is None:
        return []
    from gateway.index.screening.advisories.build import build_advisories

    return [build_advisories(settings.policy.advisories, settings.cache.dir, settings.fallback.allow_hosts)]
