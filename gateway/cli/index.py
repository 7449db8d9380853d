"""The index of the settings, for commands that read or change it without a gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.config.settings import Settings
from gateway.errors import GatewayError
from gateway.index.catalog.recognised import Catalog
from gateway.mounting.mount import Mount
from gateway.ops.metrics import Metrics


@asynccontextmanager
async def opened_mount(settings: Settings, *, cached: bool = True) -> AsyncIterator[Mount]:
    """Without caches (`cached`), all is read from the storage itself. Raises ConfigError for settings that can't be
    used."""
    mount = Mount(settings if cached else _without_caches(settings), Metrics())
    try:
        await mount.storage.start()
        yield mount
    finally:
        await mount.close()


@asynccontextmanager
async def opened_index(settings: Settings, *, cached: bool = True) -> AsyncIterator[tuple[Mount, Catalog]]:
    """As `opened_mount`. Raises GatewayError if pages are not made from listings."""
    async with opened_mount(settings, cached=cached) as mount:
        if mount.catalog is None:
            raise GatewayError("needs index.mode auto or generated")
        yield mount, mount.catalog


def _without_caches(settings: Settings) -> Settings:
    cache = settings.cache.model_copy(update={"memory_bytes": 0, "dir": None})
    storage = settings.storage.model_copy(update={"redirect_urls": False})
    return settings.model_copy(update={"cache": cache, "storage": storage})
