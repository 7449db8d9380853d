"""What projects there are where no folder tells: a catalogue of everything, read in the background."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from gateway.cache.aged import Aged
from gateway.cache.flight import Flight
from gateway.cache.patience import Patience
from gateway.effort import note_stale
from gateway.errors import GatewayError, NotFoundError, UpstreamError
from gateway.index.catalog import Files, Projects, no_projects, not_permitted
from gateway.index.names import PROVENANCE, is_companion, is_hidden, normalize, parse
from gateway.storage.base import Storage, StoredObject

T = TypeVar("T")

_MIN_PAUSE_SECONDS = 1.0
_YIELD_EVERY = 500

log = logging.getLogger("gateway.index")


@dataclass(frozen=True, slots=True)
class _Snapshot:
    projects: Projects
    files: Mapping[str, Files]
    taken: float
    nothing: NotFoundError | None = None


class WholeCatalog:
    """Projects by the names of their files, wherever below `root` those lie. Listed whole, again and again.

    The first who asks waits for the first listing; later ones get the last, while the next is made.
    """

    def __init__(
        self,
        storage: Storage,
        root: str,
        *,
        index_document: str,
        refresh: float,
        stale_seconds: float,
        patience: Patience | None = None,
    ) -> None:
        """As Catalog (catalog.py)."""
        self._patience = patience or Patience()
        self._storage = storage
        self._root = root
        self._index_document = index_document
        self._refresh = refresh
        self._stale_seconds = stale_seconds
        self._snapshot: _Snapshot | None = None
        self._fresh_from = float("-inf")
        self._failed: GatewayError | None = None
        self._loading = Flight[_Snapshot]()
        self._loop: asyncio.Task[None] | None = None

    async def projects(self, *, may_be_stale: bool = True) -> Aged[Projects]:
        """Raises what keeps the storage from being listed."""
        snapshot = await self._current(may_be_stale=may_be_stale)
        if snapshot.nothing is not None:
            raise NotFoundError(snapshot.nothing.detail, code=snapshot.nothing.code)
        return self._aged(snapshot, snapshot.projects)

    async def files(self, project: str) -> Aged[Files]:
        """Of a project by its normalised name. Raises NotFoundError if there is no such project."""
        snapshot = await self._current()
        found = snapshot.files.get(project)
        if found is None:
            raise NotFoundError(f"no release of a project {project!r}")
        return self._aged(snapshot, found)

    async def has_project(self, project: str) -> Aged[bool]:
        """Whether there is a file of a project, by its normalised name."""
        projects = await self.projects(may_be_stale=False)
        return Aged(project in projects.value.folders, projects.age, projects.stale)

    async def may_have_folder(self, name: str) -> bool:
        """Nobody has noted them."""
        return True

    def expire(self) -> None:
        """What is known must be listed again."""
        self._fresh_from = time.monotonic()

    async def close(self) -> None:
        """Ends the listing in the background."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    def _aged(self, snapshot: _Snapshot, value: T) -> Aged[T]:
        stale = self._failed is not None or snapshot.taken < self._fresh_from
        return Aged(value, time.monotonic() - snapshot.taken, stale)

    async def _current(self, *, may_be_stale: bool = True) -> _Snapshot:
        snapshot = self._snapshot
        if snapshot is None or snapshot.taken < self._fresh_from:
            load = self._loading.once("", self._load)
            try:
                snapshot = await (self._patience.fresh(load) if snapshot is not None and may_be_stale else load)
            except GatewayError as error:
                if snapshot is None:
                    raise not_permitted(error) from error
                note_stale()
        if self._loop is None:
            self._loop = asyncio.get_running_loop().create_task(self._keep_fresh())
        if self._failed is not None and time.monotonic() - snapshot.taken > self._refresh + self._stale_seconds:
            raise self._failed
        return snapshot

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(max(self._refresh, _MIN_PAUSE_SECONDS))
            try:
                await self._loading.once("", self._load)
            except GatewayError as error:
                log.warning("the storage can't be listed; pages stay as they are: %s", error)

    async def _load(self) -> _Snapshot:
        taken = time.monotonic()
        try:
            self._snapshot = snapshot = await self._list(taken)
        except NotFoundError as error:
            # Not permitted: that does not mean that nothing is there.
            self._failed = UpstreamError(error.detail, code=error.code, upstream_status=error.upstream_status)
            raise self._failed from error
        except GatewayError as error:
            self._failed = error
            raise
        self._failed = None
        return snapshot

    async def _list(self, taken: float) -> _Snapshot:
        objects: defaultdict[str, list[StoredObject]] = defaultdict(list)
        attested = set()
        companions: list[tuple[str, StoredObject]] = []
        with_page: defaultdict[str, set[str]] = defaultdict(set)
        has_page = False
        count = 0
        async for item in self._storage.list(self._root):
            count += 1
            if count % _YIELD_EVERY == 0:
                await asyncio.sleep(0)  # requests go on meanwhile
            key = item.key.removeprefix(self._root)
            folder, _, name = key.rpartition("/")
            item = StoredObject(key, item.size, item.etag, item.modified)
            if any(is_hidden(segment) for segment in folder.split("/") if segment):
                continue
            if key == self._index_document:
                has_page = True
            elif name == self._index_document and "/" not in folder:
                with_page[normalize(folder)].add(folder)
            elif is_companion(name):
                companions.append((name.rpartition(".")[0], item))
            elif (release := parse(name)) is not None:
                objects[release.project].append(item)
        for name, item in companions:
            release = parse(name)
            if release is not None and release.project in objects:
                objects[release.project].append(item)
                if item.key.endswith(PROVENANCE):
                    attested.add(release.project)
        files = {}
        for count, project in enumerate({*objects, *with_page}, 1):
            if count % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
            found = tuple(objects.get(project, ()))
            files[project] = Files(found, frozenset(with_page.get(project, ())), project in attested)
        # None of ours; the storage says whether that may be believed.
        nothing = None if files or has_page else no_projects(await self._storage.children(self._root))
        return _Snapshot(Projects({project: (project,) for project in sorted(files)}, has_page), files, taken, nothing)
