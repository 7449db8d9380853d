"""Sets the status of a project in the storage of the settings, or tells it."""

from collections.abc import Callable

from gateway.cli.changed import tell_gateways
from gateway.cli.index import opened_mount
from gateway.cli.publish.destinations import why
from gateway.cli.terminal import note
from gateway.config.settings import Settings
from gateway.errors import GatewayError
from gateway.index.status.document import ProjectStatus
from gateway.index.status.stored import StoredStatuses
from gateway.publish.life_cycle.marking import Marking
from gateway.publish.static_pages.static_pages import static_pages_of


async def run(settings: Settings, project: str, status: ProjectStatus | None, write: Callable[[str], None]) -> int:
    """Returns the exit code. Raises ConfigError for settings that can't be used."""
    try:
        async with opened_mount(settings) as mount:
            storage = mount.storage
            pages = static_pages_of(settings, storage, mount.root)
            marking = Marking(StoredStatuses(storage, mount.root), mount.catalog, pages)
            if status is None:
                write((await marking.of(project)).of(project))
                return 0
            await marking.set(project, status)
            write(status.of(project))
            try:
                if await marking.files(project) is None and mount.catalog is not None:
                    note(f"There is no file of {project} here: is the name right?")
                await marking.show(project)
            finally:
                write(await tell_gateways(settings, storage, project))
            if not settings.publish.uses_status(settings.storage.resolved_backend):
                write("Gateways obey it where publish.status is set, or publish.enabled or publish.beacon")
    except GatewayError as error:
        note(f"gateway status: {why(error)}")
        return 1
    return 0
