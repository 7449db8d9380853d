"""What projects there are, and what files each has: listings of the storage, remembered for some seconds."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from gateway.cache.aged import Aged, AgedCache
from gateway.errors import GatewayError, NotFoundError, UpstreamError
from gateway.index.names import PROVENANCE, is_companion, is_hidden, normalize, parse
from gateway.storage.base import Children, Storage, StoredObject

_ACCESS_DENIED = "AccessDenied"
BLANK = "BlankDirectory"
_MAX_PROJECTS = 4096

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Projects:
    """Folders by the normalised name of the project that they are of, in order; and whether the root has a page of
    its own."""

    folders: Mapping[str, tuple[str, ...]]
    has_page: bool


@dataclass(frozen=True, slots=True)
class Files:
    """What lies in a project's folders, keys relative to the root; and which folders have a page of their own.
    `attested`: some have their provenance beside them (PEP 740)."""

    objects: tuple[StoredObject, ...]
    with_page: frozenset[str]
    attested: bool = False


class Catalog:
    """Folders right below `root` are projects, if there is a release of one in them. Listed on demand."""

    def __init__(
        self, storage: Storage, root: str, *, index_document: str, refresh: float, stale_seconds: float
    ) -> None:
        """`root` is a key that ends in a slash, or is empty. A listing is used for `refresh` seconds, and for
        `stale_seconds` more while the storage can't be reached."""
        self._storage = storage
        self._root = root
        self._index_document = index_document
        self._believed_seconds = refresh + stale_seconds
        self._listed = float("-inf")  # when a listing was answered last
        self._projects: AgedCache[str, Projects] = AgedCache(
            self._list_projects, fresh_seconds=refresh, stale_seconds=stale_seconds, max_entries=1
        )
        self._files: AgedCache[str, Files] = AgedCache(
            self._list_files, fresh_seconds=refresh, stale_seconds=stale_seconds, max_entries=_MAX_PROJECTS
        )

    async def projects(self) -> Aged[Projects]:
        """Raises NotFoundError where there is none, or nothing may be listed; and what keeps the storage from being
        listed."""
        return await self._if_permitted(self._projects, "")

    async def files(self, project: str) -> Aged[Files]:
        """Of a project by its normalised name. Raises NotFoundError if there is no such project, and as above."""
        return await self._if_permitted(self._files, project)

    async def may_have_folder(self, name: str) -> bool:
        """Whether a folder of just this name may be there. Raises as `projects`."""
        try:
            folders = (await self.projects()).value.folders
        except NotFoundError as error:
            return error.code is not None
        return name in folders.get(normalize(name), ())

    async def close(self) -> None:
        """Ends what is listed in the background."""
        await self._projects.close()
        await self._files.close()

    def expire(self) -> None:
        """What is known must be listed again."""
        self._projects.expire()
        self._files.expire()

    async def _list_projects(self, _: str) -> Projects:
        children = await self._children("")
        folders: dict[str, tuple[str, ...]] = {}
        for folder in children.folders:
            if is_hidden(folder):
                continue
            folders[normalize(folder)] = (*folders.get(normalize(folder), ()), folder)
        has_page = any(item.key == self._root + self._index_document for item in children.objects)
        if not folders and not has_page:
            raise no_projects(children)
        return Projects(dict(sorted(folders.items())), has_page)

    async def _list_files(self, project: str) -> Files:
        objects: list[StoredObject] = []
        with_page = set()
        for folder in (await self._projects.get("")).value.folders.get(project, ()):
            for item in (await self._children(f"{folder}/")).objects:
                key = item.key.removeprefix(self._root)
                objects.append(StoredObject(key, item.size, item.etag, item.modified))
                # A page is the index document, or the object that is named like the folder; not its empty marker.
                if key == f"{folder}/{self._index_document}" or (key == f"{folder}/" and item.size):
                    with_page.add(folder)
        names = [item.key.rpartition("/")[2] for item in objects]
        if not with_page and not any(parse(name) is not None for name in names if not is_companion(name)):
            raise NotFoundError(f"no release of a project {project!r}")
        return Files(tuple(objects), frozenset(with_page), any(name.endswith(PROVENANCE) for name in names))

    async def _children(self, prefix: str) -> Children:
        try:
            children = await self._storage.children(self._root + prefix)
        except NotFoundError as error:
            # A listing that is refused does not mean that nothing is there: what is known of it stays.
            raise UpstreamError(error.detail, code=error.code, upstream_status=error.upstream_status) from error
        self._listed = time.monotonic()
        return children

    async def _if_permitted(self, cache: AgedCache[str, T], key: str) -> Aged[T]:
        try:
            return await cache.get(key)
        except GatewayError as error:
            if time.monotonic() - self._listed < self._believed_seconds:
                raise  # a listing that was permitted and now is not is an outage
            raise not_permitted(error) from error


def no_projects(children: Children) -> NotFoundError:
    """With the code BLANK where that may be because the storage is not what it was."""
    return NotFoundError("the storage has no projects", code=BLANK if children.blank else None)


def not_permitted(error: GatewayError) -> GatewayError:
    """Where nothing may be listed, what is stored is all there is. Any other error is what it is."""
    if error.code != _ACCESS_DENIED:
        return error
    return NotFoundError("no permission to list the bucket, so no page can be made", code=error.code)
