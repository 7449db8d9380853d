"""The catalogue of a layout with a folder for each project: listings of the storage, cached for some seconds."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from gateway.cache.lru import MemoryLimit
from gateway.cache.patience import Patience
from gateway.cache.refreshing import RefreshedValue, RefreshingCache
from gateway.errors import ACCESS_DENIED, GatewayError, NotFoundError, UpstreamError
from gateway.executors import PAGES
from gateway.index.catalog.by_project import by_project, odd_names, released, say_another
from gateway.index.catalog.empty_folders import EmptyFolders
from gateway.index.catalog.listing import (
    Files,
    FolderListing,
    Projects,
    is_release,
    no_projects,
    not_permitted,
)
from gateway.index.simple.names import PROVENANCE, SIMPLE, normalize
from gateway.storage.base import Children, Storage, StoredObject

# A release's file name, which starts with its project's, has no more than 255 characters.
_MAX_NAME = 255
# So many folders cost ten LISTs each `refresh` seconds; twice as many are listed half as often.
_FOLDERS_PER_REFRESH = 10_000
# How long a project's page waits for the root's listing. The second is for a project that has been listed before:
# clients get the older listing after a second (patience.py), so time must be left for the project's new one.
_ROOT_GRACE_SECONDS, _RENEWAL_GRACE_SECONDS = 1.0, 0.5
# A listing that may lack files is not used for longer.
_INCOMPLETE_SECONDS = 1.0
# Listings of more files are processed in a thread.
_MANY = 200

T = TypeVar("T")


class FolderCatalog:
    """Folders directly below `root` are projects if they contain a release. They are listed on demand.

    A project's page needs the folder that is spelled as its normalised name, and those that are spelled otherwise
    (`My_Project`). The first is listed by itself. The others are found in the root's listing, which costs a LIST for
    each thousand folders: pages don't wait for it if they can do without it, and many folders are listed less often.
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
        look_into: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`root` is a key that ends in a slash, or is empty. A listing is used for `refresh` seconds, and for
        `stale_if_error` more while the storage can't be reached; `patience` is how long clients wait for a new one. If
        the root has up to `look_into` folders, they are listed together with it."""
        self._look_into = look_into
        self._empty = EmptyFolders(refresh, clock)
        self._storage = storage
        self._root = root
        self._index_document = index_document
        self._refresh = refresh
        self._clock = clock
        self._believed_seconds = refresh + stale_if_error
        # When the root, and when any project, was last listed.
        self._listed = {"root": float("-inf"), "project": float("-inf")}
        self._projects: RefreshingCache[str, Projects] = RefreshingCache(
            self._list_projects,
            fresh_seconds=lambda projects: refresh * max(1.0, len(projects.folders) / _FOLDERS_PER_REFRESH),
            stale_if_error=stale_if_error,
            name="the root's listing",
            memory=memory,
            # It stays, however large it is, and whatever other mounts need: otherwise each request would list the root.
            weigh=lambda projects: min(projects.weight, memory.fair_bytes // 2),
            # Its own: that many folders take long to list says nothing about other answers.
            patience=Patience(),
            clock=clock,
        )
        self._files: RefreshingCache[str, FolderListing] = RefreshingCache(
            self._list_project,
            fresh_seconds=lambda project: refresh if project.whole else min(refresh, _INCOMPLETE_SECONDS),
            stale_if_error=stale_if_error,
            name="listings",
            memory=memory,
            weigh=lambda project: project.weight,
            patience=patience,
            clock=clock,
        )

    async def start(self) -> None:
        """Does nothing: everything is listed on demand."""

    async def projects(self) -> RefreshedValue[Projects]:
        """Raises NotFoundError if there are no projects, or nothing may be listed; and other GatewayErrors if the
        storage can't be listed."""
        found = await _if_permitted(self._projects, "")
        for project in self._empty.due():
            self._files.revalidate(project)
        shown = await self._empty.without(found.value)
        if not shown.folders and not shown.has_page:
            raise no_projects(Children((), ()))
        return RefreshedValue(shown, found.age, found.stale)

    async def files(self, project: str) -> RefreshedValue[Files]:
        """The files of a project, by its normalised name. Raises NotFoundError if there is no such project, and the
        errors of `projects`."""
        found = await _if_permitted(self._files, project)
        if not found.value.released:
            raise NotFoundError(f"no release of a project {project!r}")
        return RefreshedValue(found.value.files, found.age, found.stale)

    def known_files(self, project: str) -> RefreshedValue[Files] | None:
        """The files that were listed last of a project, without asking for anything."""
        found = self._files.peek(project)
        return RefreshedValue(found.value.files, found.age) if found is not None and found.value.released else None

    def beside_age(self, project: str) -> float | None:
        """The age of the root's listing, if that shows a package file of the project beside the folders."""
        root = self._projects.peek("")
        return root.age if root is not None and project in root.value.beside else None

    async def has_project(self, project: str) -> RefreshedValue[bool]:
        """Whether there is a folder of a project, by its normalised name, be it empty, as a listing says that is not
        stale. A folder below `simple/` counts: whoever keeps a whole index in the bucket has his names there. So does a
        package file beside the folders: it is shown nowhere, but is ours. Raises as `projects`."""
        found = await _if_permitted(self._files, project, may_be_stale=False)
        if found.value.folders:
            return RefreshedValue(True, found.age, found.stale)
        root = await _if_permitted(self._projects, "", may_be_stale=False)
        if project in root.value.folders and root.age <= found.age:
            # The root was listed later, and shows it. While the storage is slow, a page is made from an older listing
            # of the folder, and an empty one would make it 404.
            self._files.forget(project)
            await _if_permitted(self._files, project, may_be_stale=False)
            return RefreshedValue(True, root.age, root.stale)
        ours = project in root.value.beside
        if not ours and SIMPLE in root.value.folders.get(SIMPLE, ()):
            nested = (await self._projects.get(f"{SIMPLE}/", may_be_stale=False)).value
            ours = project in nested.folders or project in nested.beside
        return RefreshedValue(ours, found.age, found.stale)

    async def may_have_folder(self, name: str) -> bool:
        """Whether there may be a folder of exactly this name. Raises GatewayErrors if the storage can't be listed."""
        root = self._projects.peek("")
        if root is not None and root.age < self._refresh:
            return name in root.value.folders.get(normalize(name), ())
        return await self._storage.is_directory(f"{self._root}{name}/")

    async def close(self) -> None:
        """Ends the listings in the background."""
        await self._projects.close()
        await self._files.close()

    def expire(self) -> None:
        """Has everything listed again before it is used."""
        self._projects.expire()
        self._files.expire()
        self._empty.clear()

    def forget(self, project: str) -> None:
        """Like `expire`, for one project. The root is listed again too, unless that is costly and the project is
        already in it: then only a new folder with another spelling would be missed."""
        self._files.forget(project)
        self._empty.forget(project)
        known = self._projects.known("")
        if known is None or project not in known.folders or len(known.folders) <= _FOLDERS_PER_REFRESH:
            self._projects.expire()

    async def _list_projects(self, prefix: str) -> Projects:
        """Of the root, where `prefix` is empty, or of a folder that may hold an index."""
        changes = self._empty.changes
        children = await self._children(prefix)
        found = await PAGES.run(self._projects_in, self._root + prefix, children)
        if not prefix and not found.folders and not found.has_page and not found.beside:
            raise no_projects(children)
        if not prefix and len(found.folders) <= self._look_into:
            for project, spelled in found.folders.items():
                self._empty.note(project, changes, empty=await self._are_empty(spelled))
        return found

    def _projects_in(self, prefix: str, children: Children) -> Projects:
        """The projects of a listing of `prefix`. In a thread: it may have many folders."""
        folders = by_project(children.folders)
        names = [item.key.removeprefix(prefix) for item in children.objects]
        return Projects(folders, self._index_document in names, odd_names(folders), released(names))

    async def _are_empty(self, folders: Sequence[str]) -> bool:
        """Whether these folders are known to hold no release."""
        try:
            contents = {folder: await self._children(f"{folder}/") for folder in folders}
        except GatewayError:
            return False
        return not self._project_of(contents, None, whole=True).released

    async def _list_project(self, project: str) -> FolderListing:
        if len(project) > _MAX_NAME:
            return FolderListing((), self._files_in({}), False, True)
        root, whole, changes = self._projects.peek(""), True, self._empty.changes
        listed: dict[str, Children] = {}
        asked = root is None or root.age >= self._refresh
        if asked:
            if root is None:
                self._projects.revalidate("")  # runs meanwhile
            own = await self._children(f"{project}/")
            if own.objects or own.folders:
                listed[project] = own
                if root is None:
                    root, whole = await self._root_soon(project)
            else:
                # The folders that were known last are there in most cases; if none is, the root must be listed.
                for folder in root.value.folders.get(project, ()) if root is not None else ():
                    if folder != project:
                        listed[folder] = await self._children(f"{folder}/")
                if not any(children.objects or children.folders for children in listed.values()):
                    root = await self._projects.get("", may_be_stale=False)
        spelled = root.value.folders.get(project, ()) if root is not None else ()
        # The root's listing decides, if it is new: a file system may accept a spelling that is not the folder's. A
        # stale one may be as young, but is from before the change for which it is listed again.
        decides = root is not None and not root.stale and root.age < self._refresh
        folders = spelled if decides else sorted({*listed, *spelled})
        # Without a listing of its own, absence follows from the root's alone, and must not outlive it: the folder may
        # have been created since.
        whole = whole and bool(folders or asked)
        for folder in folders:
            if folder not in listed:
                listed[folder] = await self._children(f"{folder}/")
        contents = {folder: listed[folder] for folder in folders}
        make = partial(self._project_of, contents, self._files.known(project), whole=whole)
        found = await PAGES.run(make) if sum(len(listing.objects) for listing in contents.values()) > _MANY else make()
        self._empty.note(project, changes, empty=found.whole and bool(found.folders) and not found.released)
        return found

    def _project_of(
        self, contents: Mapping[str, Children], known: FolderListing | None, *, whole: bool
    ) -> FolderListing:
        """The project with these contents of its folders; `known` itself, if that is equal."""
        files = self._files_in(contents)
        released = bool(files.with_page) or any(map(is_release, files.objects))
        found = FolderListing(tuple(contents), files, released, whole)
        return known if known is not None and known == found else found

    async def _root_soon(self, project: str) -> tuple[RefreshedValue[Projects] | None, bool]:
        """What is known of the root after a short wait, and whether that is all that can be known."""
        seconds = _ROOT_GRACE_SECONDS if self._files.known(project) is None else _RENEWAL_GRACE_SECONDS
        try:
            async with asyncio.timeout(seconds):
                found = await self._projects.get("")
                return found, not found.stale
        except (TimeoutError, GatewayError) as error:
            known = self._projects.known("")
            root = RefreshedValue(known, float("inf"), stale=True) if known is not None else None
            return root, isinstance(error, _DeniedError)

    def _files_in(self, folders: Mapping[str, Children]) -> Files:
        objects: list[StoredObject] = []
        with_page, elsewhere = set(), False
        for folder, children in folders.items():
            names = (item.key.rpartition("/")[2] for item in children.objects)
            elsewhere = elsewhere or say_another(names, normalize(folder))
            for item in children.objects:
                key = item.key.removeprefix(self._root)
                objects.append(StoredObject(key, item.size, item.etag, item.modified))
                # A page is the index document, or the object that is named like the folder; not its empty marker.
                if key == f"{folder}/{self._index_document}" or (key == f"{folder}/" and item.size):
                    with_page.add(folder)
        attested = any(item.key.endswith(PROVENANCE) for item in objects)
        return Files(tuple(objects), frozenset(with_page), attested, elsewhere)

    async def _children(self, prefix: str) -> Children:
        kind = "project" if prefix else "root"
        try:
            children = await self._storage.children(self._root + prefix)
        except NotFoundError as error:
            # A refused listing does not mean that nothing is there: what is known stays. If listing was permitted
            # before, the refusal is an outage.
            outage = self._clock() - self._listed[kind] < self._believed_seconds
            refused = UpstreamError if outage or error.code != ACCESS_DENIED else _DeniedError
            raise refused(error.detail, code=error.code, upstream_status=error.upstream_status) from error
        self._listed[kind] = self._clock()
        return children


class _DeniedError(UpstreamError):
    """Listing is not permitted, and was not before."""


async def _if_permitted(cache: RefreshingCache[str, T], key: str, *, may_be_stale: bool = True) -> RefreshedValue[T]:
    try:
        return await cache.get(key, may_be_stale=may_be_stale)
    except _DeniedError as error:
        raise not_permitted(error) from error
