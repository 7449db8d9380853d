"""Shows what has been published: in this process, in the other workers, and in other gateways."""

import asyncio
from typing import Protocol

from gateway.errors import GatewayError, without_frames
from gateway.index.catalog.recognised import Catalog
from gateway.index.wheels.file_metadata import FileMetadata


class Audience(Protocol):
    """Those who are told that a project has changed, by its normalised name."""

    def refresh_all(self, project: str) -> None:
        """After that, no request of any worker of this gateway is answered from older listings."""

    async def tell_others(self, project: str) -> None:
        """Returns when other gateways can know, or after a while. Never fails."""


class Visibility:
    """Has a project's page made anew."""

    def __init__(self, catalog: Catalog, metadata: FileMetadata, audience: Audience) -> None:
        self._catalog = catalog
        self._metadata = metadata
        self._audience = audience

    async def show(self, project: str) -> None:
        """Returns when the next page of the project has its files, with what is known of them: clients look at the page
        as soon as they have their answer."""
        self._audience.refresh_all(project)
        await asyncio.gather(self._audience.tell_others(project), self._list(project))

    async def _list(self, project: str) -> None:
        try:
            files = await self._catalog.files(project)
            await self._metadata.want_once(project, files.value)
        except GatewayError as error:
            without_frames(error)  # the file is published; the page will say what is wrong
