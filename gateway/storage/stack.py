"""Builds the storage that the settings name: a backend, and the decorators around it."""

import importlib
from collections.abc import Callable

from gateway.cache.memory import INDEX_BYTES, limits_of
from gateway.cache.patience import Patience
from gateway.config.settings import Settings
from gateway.errors import ConfigError, Problem
from gateway.storage.announcing import AnnouncingStorage
from gateway.storage.base import Backend, Storage
from gateway.storage.budgets import Budgets
from gateway.storage.caching import CachingStorage
from gateway.storage.directories import DirectoryMemory
from gateway.storage.local.storage import LocalStorage
from gateway.storage.redirecting import RedirectingStorage
from gateway.storage.resuming import ResumingStorage
from gateway.storage.s3.storage import S3Storage
from gateway.upstream.circuits import Circuits

_DIRECTORIES_BYTES = 2 * 1024 * 1024
_LINKS_BYTES = 8 * 1024 * 1024  # some 5,000 URLs with session tokens
_SIGNED_BYTES = 4 * 1024 * 1024  # some 3,000 signed queries with session tokens


def build_storage(
    settings: Settings,
    on_fault: Callable[[str], None] = lambda code: None,
    circuits: Circuits | None = None,
    patience: Patience | None = None,
    announce: Callable[[str], None] | None = None,
    budgets: Budgets | None = None,
) -> Storage:
    """The storage that the settings name, not started. Raises ConfigError for a backend that can't be loaded."""
    storage, parallel, cache = settings.storage, settings.parallel, settings.cache
    if settings.index.mode == "site":  # where a .zip is a file like all others
        cache = cache.model_copy(update={"file_ttl": cache.index_ttl})
    budgets = budgets or Budgets()
    backend = build_backend(settings, on_fault, circuits, budgets)
    if backend.local:
        return backend
    if announce is not None:
        backend = AnnouncingStorage(backend, announce)
    budget = budgets.transit(parallel)
    patience = patience or Patience()
    memory = budgets.memory("directories", _DIRECTORIES_BYTES)
    backend = DirectoryMemory(backend, cache.negative_ttl, cache.stale_if_error, patience, memory)
    backend = ResumingStorage(backend, parallel, budget)
    if cache.memory_bytes or cache.dir:
        limits = limits_of(cache.objects_bytes or INDEX_BYTES, budgets.memory)
        backend = CachingStorage(backend, cache, budget, patience, limits, budgets.open_entries)
    if not storage.redirect_urls:
        return backend
    return RedirectingStorage(
        backend,
        auto=storage.redirect_urls == "auto",
        min_size=storage.redirect_min_size,
        stream_user_agents=storage.stream_user_agents,
        check=storage.redirect_check,
        memory=budgets.memory("links", _LINKS_BYTES),
    )


def build_backend(
    settings: Settings,
    on_fault: Callable[[str], None] = lambda code: None,
    circuits: Circuits | None = None,
    budgets: Budgets | None = None,
) -> Backend:
    """The backend without decorators. Raises ConfigError for a backend that can't be loaded."""
    storage, budgets = settings.storage, budgets or Budgets()
    name = storage.resolved_backend
    if name == "file":
        return LocalStorage(storage.dir, storage.prefix)
    if name in ("s3", "cloudfront"):
        return S3Storage(
            storage,
            budgets.credentials(storage),
            budgets.memory("signed queries", _SIGNED_BYTES),
            index_document=settings.rewrite.index_document,
            on_fault=on_fault,
            circuits=circuits,
            website_redirects=settings.index.mode == "site" and settings.site.website_redirects,
        )
    module, _, attribute = name.partition(":")
    try:
        loaded: Backend = getattr(importlib.import_module(module), attribute)(storage)
    except (ImportError, AttributeError) as error:
        raise ConfigError([Problem("storage.backend", name, f"can't be loaded: {error}")]) from error
    return loaded
