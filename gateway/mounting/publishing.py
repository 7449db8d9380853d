"""What takes uploads at a mount, which is imported only where the settings ask for it."""

from typing import TYPE_CHECKING

from gateway.access.access import Access
from gateway.config.settings import Settings
from gateway.index.catalog.recognised import Catalog
from gateway.index.resources import Resources
from gateway.index.wheels.file_metadata import FileMetadata
from gateway.storage.base import Storage
from gateway.storage.budgets import MountBudgets

if TYPE_CHECKING:
    from gateway.index.status.statuses import ProjectStatuses
    from gateway.publish.build import Publishing
    from gateway.publish.visibility import Audience


def publishing_of(
    settings: Settings,
    storage: Storage,
    catalog: Catalog | None,
    metadata: FileMetadata,
    root: str,
    access: Access,
    resources: Resources,
    audience: "Audience | None",
    statuses: "ProjectStatuses | None",
    budgets: MountBudgets,
) -> "Publishing | None":
    """None if nothing is taken. Without an `audience`, this is no gateway that serves."""
    if not settings.publish.enabled or catalog is None or audience is None:
        return None
    from gateway.publish.build import build_publishing

    return build_publishing(settings, storage, catalog, metadata, root, access, resources, audience, statuses, budgets)
