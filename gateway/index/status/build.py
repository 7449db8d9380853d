"""Builds what a gateway knows of the status of projects, where it obeys that."""

from typing import TYPE_CHECKING

from gateway.cache.patience import Patience
from gateway.config.settings import Settings
from gateway.index.keys import root_of
from gateway.index.resources import Resources
from gateway.storage.base import Storage

if TYPE_CHECKING:
    from gateway.index.status.statuses import ProjectStatuses


def project_statuses(
    settings: Settings, storage: Storage, resources: Resources, patience: Patience
) -> "ProjectStatuses | None":
    """None if the settings say that all projects are active: then nothing of it is imported."""
    if settings.index.mode == "site" or not settings.publish.uses_status(settings.storage.resolved_backend):
        return None
    return statuses_in(settings, storage, resources, patience)


def statuses_in(
    settings: Settings, storage: Storage, resources: Resources, patience: Patience | None = None
) -> "ProjectStatuses":
    """What the storage says, whether or not a gateway with these settings obeys it."""
    from gateway.index.status.statuses import ProjectStatuses
    from gateway.index.status.stored import StoredStatuses

    stored = StoredStatuses(storage, root_of(settings))
    return ProjectStatuses(stored, resources, refresh=settings.index.refresh, patience=patience)
