"""The catalogue of a flat layout, where no folder names a project: a listing of everything, read in the background."""

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import aclosing
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from weakref import ReferenceType, ref

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.cache.patience import Patience
from gateway.cache.refreshing import RefreshedValue
from gateway.cache.renewals import Renewals
from gateway.errors import GatewayError, NotFoundError, UpstreamError
from gateway.executors import LISTINGS, PAGES
from gateway.index.catalog.listing import Files, Projects, no_projects, not_permitted
from gateway.index.catalog.packed import PackedBatch, PackedListing
from gateway.single_flight import SingleFlight
from gateway.storage.base import Storage
from gateway.tracing.span import apart
from gateway.usage import note_stale

_MIN_PAUSE_SECONDS = 1.0
_SAME_SECONDS = 0.01
# Of so many projects it is remembered that they have changed since the last listing: whoever publishes names them.
_MAX_TOLD = 256
# Memory for the files of a project that was asked for: for each file, and besides.
_OBJECT_BYTES, _OVERHEAD_BYTES = 400, 1024
# The files of larger projects are unpacked in a thread. In the worst case, each of them lies in another batch, and a
# batch takes some 60 µs.
_FEW = 20

log = logging.getLogger("gateway.index")


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """`batches` are those of the listing, by their digests; `missed` names something that could not be read."""

    projects: Projects
    listing: PackedListing
    batches: Mapping[bytes, PackedBatch]
    taken: float
    nothing: NotFoundError | None = None
    missed: str | None = None


class FlatCatalog:
    """Projects by the names of their files, wherever below `root` the files lie. Everything is listed again and again,
    as long as requests arrive; requests get the last listing while the next is being made.
    """

    def __init__(
        self,
        storage: Storage,
        root: str,
        *,
        index_document: str,
        refresh: float,
        stale_if_error: float,
        memory: MemoryLimit,
        patience: Patience | None = None,
    ) -> None:
        """The arguments are those of FolderCatalog (folders.py). `memory` limits the files of requested projects, not
        the listing itself."""
        self._patience = patience or Patience()
        self._storage = storage
        self._root = root
        self._index_document = index_document
        self._refresh = refresh
        self._stale_seconds = stale_if_error
        self._snapshot: _Snapshot | None = None
        self._fresh_from = float("-inf")
        # When projects have changed. That there was none says nothing once a release of it has been published.
        self._told: dict[str, float] = {}
        # Clients get copies of it: each time an error is raised, its traceback grows by the frames that it passes.
        self._failed: GatewayError | None = None
        self._loading = Renewals[_Snapshot]()
        self._unpacking = SingleFlight[Files | None]()
        # Each with a weak reference to its listing, which takes some 60 MB and is replaced again and again.
        self._files = LruCache[str, tuple[ReferenceType[PackedListing], Files]]("listings", memory, _weight)
        self._loop: asyncio.Task[None] | None = None
        self._took = 0.0  # how many seconds the last listing took
        self._asked = float("-inf")  # when the last request came

    async def start(self) -> None:
        """Begins to list, without waiting for it."""
        self._begin()
        self._keep_going()

    async def projects(self) -> RefreshedValue[Projects]:
        """Raises GatewayErrors if the storage can't be listed."""
        found = await self._current()
        if found.value.nothing is not None:
            raise copy(found.value.nothing)
        return RefreshedValue(found.value.projects, found.age, found.stale)

    async def files(self, project: str) -> RefreshedValue[Files]:
        """The files of a project, by its normalised name. Raises NotFoundError if there is no such project, and other
        GatewayErrors if that can't be known."""
        found = await self._current()
        files = await self._unpacked(found.value.listing, project)
        if files is None and found.value.taken < self._told.get(project, float("-inf")):
            snapshot = await asyncio.shield(self._begin())
            found = RefreshedValue(snapshot, time.monotonic() - snapshot.taken)
            files = await self._unpacked(snapshot.listing, project)
        if files is None:
            raise NotFoundError(f"no release of a project {project!r}")
        return RefreshedValue(files, found.age, found.stale)

    async def has_project(self, project: str) -> RefreshedValue[bool]:
        """Whether there is a file of a project, by its normalised name. Raises UpstreamError if there may be one in a
        place that can't be read, NotFoundError if the storage may be blank by mistake."""
        found = await self._current(may_be_stale=False)
        snapshot = found.value
        if snapshot.missed is not None and project not in snapshot.projects.folders:
            raise UpstreamError(f"{snapshot.missed!r} can't be read, and may contain the project", code="FileSystem")
        if snapshot.nothing is not None and snapshot.nothing.code is not None:
            raise copy(snapshot.nothing)
        return RefreshedValue(project in snapshot.projects.folders, found.age, found.stale)

    async def may_have_folder(self, name: str) -> bool:
        """Always True: the listing does not record folders."""
        return True

    @property
    def age(self) -> float:
        """Seconds since the listing in use began; infinite if there is none."""
        return time.monotonic() - self._snapshot.taken if self._snapshot is not None else float("inf")

    def expire(self) -> None:
        """Has everything listed again before it is used as fresh."""
        self._fresh_from = time.monotonic()

    def renew(self, age: float) -> None:
        """Has everything listed again, unless that began less than `age` seconds ago. A second call for the same point
        in time does nothing."""
        since = time.monotonic() - age
        if since > self._fresh_from + _SAME_SECONDS:
            self._fresh_from = since

    def forget(self, project: str) -> None:
        """Like `expire`: the files of all projects are listed together. If there was no such project, nobody is told so
        by an older listing."""
        self.expire()
        taken = self._snapshot.taken if self._snapshot is not None else float("inf")
        self._told = {name: when for name, when in self._told.items() if when >= taken}
        if len(self._told) < _MAX_TOLD:
            self._told[project] = self._fresh_from

    async def close(self) -> None:
        """Ends the listing in the background."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        await self._loading.close()
        await self._unpacking.close()

    async def _unpacked(self, listing: PackedListing, project: str) -> Files | None:
        """The project's files in this listing; None if there is no such project."""
        known = self._files.get(project)
        if known is not None and known[0]() is listing:
            return known[1]
        unpack = partial(_unpack, listing, project, known[1] if known is not None else None)
        if listing.count(project) <= _FEW:
            found = unpack()
        else:  # the listing lives as long as it is read, so no other one has the same id meanwhile
            found = await self._unpacking.once((project, id(listing)), lambda: PAGES.run(unpack))
        if found is not None:
            self._files.put(project, (ref(listing), found))
        return found

    async def _current(self, *, may_be_stale: bool = True) -> RefreshedValue[_Snapshot]:
        """What expires during the call makes nothing stale: while files are published one after the other, no listing
        of many would be new at its end."""
        self._asked = time.monotonic()
        self._keep_going()
        snapshot, since = self._snapshot, self._fresh_from
        if snapshot is None or not self._is_new(snapshot, since):
            load = self._begin()
            soon = snapshot is not None and may_be_stale
            try:
                snapshot = await (self._patience.fresh(load) if soon else asyncio.shield(load))
            except GatewayError as error:
                if snapshot is None:
                    raise not_permitted(error) from error
                note_stale()
        if self._failed is not None and time.monotonic() - snapshot.taken > self._refresh + self._stale_seconds:
            raise copy(self._failed)
        stale = self._failed is not None or not self._is_new(snapshot, since)
        return RefreshedValue(snapshot, time.monotonic() - snapshot.taken, stale)

    def _begin(self) -> "asyncio.Future[_Snapshot]":
        return self._loading.begin(self._root, self._fresh_from, self._load)

    def _is_new(self, snapshot: _Snapshot, since: float) -> bool:
        """Whether the snapshot is as new as listing again and again can keep it, and taken `since` then."""
        longest = self._pause + 2 * self._took + _MIN_PAUSE_SECONDS
        return snapshot.taken >= since and time.monotonic() - snapshot.taken <= longest

    @property
    def _pause(self) -> float:
        return max(self._refresh, _MIN_PAUSE_SECONDS)

    def _keep_going(self) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop().create_task(self._keep_fresh(), context=apart())

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(self._pause)
            if self._snapshot is None or self._asked >= self._snapshot.taken:
                try:
                    await asyncio.shield(self._begin())
                except GatewayError as error:
                    log.warning("the storage can't be listed; pages stay as they are: %s", error)

    async def _load(self) -> _Snapshot:
        taken = time.monotonic()
        try:
            snapshot = await self._list(taken)
        except NotFoundError as error:
            # Listing is not permitted, which does not mean that nothing is there.
            refused = UpstreamError(error.detail, code=error.code, upstream_status=error.upstream_status)
            self._note_failure(refused, taken)
            raise refused from error
        except GatewayError as error:
            self._note_failure(error, taken)
            raise
        except Exception as error:  # the listing in the background must go on
            log.exception("listing the storage failed: this is a bug")
            failed = UpstreamError("unexpected exception while listing, see the log above", code="NoListing")
            self._note_failure(failed, taken)
            raise failed from error
        if self._snapshot is None or self._snapshot.taken <= taken:
            self._snapshot, self._failed, self._took = snapshot, None, time.monotonic() - taken
        return snapshot

    def _note_failure(self, error: GatewayError, taken: float) -> None:
        if self._snapshot is None or self._snapshot.taken <= taken:  # a newer listing may have ended well meanwhile
            self._failed = copy(error)

    async def _list(self, taken: float) -> _Snapshot:
        before = self._snapshot  # another listing may end meanwhile
        known = before.batches if before is not None else {}
        packed: dict[bytes, PackedBatch] = {}
        order, missed = [], None
        async with aclosing(self._storage.batches(self._root, known=known.keys())) as batches:
            async for batch in batches:
                order.append((batch.order, batch.digest))
                missed = missed or batch.missed
                if batch.objects is None:
                    packed[batch.digest] = known[batch.digest]
                else:
                    packed[batch.digest] = await LISTINGS.run(
                        PackedBatch, batch.objects, self._root, self._index_document
                    )
        found = {digest: packed[digest] for _, digest in sorted(order)}
        if before is not None and before.nothing is None and [*found] == [*known]:
            return replace(before, taken=taken)
        listing = await LISTINGS.run(PackedListing, [*found.values()])
        # There are no projects; the storage tells whether it may be blank by mistake.
        nothing = None
        if not listing.folders and not listing.has_page:
            nothing = no_projects(await self._storage.children(self._root))
        projects = Projects(listing.folders, listing.has_page)
        if before is not None and before.projects == projects:
            projects = before.projects
        return _Snapshot(projects, listing, found, taken, nothing, missed)


def _unpack(listing: PackedListing, project: str, known: Files | None) -> Files | None:
    """The project's files; `known` itself, if these are the same, so that pages made from it stay valid."""
    found = listing.files(project)
    return known if known == found else found


def _weight(project: str, known: tuple[ReferenceType[PackedListing], Files]) -> int:
    return weight_of(project) + _OVERHEAD_BYTES + _OBJECT_BYTES * len(known[1].objects)
