"""Builds the catalogue that the settings name."""

from typing import TypedDict

from gateway.cache.lru import MemoryLimit
from gateway.cache.patience import Patience
from gateway.config.settings import Settings
from gateway.index.catalog.flat import FlatCatalog
from gateway.index.catalog.folders import FolderCatalog
from gateway.index.catalog.recognised import Catalog, RecognisedCatalog
from gateway.storage.base import Storage

# If a local directory has no more folders than these, all are read each time that the root is listed, to find the empty
# ones. Each takes some 0.2 ms. In a bucket, each would cost a LIST request, so none is read.
_LOOKED_INTO = 500


class _CatalogOptions(TypedDict):
    """The arguments that both catalogues take."""

    index_document: str
    refresh: float
    stale_if_error: float
    memory: MemoryLimit
    patience: Patience


def build_catalog(
    settings: Settings, storage: Storage, root: str, memory: MemoryLimit, patience: Patience
) -> Catalog | None:
    """The catalogue below the key `root`; None if only stored pages are served."""
    if settings.index.mode not in ("auto", "generated"):
        return None
    shared: _CatalogOptions = {
        "index_document": settings.rewrite.index_document,
        "refresh": settings.index.refresh,
        "stale_if_error": settings.cache.stale_if_error,
        "memory": memory,
        "patience": patience,
    }
    layout = "flat" if settings.storage.prepend_hash else settings.index.layout
    if layout == "flat":
        return FlatCatalog(storage, root, **shared)
    look_into = _LOOKED_INTO if settings.storage.resolved_backend == "file" else 0
    folders = FolderCatalog(storage, root, look_into=look_into, **shared)
    if layout == "project":
        return folders
    return RecognisedCatalog(
        storage,
        root,
        folders,
        FlatCatalog(storage, root, **shared),
        refresh=settings.index.refresh,
        stale_if_error=settings.cache.stale_if_error,
        patience=patience,
    )
