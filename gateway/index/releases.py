"""Collects a project's releases, from the storage and from the other index."""

from collections.abc import Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from gateway.cache.refreshing import RefreshedValue
from gateway.config.settings import IndexSettings
from gateway.errors import NotFoundError, without_frames
from gateway.index.catalog.listing import Files
from gateway.index.catalog.project_files import listed, merged, newest_wheel
from gateway.index.catalog.recognised import Catalog, is_ours
from gateway.index.mirror.fallback import Fallback
from gateway.index.simple.pages import Project
from gateway.index.wheels.file_metadata import FileMetadata
from gateway.index.wheels.known_metadata import NOTHING_KNOWN, KnownMetadata
from gateway.messages import Redirect
from gateway.storage.base import StoredObject

if TYPE_CHECKING:  # nothing of it is imported where it is off
    from gateway.index.screening.own_files import OwnFilesScreen
    from gateway.index.screening.screen import Screen
    from gateway.index.status.document import ProjectStatus
    from gateway.index.status.statuses import ProjectStatuses
    from gateway.policy.verdict import Verdict


# Those of a project that offers none.
_NO_FILES = Files((), frozenset())


@dataclass(frozen=True, slots=True)
class Sources:
    """A project's releases in the storage (`ours`) and in the other index (`theirs`); at least one of them is set.
    `view` is empty if all readers of the project see them. `hidden` are the names of files of ours that some must not
    see, and for which they get none of the other index. `status` is None if the project is active.
    `verdicts` are those of the policy on files of ours."""

    name: str
    ours: RefreshedValue[Files] | None
    theirs: RefreshedValue[Project] | None
    metadata: KnownMetadata  # of ours
    view: str = ""
    hidden: frozenset[str] = frozenset()
    status: "ProjectStatus | None" = None
    verdicts: "Mapping[str, Verdict]" = field(default_factory=lambda: MappingProxyType({}))

    @property
    def all(self) -> list[RefreshedValue[Files] | RefreshedValue[Project]]:
        return [source for source in (self.ours, self.theirs) if source is not None]


class Releases:
    """Puts a project's page together."""

    def __init__(
        self,
        catalog: Catalog,
        metadata: FileMetadata,
        fallback: Fallback | None,
        *,
        index_document: str,
        settings: IndexSettings,
        statuses: "ProjectStatuses | None" = None,
        own: "OwnFilesScreen | None" = None,
    ) -> None:
        """Without `statuses`, all projects are active; without `own`, the policy is not for our own files."""
        self._own = own
        self._statuses = statuses
        self._catalog = catalog
        self._metadata = metadata
        self._fallback = fallback
        self._index_document = index_document
        self._settings = settings

    async def of(self, name: str, *, fallback: bool) -> Sources | Redirect:
        """The sources of a project, by its normalised name; with `fallback`, the other index may be one. Raises
        NotFoundError if there is no such project, and other errors if that can't be known."""
        status = await self._statuses.of(name) if self._statuses is not None else None
        if status is not None and not status.offers_files:
            return Sources(name, RefreshedValue(_NO_FILES, 0.0), None, NOTHING_KNOWN, status=status)
        ours: RefreshedValue[Files] | None = None
        theirs: RefreshedValue[Project] | None = None
        try:
            ours = await self._catalog.files(name)
        except NotFoundError as error:
            absent = without_frames(error)
        other = self._fallback if fallback else None
        if other is not None and (ours is None or other.always):
            if await other.covers(name):
                if ours is None and other.redirects:
                    return other.redirect(name)
                try:
                    theirs = await other.upstream.project(name)
                except NotFoundError as error:
                    absent = without_frames(error)
            elif ours is None:
                ours = await self._catalog.files(name)  # the listing that made it ours may be newer
        if ours is None and theirs is None:
            raise absent
        metadata = await self._metadata.want_once(name, ours.value) if ours is not None else NOTHING_KNOWN
        if self._own is None or ours is None:
            return Sources(name, ours, theirs, metadata, status=status)
        ours, verdicts = await self._own.judged(name, ours, metadata)
        return Sources(name, ours, theirs, metadata, status=status, verdicts=verdicts)

    async def demand(self, project: str, name: str) -> None:
        """Raises WithheldError if the policy withholds a file of ours with this name, and other GatewayErrors if that
        can't be known."""
        if self._own is None:
            return
        with suppress(NotFoundError):
            sources = await self.of(project, fallback=False)
            if isinstance(sources, Sources):
                self._own.screen.demand(name, sources.verdicts.get(name))

    async def has(self, name: str) -> bool:
        """Whether the project is here, or comes from the other index, whoever may read it. Raises GatewayErrors if that
        can't be known: it may be here then."""
        status = await self._statuses.of(name) if self._statuses is not None else None
        if status is not None and not status.offers_files:
            return True
        with suppress(NotFoundError):
            await self._catalog.files(name)
            return True
        other = self._fallback
        if other is not None and await other.covers(name):
            if other.redirects:
                return True
            with suppress(NotFoundError):
                await other.upstream.project(name)
                return True
        return await is_ours(self._catalog, name)

    def version(self, sources: Sources, base_url: str) -> Hashable:
        """A value that changes when the page changes while its sources stay the same."""
        ours = sources.ours
        if ours is None:
            return sources.hidden
        return sources.metadata.version, base_url if ours.value.attested else "", sources.status, sources.hidden

    @property
    def screens(self) -> "tuple[Screen | None, Screen | None]":
        """The policy for our files, and that for those of the other index."""
        theirs = self._fallback.upstream.screen if self._fallback is not None else None
        return self._own.screen if self._own is not None else None, theirs

    def newest_wheel(self, sources: Sources) -> StoredObject | None:
        """The newest wheel in the storage; pre-releases come last, and yanked wheels after them."""
        return newest_wheel(sources.name, sources.ours.value, sources.metadata) if sources.ours else None

    def project(self, sources: Sources, up: str, base_url: str) -> Project:
        """`up` is the relative path from the page to the root, `base_url` the root's URL for absolute links."""
        ours, theirs, name = sources.ours, None, sources.name
        if sources.theirs is not None:
            assert self._fallback is not None
            theirs = self._fallback.shown(sources.theirs.value, up, sources.hidden)
            if ours is None:
                return theirs
        assert ours is not None
        project = replace(
            listed(name, ours.value, sources.metadata, index_document=self._index_document, up=up, base_url=base_url),
            tracks=tuple(self._settings.tracks.get(name, ())),
            alternate_locations=tuple(self._settings.alternate_locations.get(name, ())),
            status=sources.status.marker if sources.status is not None else None,
            verdicts=sources.verdicts,
            status_reason=(sources.status.reason or None) if sources.status is not None else None,
        )
        return merged(project, theirs) if theirs is not None else project
