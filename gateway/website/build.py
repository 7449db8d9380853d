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
    from gateway.website.website import Website


def website_of(
    settings: Settings, storage: Storage, access: Access, resources: Resources, memory: MemoryLimit, patience: Patience
) -> "Website | None":
    """Raises ConfigError for a table of redirects that can't be meant so."""
    if settings.index.mode != "site":
        return None
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
    objects = SiteObjects(storage, website_redirects=site.website_redirects, redirect_hosts=site.redirect_hosts)
    return Website(
        storage,
        objects,
        listings,
        redirects,
        rights,
        root,
        index_document=settings.rewrite.index_document,
        spa=site.spa,
        error_document=site.error_document,
        versions=site.versions,
    )
