"""Tells running gateways what a command has changed."""

import asyncio

from gateway.config.settings import Settings
from gateway.index.simple.names import is_project_name
from gateway.publish.beacon.announcer import Announcer
from gateway.publish.beacon.stored import StoredBeacon
from gateway.storage.base import Storage


async def tell_gateways(settings: Settings, storage: Storage, *projects: str) -> str:
    """What a person has to know: whether gateways look at the beacon, which is then written, or when they will see the
    change. `projects` are normalised names."""
    if not settings.uses_beacon:
        only = f"?project={projects[0]}" if len(projects) == 1 else ""
        return f"Gateways see it within index.refresh, or at once after POST /-/refresh{only}"
    announcer = Announcer(StoredBeacon(storage), lambda: None)
    try:
        # Others take a beacon with anything but names for damaged. No page is shown under such a name.
        named = filter(is_project_name, projects)
        written = all(await asyncio.gather(*map(announcer.announce, named)))
    finally:
        await announcer.close()
    return "Gateways see it now" if written else "Gateways see it within index.refresh: the beacon can't be written"
