"""What knows the provenance of files, built from the settings."""

from urllib.parse import urlsplit

from gateway.cache.disk.quota import DiskQuota
from gateway.cache.lru import MemoryLimit
from gateway.config.settings import Settings
from gateway.index.screening.provenance.lookup import Documents, Lookup, Reader
from gateway.index.screening.provenance.source import FOLDER, ProvenanceSource
from gateway.index.wheels.metadata_store import SharedMetadataStore, disk_stores
from gateway.policy.release_policy import ReleasePolicy
from gateway.storage.base import Storage


def build_provenance(
    settings: Settings,
    policy: ReleasePolicy,
    documents: Documents,
    reader: Reader,
    storage: Storage,
    root: str,
    quota: DiskQuota | None,
    memory: MemoryLimit,
) -> ProvenanceSource:
    """For an index below the key `root`; `quota` is the room on disk."""
    shared = SharedMetadataStore(storage, root, folder=FOLDER, asked_for="policy.rules: provenance")
    stores = [*disk_stores(settings, root, quota, "provenance"), shared]
    upstream = urlsplit(settings.fallback.base_url).hostname or ""
    return ProvenanceSource(Lookup(documents, reader), policy, upstream, stores, memory, retry=settings.index.refresh)
