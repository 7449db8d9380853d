"""Shows what has been published: in this process, and in the other workers."""

from collections.abc import Callable

from gateway.errors import GatewayError, without_frames
from gateway.index.catalog.recognised import Catalog
from gateway.index.wheels.file_metadata import FileMetadata


class Visibility:
    """Has a project's page made anew."""

    def __init__(self, catalog: Catalog, metadata: FileMetadata, changed: Callable[[str], None]) -> None:
        """`changed` is called with the normalised name of a project; after that, no request of any worker is answered
        from older listings."""
        self._catalog = catalog
        self._metadata = metadata
        self._changed = changed

    async def show(self, project: str) -> None:
        """Returns when the next page of the project has its files, with what is known of them: clients look at the page
        as soon as they have their answer."""
        self._changed(project)
        try:
            files = await self._catalog.files(project)
            await self._metadata.want_once(project, files.value)
        except GatewayError as error:
            without_frames(error)  # the file is published; the page will say what is wrong
