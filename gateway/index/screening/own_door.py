"""Requests for the storage's own files, where the policy judges them too."""

from gateway.index.releases import Releases
from gateway.index.resources import Resources
from gateway.index.screening.own_files import release_file
from gateway.index.simple.names import parse


class OwnFilesDoor:
    """Files that are no releases, nor describe one, pass."""

    def __init__(self, releases: Releases, resources: Resources) -> None:
        self._releases = releases
        self._resources = resources

    async def demand(self, key: str) -> None:
        """Raises WithheldError if the policy withholds the file that the key may stand for, and GatewayErrors if that
        can't be known."""
        name = release_file(key.rpartition("/")[2])
        release = parse(name)
        if release is not None and release.project in self._resources.projects_of(key):
            await self._releases.demand(release.project, name)
