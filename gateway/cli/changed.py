"""Tells running gateways what a command has changed."""

from gateway.config.settings import Settings
from gateway.publish.beacon.announcer import Announcer
from gateway.publish.beacon.stored import StoredBeacon
from gateway.storage.base import Storage


async def tell_gateways(settings: Settings, storage: Storage, project: str) -> str:
    """What a person has to know: whether gateways look at the beacon, which is then written, or when they will see the
    change. `project` is a normalised name."""
    if not settings.publish.uses_beacon(settings.storage.resolved_backend):
        return f"Gateways see it within index.refresh, or at once after POST /-/refresh?project={project}"
    announcer = Announcer(StoredBeacon(storage), lambda: None)
    try:
        written = await announcer.announce(project)
    finally:
        await announcer.close()
    return "Gateways see it now" if written else "Gateways see it within index.refresh: the beacon can't be written"
