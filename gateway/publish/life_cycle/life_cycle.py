"""What becomes of a release after it was published: it is yanked, or deleted.

https://packaging.python.org/en/latest/specifications/simple-repository-api/ (yanked files: PEP 592)
"""

from collections.abc import Sequence

from packaging.version import Version

from gateway.errors import GatewayError, NotFoundError
from gateway.index.catalog.recognised import Catalog
from gateway.index.simple.names import COMPANIONS, release_of
from gateway.index.wheels.file_metadata import FileMetadata
from gateway.index.wheels.known_metadata import YANKED_FILE
from gateway.publish.attestations.provenances import Provenances
from gateway.publish.life_cycle.change import Action, Change
from gateway.publish.life_cycle.tombstones import Tombstones
from gateway.publish.life_cycle.yank_marks import YankMarks
from gateway.publish.static_pages.static_pages import StaticPages
from gateway.storage.base import Storage, StoredObject


class LifeCycle:
    """Changes the releases of one index. Whoever calls it has asked whether that is permitted."""

    def __init__(
        self, storage: Storage, catalog: Catalog, metadata: FileMetadata, root: str, pages: StaticPages
    ) -> None:
        """`root` is the key above all projects."""
        self._pages = pages
        self._storage = storage
        self._catalog = catalog
        self._metadata = metadata
        self._root = root
        self._tombstones = Tombstones(storage, root)
        self._provenances = Provenances(storage)
        self._marks = YankMarks(storage)

    async def files(
        self, project: str, version: Version | None = None, file: str | None = None
    ) -> Sequence[StoredObject]:
        """The release files of a project, by its normalised name; those of one version, or the one with that name.
        Raises NotFoundError if there are none, and other GatewayErrors."""
        known = (await self._catalog.files(project)).value
        releases = ((item, release_of(_name(item))) for item in known.objects)
        mine = ((item, release) for item, release in releases if release is not None and release.project == project)
        found = [item for item, release in mine if version in (None, release.version)]
        what = f"{project} {version}" if version is not None else project
        if not found:
            raise NotFoundError(f"there is no file of {what}")
        chosen = [item for item in found if file in (None, _name(item))]
        if not chosen:
            raise NotFoundError(f"{what} has no file {file}")
        return chosen

    async def chosen(self, change: Change) -> Sequence[StoredObject]:
        """The files that a change is for. Raises what `files` raises."""
        return await self.files(change.project, change.version, change.file)

    async def apply(self, change: Change, item: StoredObject) -> None:
        """Makes a change to one file, and to the stored pages that show it. Raises GatewayErrors."""
        known = (await self._catalog.files(change.project)).value
        if change.action is Action.DELETE:
            await self._pages.remove(known.with_page, _name(item))  # first: no link leads to what is gone
            await self.delete(change.project, item, forget=change.forget)
            await self._pages.settle(known.with_page, item.key)  # others may have published it meanwhile
            return
        if change.action is Action.YANK:
            await self.yank(item, change.reason)
        else:
            await self.unyank(item)
        await self._pages.show_mark(known.with_page, item.key)

    async def yank(self, item: StoredObject, reason: str) -> None:
        """Marks a file: installers don't choose it unless they must. Marks it anew if it is yanked already."""
        await self._marks.put(self._root + item.key, reason)

    async def unyank(self, item: StoredObject) -> None:
        """Takes the mark away; does nothing if there is none beside the file. Raises GatewayError for a file whose
        own metadata says that it is yanked: that would have to be written anew."""
        await self._marks.remove(self._root + item.key)
        if (await self._storage.metadata(self._root + item.key)).yanked is not None:
            raise GatewayError(f"the metadata of {item.key} says that it is yanked, and can't be changed here")

    async def delete(self, project: str, item: StoredObject, *, forget: bool) -> None:
        """Deletes a file and what describes it. Its name does not come back with other bytes, unless `forget`."""
        key = self._root + item.key
        if forget:
            await self._tombstones.remove(_name(item))
        else:
            # Before the file goes: whoever uploads the name in between finds the one or the other.
            sha256 = await self._metadata.sha256_of(project, item)
            await self._tombstones.put(_name(item), sha256 or "")
        # The file goes behind what describes it, so that the same can be asked again after an error: a new file of that
        # name must not get the old one's metadata. Only its mark goes later, without which installers would choose it.
        for suffix in COMPANIONS:
            if suffix != YANKED_FILE:
                await self._storage.delete(key + suffix)
        await self._storage.delete(key)
        await self._marks.remove(key)
        # An upload of the same bytes may have been under way, which saw the file when it looked for the last time.
        await self._provenances.remove_lost(key)


def _name(item: StoredObject) -> str:
    return item.key.rpartition("/")[2]
