"""Requests for the storage's own files, where the policy judges them too."""

from contextlib import suppress

from gateway.errors import NotFoundError
from gateway.index.releases import Releases
from gateway.index.resources import Resources
from gateway.index.screening.own_files import release_file
from gateway.index.screening.screen import Screen
from gateway.index.simple.names import beginning_project, parse
from gateway.index.simple.pages import File
from gateway.messages import ObjectRequest, Stream
from gateway.storage.base import Storage


class OwnFilesDoor:
    """What belongs to no project passes."""

    def __init__(self, releases: Releases, resources: Resources, storage: Storage, screen: Screen) -> None:
        self._releases = releases
        self._resources = resources
        self._storage = storage
        self._screen = screen

    async def demand(self, key: str, alias: str | None) -> None:
        """Raises WithheldError if the policy withholds the file that the key may stand for, which may lie under `alias`
        too, and GatewayErrors if that can't be known. A release that no page lists, such as one in the folder of
        another project, is judged by its name: nothing else is known of it."""
        name = release_file(key.rpartition("/")[2])
        for project in self._resources.projects_of(key) if name else ():
            listed = await self._releases.demand(project, name)
            if not listed and _project_of(name) == project and await self._has(key, alias):
                self._screen.demand(name, await self._screen.verdict_on_copy(project, File(name, "")))

    async def _has(self, *keys: str | None) -> bool:
        for key in filter(None, keys):
            with suppress(NotFoundError):
                answer = await self._storage.fetch(ObjectRequest("HEAD", release_file(key)))
                if isinstance(answer, Stream):
                    answer.close()
                return True
        return False


def _project_of(name: str) -> str | None:
    release = parse(name)
    return release.project if release is not None else beginning_project(name)
