"""What lies in the storage: each release file with what lies beside it, as a listing shows them one after the other."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from gateway.config.settings import Settings
from gateway.errors import NotFoundError
from gateway.http.target import is_reserved
from gateway.index.catalog.layout import recognise
from gateway.index.simple.names import COMPANIONS, is_hidden, normalize, parse
from gateway.storage.base import Storage, StoredObject
from gateway.storage.upkeep import upkeep_of


@dataclass(slots=True)
class Bundle:
    """A release file of `project`, None if it is not there, and its companions by their suffixes. Keys are relative to
    the key above all projects."""

    key: str
    project: str
    file: StoredObject | None = None
    companions: dict[str, StoredObject] = field(default_factory=dict)

    @property
    def items(self) -> list[StoredObject]:
        """All that is there."""
        return [*([self.file] if self.file is not None else ()), *self.companions.values()]


class Bundler:
    """Puts objects that come in key order together. Between a file and its companions, only keys come that begin with
    the file's key: so little has to be remembered, however long the listing is."""

    def __init__(self) -> None:
        self._open: list[Bundle] = []

    def add(self, item: StoredObject) -> Iterator[Bundle]:
        """The bundles to which nothing is added any more."""
        while self._open and not item.key.startswith(self._open[-1].key):
            yield self._open.pop()
        suffix = next(filter(item.key.endswith, COMPANIONS), "")
        key = item.key.removesuffix(suffix)
        name = key.rpartition("/")[2]
        release = parse(name) if not is_hidden(name) else None
        if release is None:
            return
        bundle = next((found for found in self._open if found.key == key), None)
        if bundle is None:
            bundle = Bundle(key, release.project)
            self._open.append(bundle)
        if suffix:
            bundle.companions[suffix] = item
        else:
            bundle.file = item

    def rest(self) -> Iterator[Bundle]:
        while self._open:
            yield self._open.pop()


def is_of_index(key: str, root: str) -> bool:
    """Whether the key lies below that above all projects, or among what gateways keep for themselves: the rest of the
    storage may belong to others."""
    return key.startswith(root) or is_reserved(key)


class Inventory:
    """Lists everything below the key `root`. `pages` are the index documents that it has passed; `missed` is what is
    there and can't be listed, such as a directory of somebody else, or the first of several."""

    def __init__(self, storage: Storage, root: str, settings: Settings) -> None:
        self._storage = storage
        self._root = root
        self._settings = settings
        self.pages: list[StoredObject] = []
        self.missed: str | None = None

    async def bundles(self, projects: frozenset[str] = frozenset()) -> AsyncIterator[Bundle]:
        """Those of all projects, or of some, by their normalised names. Raises NotFoundError if one of them has
        nothing, and other GatewayErrors."""
        bundler, missing = Bundler(), set(projects)
        async for found in self._objects(projects):
            if is_reserved(found.key):
                continue
            item = replace(found, key=found.key.removeprefix(self._root)) if self._root else found
            self._note_page(item, projects)
            for bundle in bundler.add(item):
                if not projects or bundle.project in projects:
                    missing.discard(bundle.project)
                    yield bundle
        for bundle in bundler.rest():
            if not projects or bundle.project in projects:
                missing.discard(bundle.project)
                yield bundle
        if missing:
            raise NotFoundError(f"there is no file of {', '.join(sorted(missing))}")

    async def shows(self, key: str, items: Iterable[StoredObject]) -> bool:
        """Whether a listing still has these versions of objects, whose keys begin with `key`. Raises GatewayErrors."""
        there = {found.key: found.etag async for found in self._listed(self._root + key)}
        return all(there.get(self._root + item.key) == item.etag for item in items)

    async def is_taken(self, key: str) -> bool:
        """See Upkeep. Raises GatewayErrors."""
        upkeep = upkeep_of(self._storage)
        return upkeep is not None and await upkeep.is_taken(self._root + key)

    async def _objects(self, projects: frozenset[str]) -> AsyncIterator[StoredObject]:
        prefixes = [self._root]
        if projects and not await self._is_flat():
            folders = (await self._storage.children(self._root)).folders
            prefixes = [f"{self._root}{folder}/" for folder in folders if normalize(folder) in projects]
        for prefix in prefixes:
            if self._settings.storage.prepend_hash:  # which are listed in the order of their hashes
                listed = [item async for item in self._listed(prefix)]
                for item in sorted(listed, key=lambda item: item.key):
                    yield item
            else:
                async for item in self._listed(prefix):
                    yield item

    async def _listed(self, prefix: str) -> AsyncIterator[StoredObject]:
        if self._settings.storage.resolved_backend != "file":
            async for item in self._storage.list(prefix):
                yield item
            return
        # Those of a directory come in key order too, and tell what is missing.
        async with aclosing(self._storage.batches(prefix)) as batches:
            async for batch in batches:
                self.missed = self.missed or batch.missed
                for item in batch.objects or ():
                    yield item

    def _note_page(self, item: StoredObject, projects: frozenset[str]) -> None:
        folder, _, name = item.key.rpartition("/")
        # The page of a folder is its index document, or the object that is named like it; not its empty marker.
        is_page = name == self._settings.rewrite.index_document or (not name and item.size > 0)
        if is_page and folder and (not projects or normalize(folder.rpartition("/")[2]) in projects):
            self.pages.append(item)

    async def _is_flat(self) -> bool:
        named = self._settings.index.layout
        if self._settings.storage.prepend_hash or named != "auto":
            return self._settings.storage.prepend_hash or named == "flat"
        return (await recognise(self._storage, self._root)).flat
