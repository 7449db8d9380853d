"""The index of the settings, for commands that change it without a gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.config.settings import Settings
from gateway.errors import GatewayError
from gateway.index.catalog.recognised import Catalog
from gateway.mount import Mount
from gateway.ops.metrics import Metrics


@asynccontextmanager
async def opened_mount(settings: Settings) -> AsyncIterator[Mount]:
    """Raises ConfigError for settings that can't be used."""
    mount = Mount(settings, Metrics(lambda: None))
    try:
        await mount.storage.start()
        yield mount
    finally:
        await mount.close()


@asynccontextmanager
async def opened_index(settings: Settings) -> AsyncIterator[tuple[Mount, Catalog]]:
    """Raises ConfigError for settings that can't be used, and GatewayError if pages are not made from listings."""
    async with opened_mount(settings) as mount:
        if mount.catalog is None:
            raise GatewayError("needs index.mode auto or generated")
        yield mount, mount.catalog
