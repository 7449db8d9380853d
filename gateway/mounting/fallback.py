"""The other index of a mount, built from its settings."""

from typing import TYPE_CHECKING, NamedTuple

from gateway.cache.disk.quota import DiskQuota
from gateway.cache.lru import MemoryLimit
from gateway.config.settings import Settings
from gateway.index.backlog import Backlog
from gateway.index.catalog.recognised import Catalog
from gateway.index.mirror.fallback import Fallback
from gateway.index.mirror.other_index import OtherIndex
from gateway.index.mirror.upstream_index import UpstreamIndex
from gateway.index.wheels.file_metadata import FileMetadata
from gateway.storage.base import Storage
from gateway.storage.s3.clients import client_for
from gateway.upstream.address_policy import AddressPolicy
from gateway.upstream.circuits import Circuits

if TYPE_CHECKING:
    from gateway.publish.attestations.publisher import ProvenanceReader


class FallbackMemory(NamedTuple):
    """For what the other index says, for what it does not have, and for what is known of projects that both have."""

    pages: MemoryLimit
    refusals: MemoryLimit
    copied: MemoryLimit


def build_fallback(
    settings: Settings,
    storage: Storage,
    root: str,
    quota: DiskQuota | None,
    catalog: Catalog,
    metadata: FileMetadata,
    circuits: Circuits,
    memory: FallbackMemory,
    backlog: Backlog,
) -> Fallback:
    """The index that `fallback.base_url` names, in front of it the policy, if there is one. `root` is the key of our
    own, and `quota` the room on disk. Raises ConfigError if a rule needs what is not installed."""
    base_url = settings.fallback.base_url
    policy = AddressPolicy(base_url, settings.fallback.allow_hosts)
    upstream: OtherIndex = UpstreamIndex(
        client_for(base_url, policy, circuits, tells_trace=True),
        base_url,
        refresh=settings.index.refresh,
        stale_if_error=settings.cache.stale_if_error,
        memory=memory.pages,
        refusals=memory.refusals,
        backlog=backlog,
    )
    if settings.policy.decides:
        from gateway.index.screening.build import build_screen
        from gateway.index.screening.screened_index import ScreenedIndex

        screen = build_screen(settings, storage, root, quota, memory.pages, upstream, _provenance_reader(settings))
        upstream = ScreenedIndex(upstream, screen)
    return Fallback(settings.fallback, catalog, upstream, metadata, memory.copied)


def _provenance_reader(settings: Settings) -> "ProvenanceReader | None":
    """None if no rule asks for provenance. Raises ConfigError if it can't be verified."""
    if not any(rule.provenance for rule in settings.policy.rules):
        return None
    from gateway.publish.attestations.build import build_verifier

    verifier = build_verifier(settings.publish, "policy.rules")
    from gateway.publish.attestations.publisher import ProvenanceReader

    return ProvenanceReader(verifier)
