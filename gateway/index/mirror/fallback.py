"""Which projects are looked up in the other index, and what of its pages is shown."""

from collections.abc import Iterable, Set
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from urllib.parse import quote

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.config.settings import FallbackSettings
from gateway.errors import (
    NotFoundError,
    PreconditionFailedError,
    UpstreamBusyError,
    without_frames,
)
from gateway.index.catalog.listing import Files
from gateway.index.catalog.recognised import Catalog, is_ours, known_files
from gateway.index.mirror.other_index import OtherIndex
from gateway.index.rendered import Sourced, sourced
from gateway.index.simple.names import is_project_name, normalize, parse
from gateway.index.simple.pages import File, Project
from gateway.index.wheels.file_metadata import FileMetadata
from gateway.messages import Redirect
from gateway.single_flight import SingleFlight


class Fallback:
    """The rules that prevent dependency confusion: a project of our own is never looked up elsewhere, unless the
    settings say so; nor is any project while it can't be known whether it is our own."""

    def __init__(
        self,
        settings: FallbackSettings,
        catalog: Catalog,
        upstream: OtherIndex,
        metadata: FileMetadata,
        memory: MemoryLimit,
    ) -> None:
        """`memory` is for what is known of the projects that both indexes have."""
        self._mode = settings.mode
        # Whether the pages of our own projects show the other index's files too.
        self.always = settings.always_show_upstream
        self._patterns = [normalize(pattern) for pattern in settings.disallow]
        self._catalog = catalog
        self.upstream = upstream
        self._metadata = metadata
        self._is_disallowed = lru_cache(maxsize=1024)(self._match)
        self._comparing = SingleFlight[bool]()
        self._copied = LruCache[str, Sourced[bool]]("copied projects", memory, lambda project, _: weight_of(project))

    def __str__(self) -> str:
        return f"{self.upstream.base_url} ({self._mode})"

    @property
    def keeps_apart(self) -> bool:
        """Whether fetched files are kept apart from our own."""
        return self._mode == "mirror"

    @property
    def redirects(self) -> bool:
        return self._mode == "redirect"

    def redirect(self, project: str) -> Redirect:
        """A redirect to the project's page there. No cache may keep it: the project may be ours the next minute."""
        return Redirect(f"{self.upstream.base_url}{project}/", 302, {"Cache-Control": "no-store"})

    async def close(self) -> None:
        await self._comparing.close()
        await self.upstream.close()

    async def covers(self, project: str) -> bool:
        """Whether a project, by its normalised name, is looked up there. Raises if that can't be known."""
        return self._may_look(project) and (self.always or not await is_ours(self._catalog, project))

    async def covers_file(self, project: str, name: str) -> bool:
        """Like `covers`, but false for the name of a file of our own that lies elsewhere than fetched files are kept.
        True also if all of the project's files in the bucket are copies of files there, by their hashes.

        So a page that a client got before the first file was kept still leads to all the files that it lists.
        """
        if await self.covers(project):
            return not (self.always and await self._lies_elsewhere(project, name))
        if self._mode != "cache" or not self._may_look(project):
            return False
        try:
            ours = (await self._catalog.files(project)).value
            theirs = (await self.upstream.project(project)).value
        except NotFoundError as error:
            without_frames(error)
            return False
        known = self._copied.get(project)
        if known is not None and known.stands((ours, theirs), None):
            return known.value
        flight = project, id(ours), id(theirs)
        return await self._comparing.once(flight, lambda: self._compare(project, ours, theirs))

    async def _lies_elsewhere(self, project: str, name: str) -> bool:
        found = await known_files(self._catalog, project)
        keys = [item.key for item in found.objects] if found is not None else []
        return any(key.rpartition("/")[2] == name and key != f"{project}/{name}" for key in keys)

    async def _compare(self, project: str, ours: Files, theirs: Project) -> bool:
        """Whether all our files are copies of theirs, found out once: clients choose the names that they ask for, and
        each may cost the bucket some requests for each of our files."""
        await self._metadata.want_once(project, ours)
        try:
            copied = await self._are_copies(project, ours, theirs)
        except PreconditionFailedError as error:  # the client has set none
            what = f"a file of {project} has been replaced since it was listed: {error.detail}"
            raise UpstreamBusyError(what, code=error.code, upstream_status=error.upstream_status) from error
        self._copied.put(project, sourced(copied, (ours, theirs), None))
        return copied

    async def _are_copies(self, project: str, ours: Files, theirs: Project) -> bool:
        there = {file.name: file for file in theirs.files}
        pairs = [(item, there.get(item.key.rpartition("/")[2])) for item in ours.objects]
        pairs = [(item, file) for item, file in pairs if parse(item.key.rpartition("/")[2]) is not None]
        if not pairs or not all(file is not None and file.size in (None, item.size) for item, file in pairs):
            return False
        # Equal names and sizes prove nothing: lock files reveal ours, and anybody may publish under our names.
        for item, file in pairs:
            sha256 = file.hashes.get("sha256") if file is not None else None
            if sha256 is None or sha256 != await self._metadata.sha256_of(project, item):
                return False
        return True

    def shown(self, project: Project, up: str, hidden: Set[str]) -> Project:
        """The project as we show it, with links to files below our root, unless the settings ask for redirects. `up` is
        the path from the page to the root. The names `hidden` are those of files of our own.

        What the other index says about further indexes (PEP 708) is left out: only the gateway's settings may say it.
        """
        files = tuple(file for file in project.files if file.name not in hidden)
        versions = project.versions if len(files) == len(project.files) else _versions(files)
        if not self.redirects:
            files = tuple(self._through_us(project.name, file, up) for file in files)
        verdicts = {name: verdict for name, verdict in project.verdicts.items() if name not in hidden}
        return replace(project, files=files, versions=versions, tracks=(), alternate_locations=(), verdicts=verdicts)

    def _through_us(self, project: str, file: File, up: str) -> File:
        return replace(file, url=f"{up}{project}/{quote(file.name, safe='')}")

    def _may_look(self, project: str) -> bool:
        return is_project_name(project) and not self._is_disallowed(project)

    def _match(self, project: str) -> bool:
        return any(fnmatchcase(project, pattern) for pattern in self._patterns)


def _versions(files: Iterable[File]) -> tuple[str, ...]:
    found = {release.version for file in files if (release := parse(file.name)) is not None}
    return tuple(map(str, sorted(found)))
