"""The catalogue for `index.layout: auto`: recognises the layout by what lies at the top of the storage."""

import asyncio
import logging
from typing import TypeAlias

from gateway.cache.lru import MemoryLimit
from gateway.cache.patience import Patience
from gateway.cache.refreshing import RefreshedValue, RefreshingCache
from gateway.errors import (
    ACCESS_DENIED,
    GatewayError,
    NotFoundError,
    UpstreamBusyError,
    UpstreamError,
    UpstreamTimeoutError,
)
from gateway.index.catalog.flat import FlatCatalog
from gateway.index.catalog.folders import FolderCatalog
from gateway.index.catalog.layout import Layout, recognise
from gateway.index.catalog.listing import BLANK, Files, Projects
from gateway.single_flight import retrieve_exception
from gateway.storage.base import Storage

_MEMORY_BYTES = 4096
_BLANK = "The directory behind this gateway is empty, perhaps by mistake, so no other index is asked"

log = logging.getLogger("gateway.index")


class RecognisedCatalog:
    """A FolderCatalog or a FlatCatalog, whichever fits. The layout is recognised before the first answer, and again as
    often as the storage is listed.

    If it has never been recognised and the storage can't be listed, every call fails with the reason: a layout that is
    only assumed would hide files. A recognised layout stays in use while the storage can't be reached.
    """

    def __init__(
        self,
        storage: Storage,
        root: str,
        folders: FolderCatalog,
        flat: FlatCatalog,
        *,
        refresh: float,
        stale_if_error: float,
        patience: Patience | None = None,
    ) -> None:
        """`root` and the times mean the same as in FolderCatalog; neither catalogue is started."""
        self._storage = storage
        self._root = root
        self._folders = folders
        self._flat = flat
        self._begun: asyncio.Task[None] | None = None
        self._layouts: RefreshingCache[str, Layout] = RefreshingCache(
            self._recognise,
            # An empty storage may be filled at any time, and recognising it costs no more than a listing of nothing.
            fresh_seconds=lambda layout: 0.0 if layout.empty else refresh,
            stale_if_error=stale_if_error,
            name="the layout",
            memory=MemoryLimit(_MEMORY_BYTES),
            weigh=lambda layout: 1,
            patience=patience,
        )

    async def start(self) -> None:
        """Begins to recognise the layout, and to list a flat one, without waiting for it."""
        self._begun = asyncio.get_running_loop().create_task(self._begin())
        self._begun.add_done_callback(retrieve_exception)

    async def projects(self) -> RefreshedValue[Projects]:
        return await (await self.fitting()).projects()

    async def files(self, project: str) -> RefreshedValue[Files]:
        """Like FolderCatalog.files. A flat layout is listed as a whole, which may take long: what `has_project` has
        found in a project's folder since counts already."""
        try:
            return await (await self.fitting()).files(project)
        except NotFoundError:
            newer = self._folders.known_files(project)
            if newer is None or newer.age >= self._flat.age:
                raise
            return newer

    async def has_project(self, project: str) -> RefreshedValue[bool]:
        """Like FolderCatalog.has_project. If folders lie beside files, a folder without files counts too."""
        fitting = await self.fitting(may_be_stale=False)
        layout = self._layouts.known("")
        if fitting is self._folders or layout is None or not layout.mixed:
            return await fitting.has_project(project)
        folder = await self._folders.has_project(project)
        if (age := self._folders.beside_age(project)) is not None:
            self._flat.renew(age)  # otherwise its page could be 404 until then
        elif folder.value and not folder.stale:
            return folder
        released = await self._flat.has_project(project)
        age, stale = max(released.age, folder.age), released.stale or folder.stale
        return RefreshedValue(released.value or folder.value, age, stale)

    async def may_have_folder(self, name: str) -> bool:
        return await (await self.fitting()).may_have_folder(name)

    def expire(self) -> None:
        """Has everything listed again before it is used."""
        self._layouts.expire()
        self._folders.expire()
        self._flat.expire()

    def forget(self, project: str) -> None:
        """Like `expire`, for one project, as far as the layout allows."""
        self._layouts.expire()
        self._folders.forget(project)
        self._flat.forget(project)

    async def close(self) -> None:
        """Ends the listings in the background."""
        if self._begun is not None:
            self._begun.cancel()
            await asyncio.gather(self._begun, return_exceptions=True)
        await self._layouts.close()
        await self._folders.close()
        await self._flat.close()

    async def _begin(self) -> None:
        if await self.fitting() is self._flat:
            await self._flat.start()

    async def fitting(self, *, may_be_stale: bool = True) -> FolderCatalog | FlatCatalog:
        """The catalogue that fits. A recognised layout is used without another look, unless it must not be stale."""
        found = self._layouts.peek("") if may_be_stale else None
        if found is None or found.value.empty:
            try:
                found = await self._layouts.get("", may_be_stale=may_be_stale)
            except GatewayError as error:
                if error.code != ACCESS_DENIED or self._layouts.known("") is not None:
                    raise
                return self._folders  # which handles the refusal
        return self._flat if found.value.flat else self._folders

    async def _recognise(self, _: str) -> Layout:
        known = self._layouts.known("")
        try:
            layout = await recognise(self._storage, self._root)
        except NotFoundError as error:
            # A refused listing does not mean that nothing is there.
            raise UpstreamError(error.detail, code=error.code, upstream_status=error.upstream_status) from error
        if layout.flat and (known is None or not known.flat):
            log.info("index.layout auto: there are %s, so file names tell the projects (flat)", layout)
        elif known is not None and known.flat and not (layout.flat or layout.empty):
            log.info("index.layout auto: there is %s now (project)", layout)
        return layout


Catalog: TypeAlias = FolderCatalog | FlatCatalog | RecognisedCatalog


async def is_ours(catalog: Catalog, project: str) -> bool:
    """Whether a project, by its normalised name, is in the storage, so that no other index is asked for it. Raises
    UpstreamBusyError if that can't be known now."""
    try:
        ours = await catalog.has_project(project)
    except NotFoundError as error:
        if error.code == BLANK:
            what = "the storage's directory is empty, so it is unknown which projects are yours: is a volume missing?"
            what += " If it is meant to be empty, put a file into it, like .keep"
            raise UpstreamBusyError(what, public=_BLANK, code=error.code) from error
        if error.code is not None:
            what = "which projects are yours is unknown without permission to list the bucket (s3:ListBucket)"
            raise UpstreamBusyError(what, code=error.code) from error
        return False
    except (UpstreamError, UpstreamTimeoutError) as error:
        what = f"which projects are ours can't be known now: {error.detail}"
        raise UpstreamBusyError(what, code=error.code, upstream_status=error.upstream_status) from error
    if ours.stale:
        raise UpstreamBusyError("which projects are ours can't be known now")
    return ours.value


async def known_files(catalog: Catalog, project: str) -> Files | None:
    """The files of a project, by its normalised name; None if there is no such project."""
    try:
        return (await catalog.files(project)).value
    except NotFoundError:
        return None


async def key_of_file(catalog: Catalog, project: str, filename: str) -> str:
    """The key, relative to the root, that a file of a project has or would have: its folder may be spelled otherwise
    than its normalised name."""
    known = await known_files(catalog, project)
    there = (item.key for item in known.objects if item.key.endswith(f"/{filename}")) if known else iter(())
    return next(there, "") or await new_key(catalog, project, filename)


async def new_key(catalog: Catalog, project: str, filename: str) -> str:
    """The key, relative to the root, that a new file of a project has, by its normalised name. Raises GatewayErrors if
    the layout can't be recognised."""
    fitting = await catalog.fitting(may_be_stale=False) if isinstance(catalog, RecognisedCatalog) else catalog
    return filename if isinstance(fitting, FlatCatalog) else f"{project}/{filename}"
