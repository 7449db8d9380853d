"""Sets the status of projects (PEP 792)."""

from gateway.errors import NotFoundError
from gateway.index.catalog.listing import Files
from gateway.index.catalog.recognised import Catalog
from gateway.index.status.document import ProjectStatus
from gateway.index.status.stored import StoredStatuses
from gateway.publish.static_pages.static_pages import StaticPages


class Marking:
    """Marks the projects of one index, by their normalised names. Whoever calls it has asked whether that is permitted.
    A project need not be there: one that is quarantined is looked for nowhere."""

    def __init__(self, stored: StoredStatuses, catalog: Catalog | None, pages: StaticPages) -> None:
        """`catalog` is None if pages are not made from listings."""
        self._stored = stored
        self._catalog = catalog
        self._pages = pages

    async def of(self, project: str) -> ProjectStatus:
        """What the storage says. Raises GatewayErrors."""
        return await self._stored.of(project)

    async def set(self, project: str, status: ProjectStatus, *, may_lift: bool = True) -> None:
        """Without `may_lift`, a quarantine can't be ended. Raises ForbiddenError then, and other GatewayErrors."""
        await self._stored.change(project, status, may_lift=may_lift)

    async def show(self, project: str) -> bool:
        """Has the stored pages of the project say what the storage says, which others may change meanwhile: whoever
        comes last makes both the same. Whether that changed any. Raises GatewayErrors."""
        known, status, changed = await self.files(project), await self.of(project), False
        while True:
            changed |= await self._pages.mark(project, known, status)
            if (now := await self.of(project)) == status:
                return changed
            status = now

    async def files(self, project: str) -> Files | None:
        """None if the project has none, or that can't be listed. Raises GatewayErrors."""
        try:
            return (await self._catalog.files(project)).value if self._catalog is not None else None
        except NotFoundError:
            return None
