"""The documents of PyPI's JSON API as bytes, each rendered once for all who may see the same."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.errors import NotFoundError
from gateway.executors import PAGES
from gateway.index.backlog import Backlog
from gateway.index.legacy.advisories import ReleaseAdvisories
from gateway.index.legacy.document import Described, document
from gateway.index.legacy.info import nothing_told
from gateway.index.legacy.metadata import ReleaseMetadata, Told
from gateway.index.legacy.releases import ProjectReleases, releases_of
from gateway.index.legacy.target import ReleaseTarget
from gateway.index.mirror.mirrored_files import MirroredFiles
from gateway.index.releases import Releases, Sources
from gateway.index.rendered import Rendered, RenderedPages, Sourced, sourced
from gateway.index.simple.negotiation import encoding_for
from gateway.index.wheels.metadata import WheelMetadata
from gateway.messages import PageRequest
from gateway.storage.base import StoredObject


@dataclass(frozen=True, slots=True)
class _Grouped:
    """URLs of files are relative to the root. `wheels` are those in the storage, by their names."""

    releases: ProjectReleases
    wheels: Mapping[str, StoredObject]


class ReleaseJson:
    """The files are those of the project's page, and a version that is none of the page's is unknown."""

    def __init__(
        self,
        releases: Releases,
        wheels: WheelMetadata,
        mirrored: MirroredFiles | None,
        root: str,
        memory: MemoryLimit,
        backlog: Backlog,
    ) -> None:
        """`root` is the key above all projects, with its slash; `mirrored` has the metadata of files of the other
        index."""
        self._releases = releases
        self._metadata = ReleaseMetadata(wheels, mirrored, root)
        self._advisories = ReleaseAdvisories(releases)
        self._rendered = RenderedPages("release documents", memory, backlog)
        self._grouped = LruCache[tuple[str, bool, str], Sourced[_Grouped]](
            "releases by version", memory, lambda slot, found: weight_of(slot) + found.value.releases.weight
        )

    async def page(self, request: PageRequest, target: ReleaseTarget, sources: Sources, *, by_path: bool) -> Rendered:
        """Raises NotFoundError if the project has no such version, or none at all. `by_path`: the right to the project
        is not all that its files need."""
        made_of, metadata = [source.value for source in sources.all], self._releases.version(sources, "")
        grouped = await self._by_version(request, sources)
        releases = grouped.releases
        version = releases.find(target.version)
        if version is None:
            raise NotFoundError("no such release")
        root = request.base_url or target.up
        whole = target.version is None
        slot = sources.name, None if whole else str(version), request.fallback, sources.view, by_path
        state = metadata, root, self._advisories.version(sources)
        encoding = encoding_for(request.accept_encoding)
        if (known := self._rendered.known(slot, encoding, made_of, (*state, True))) is not None:
            return known
        files = releases.files.get(version, ())
        advisories = await self._advisories.about(sources, files)
        told = Told(nothing_told())
        if files:
            theirs = sources.theirs.value if sources.theirs is not None and not by_path else None
            told = await self._metadata.of(files, grouped.wheels, theirs)
        described = Described(sources.name, version, files, told.info, advisories)
        return await self._rendered.get(
            slot,
            encoding,
            made_of,
            (*state, told.whole),
            lambda: document(described, releases if whole else None, root),
        )

    async def _by_version(self, request: PageRequest, sources: Sources) -> _Grouped:
        slot = sources.name, request.fallback, sources.view
        made_of, version = [source.value for source in sources.all], self._releases.version(sources, "")
        known = self._grouped.get(slot)
        if known is None or not known.stands(made_of, version):
            known = sourced(await PAGES.run(self._group, sources), made_of, version)
            self._grouped.put(slot, known)
        return known.value

    def _group(self, sources: Sources) -> _Grouped:
        ours = sources.ours.value.objects if sources.ours is not None else ()
        wheels = {item.key.rpartition("/")[2]: item for item in ours if item.key.endswith(".whl")}
        return _Grouped(releases_of(self._releases.project(sources, "", "")), wheels)
