"""Builds a site out of the settings, if one is served: else nothing of it is imported."""

from typing import TYPE_CHECKING

from gateway.access.access import Access
from gateway.cache.lru import MemoryLimit
from gateway.cache.patience import Patience
from gateway.config.settings import Settings
from gateway.errors import ConfigError, Problem
from gateway.index.keys import root_of
from gateway.index.resources import Resources
from gateway.storage.base import Storage

if TYPE_CHECKING:
    from gateway.website.content.client_lifetimes import ClientLifetimes
    from gateway.website.content.representations import Representations
    from gateway.website.rights import SiteRights
    from gateway.website.website import Website

# For so long, it is not looked whether a directory has other siblings of a file, or the file itself is gone.
_LOCAL_SECONDS = 1.0


def website_of(
    settings: Settings, storage: Storage, access: Access, resources: Resources, memory: MemoryLimit, patience: Patience
) -> "Website | None":
    """Raises ConfigError for a table of redirects that can't be meant so."""
    if settings.index.mode != "site":
        return None
    from gateway.website.answer_headers import AnswerHeaders
    from gateway.website.content.client_lifetimes import ClientLifetimes
    from gateway.website.listings import Listings
    from gateway.website.objects import SiteObjects
    from gateway.website.redirects import Entry, RedirectTable
    from gateway.website.rights import SiteRights
    from gateway.website.website import Website

    site, root, rights = settings.site, root_of(settings), SiteRights(access, resources)
    redirects = RedirectTable([Entry(one.path, one.to, one.status) for one in site.redirects])
    if (pattern := redirects.endless()) is not None:
        message = f"the entry for {pattern} never ends: what it leads to is redirected again, and so on"
        raise ConfigError([Problem("site.redirects", "set", message)])
    listings = None
    if site.listing:
        listings = Listings(
            storage,
            root,
            rights,
            refresh=settings.index.refresh,
            stale_if_error=settings.cache.stale_if_error,
            memory=memory,
            patience=patience,
        )
    lifetimes = ClientLifetimes(root, [(one.path, one.value) for one in site.cache_control])
    objects = SiteObjects(
        _representations(settings, storage, lifetimes, rights, memory, patience),
        lifetimes,
        website_redirects=site.website_redirects,
        redirect_hosts=site.redirect_hosts,
    )
    return Website(
        storage,
        objects,
        listings,
        redirects,
        rights,
        AnswerHeaders([(one.path, one.headers) for one in site.headers]),
        root,
        index_document=settings.rewrite.index_document,
        spa=site.spa,
        error_document=site.error_document,
        versions=site.versions,
    )


def _representations(
    settings: Settings,
    storage: Storage,
    lifetimes: "ClientLifetimes",
    rights: "SiteRights",
    memory: MemoryLimit,
    patience: Patience,
) -> "Representations":
    from gateway.website.content.compression import Compressible, Compression
    from gateway.website.content.representations import Representations
    from gateway.website.content.siblings import Siblings
    from gateway.website.content.typed_objects import TypedObjects

    site, cache = settings.site, settings.cache
    objects, siblings, compression = TypedObjects(storage, site.types), None, None
    if site.precompressed:
        local = getattr(storage, "local", False)  # of a Backend, as directories are
        siblings = Siblings(
            objects,
            rights,
            site.precompressed,
            fresh_seconds=min(cache.index_ttl, _LOCAL_SECONDS) if local else cache.index_ttl,
            stale_if_error=cache.stale_if_error,
            memory=memory,
            patience=patience,
        )
    chosen = site.compress
    if chosen is not None and (settings.access is None or chosen.private):
        compressible = Compressible(frozenset(chosen.types), chosen.min_bytes, chosen.max_bytes, chosen.private)
        compression = Compression(objects, lifetimes, compressible, memory)
    return Representations(objects, siblings, compression, tuple(site.precompressed))
