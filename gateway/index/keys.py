"""What keys mean in an index with certain settings."""

from gateway.config.settings import Settings
from gateway.http.content_types import ENCODED_SUFFIXES
from gateway.index.resources import Paths, Resources
from gateway.rights.policy import Listing


def root_of(settings: Settings) -> str:
    """The key above all projects, which is empty or ends in a slash."""
    return settings.rewrite.add_prefix[1:] + "/" if settings.rewrite.add_prefix else ""


def resources_of(settings: Settings) -> Resources:
    """What keys stand for."""
    if settings.index.mode == "site":
        return Paths(root_of(settings), [ENCODED_SUFFIXES[name] for name in settings.site.precompressed])
    listed, flat = settings.index.mode in ("auto", "generated"), settings.index.layout == "flat"
    root_page = Listing.STORED if settings.index.mode == "off" else Listing.FILTERED
    return Resources(
        root_of(settings),
        index_document=settings.rewrite.index_document,
        by_folder=not (listed and (flat or settings.storage.prepend_hash)),
        root_page=Listing.COMPLETE if settings.index.mode == "static" else root_page,
        generated=listed,
    )
