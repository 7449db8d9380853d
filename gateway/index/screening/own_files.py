"""The policy for the storage's own files, where they are not trusted more than those of another index."""

from collections.abc import Hashable, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.cache.refreshing import RefreshedValue
from gateway.executors import PAGES
from gateway.index.catalog.listing import OBJECT_BYTES, Files
from gateway.index.catalog.project_files import listed
from gateway.index.rendered import Sourced, sourced
from gateway.index.screening.screen import Screen
from gateway.index.simple.names import COMPANIONS
from gateway.index.simple.pages import Project
from gateway.index.wheels.known_metadata import KnownMetadata
from gateway.policy.verdict import Verdict
from gateway.single_flight import SingleFlight

# Listings with more objects are gone through in a thread.
_MANY = 100


class OwnFiles(NamedTuple):
    """The objects that may be shown, and the verdicts on all that are withheld or warned of, by the names of files. The
    listing is another one if there are other verdicts: what is made of it tells them."""

    files: RefreshedValue[Files]
    verdicts: Mapping[str, Verdict]


class _Listed(NamedTuple):
    """The files of a project, and their names."""

    page: Project
    names: frozenset[str]


class OwnFilesScreen:
    """Takes objects out of listings."""

    def __init__(self, screen: Screen, memory: MemoryLimit) -> None:
        self.screen = screen
        self._pages = LruCache[str, Sourced[_Listed]](
            "own files for the policy", memory, lambda _, one: 512 + (OBJECT_BYTES + 64) * len(one.value.names)
        )
        self._listing = SingleFlight[_Listed]()
        self._stripping = SingleFlight[Files]()
        self._shown = LruCache[str, Sourced[Files]](
            "own files by policy", memory, lambda _, one: weight_of(one.version) + 8 * len(one.value.objects)
        )

    async def start(self) -> None:
        await self.screen.start()

    async def close(self) -> None:
        await self._listing.close()
        await self._stripping.close()
        await self.screen.close()

    async def demand(self, project: str, name: str, ours: RefreshedValue[Files], metadata: KnownMetadata) -> bool:
        """Whether the file is listed. Raises WithheldError if it is withheld, and GatewayErrors if that can't be
        decided."""
        listed = await self._listed(project, ours.value, metadata)
        self.screen.demand(name, (await self.screen.page(listed.page, ours.age)).verdicts.get(name))
        return name in listed.names

    async def verdicts(
        self, project: str, ours: RefreshedValue[Files], metadata: KnownMetadata
    ) -> tuple[Project, Mapping[str, Verdict]]:
        """All files, and the verdicts on them, but for those that nothing decides. Raises as `judged`."""
        listed = await self._listed(project, ours.value, metadata)
        return listed.page, await self.screen.verdicts(listed.page, ours.age)

    async def judged(self, project: str, ours: RefreshedValue[Files], metadata: KnownMetadata) -> OwnFiles:
        """Raises GatewayErrors if it can't be decided."""
        listed = await self._listed(project, ours.value, metadata)
        screened = await self.screen.page(listed.page, ours.age)
        if not screened.verdicts:
            return OwnFiles(ours, screened.verdicts)
        known = self._shown.get(project)
        if known is not None and known.stands((ours.value, screened), None):
            return OwnFiles(replace(ours, value=known.value), screened.verdicts)
        flight = project, id(ours.value), id(screened)
        files = await self._stripping.once(flight, lambda: self._strip(project, ours.value, screened))
        return OwnFiles(replace(ours, value=files), screened.verdicts)

    async def _strip(self, project: str, files: Files, screened: Project) -> Files:
        keep = partial(_without, files, frozenset(screened.withheld))
        found = await PAGES.run(keep) if len(files.objects) > _MANY else keep()
        self._shown.put(project, sourced(found, (files, screened), None))
        return found

    async def _listed(self, project: str, files: Files, metadata: KnownMetadata) -> _Listed:
        known, version = self._pages.get(project), metadata.version
        if known is not None and known.stands((files,), version):
            return known.value
        flight = project, id(files), version
        return await self._listing.once(flight, lambda: self._list(project, files, metadata, version))

    async def _list(self, project: str, files: Files, metadata: KnownMetadata, version: Hashable) -> _Listed:
        make = partial(_made, project, files, metadata)
        found = await PAGES.run(make) if len(files.objects) > _MANY else make()
        self._pages.put(project, sourced(found, (files,), version))
        return found


def release_file(name: str) -> str:
    """The name of the file that this one is, or describes."""
    for suffix in COMPANIONS:
        name = name.removesuffix(suffix)
    return name


def _made(project: str, files: Files, metadata: KnownMetadata) -> _Listed:
    page = listed(project, files, metadata, index_document="", up="", base_url="")
    return _Listed(page, frozenset(file.name for file in page.files))


def _without(files: Files, withheld: frozenset[str]) -> Files:
    objects = tuple(item for item in files.objects if release_file(item.key.rpartition("/")[2]) not in withheld)
    return replace(files, objects=objects)
