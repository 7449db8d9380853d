"""Keeps stored pages up to date, by compare-and-swap: each change is made to the page as it is at that moment.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

import asyncio
import random
import time
from codecs import BOM_UTF8
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import quote
from weakref import WeakValueDictionary

from gateway.config.settings import Settings
from gateway.errors import ACCESS_DENIED, NotFoundError, PreconditionFailedError, UpstreamBusyError, UpstreamError
from gateway.executors import PAGES
from gateway.index.catalog.listing import Files
from gateway.index.simple import page_edit
from gateway.index.simple.names import release_of
from gateway.index.simple.page_text import text_of
from gateway.index.simple.pages import File, Project, project_html
from gateway.index.status.document import ACTIVE, ProjectStatus
from gateway.index.wheels.known_metadata import YANKED_FILE
from gateway.messages import ObjectRequest
from gateway.publish.life_cycle.yank_marks import YankMarks
from gateway.storage.base import Storage, one_chunk
from gateway.storage.content import content_of

_MAX_BYTES = 64 * 1024 * 1024
# A client that has sent a file waits for its answer.
_SECONDS = 8.0
_PAUSE_SECONDS = 0.25
_TYPE = "text/html; charset=utf-8"

Edit = Callable[[str], str]
Blank = Callable[[], Awaitable[str]]


def static_pages_of(settings: Settings, storage: Storage, root: str) -> "StaticPages":
    """Those of an index with these settings, below the key `root`."""
    return StaticPages(storage, root, settings.rewrite.index_document, write=settings.publish.write_pages)


@dataclass(frozen=True, slots=True)
class _Found:
    """A stored page; `etag` is the one that a change replaces."""

    key: str
    text: str
    etag: str
    content_type: str
    cache_control: str | None


class StaticPages:
    """The pages below the key `root`. A page that is not there is written only with `write`."""

    def __init__(self, storage: Storage, root: str, index_document: str, *, write: bool) -> None:
        self._storage = storage
        self._root = root
        self._index_document = index_document
        self._write = write
        self._marks = YankMarks(storage)
        # Those who change a page wait here for each other: together they would fail again and again.
        self._turns = WeakValueDictionary[str, asyncio.Lock]()

    async def demand_writable(self, known: Files | None) -> None:
        """Raises UpstreamError if a project has a page that can't be changed, or the root has, where that may be
        needed. `known` are the project's objects, None if it has none."""
        folders = sorted(known.with_page) if known is not None else []
        if not folders and not self._write:
            return
        for folder in [*(f"{name}/" for name in folders), ""]:
            found = await self._read(folder)
            if found is not None:
                await self._edited(found, partial(page_edit.without_file, name=""))

    async def add(self, project: str, key: str, known: Files | None, file: File) -> None:
        """Has the pages of a project, by its normalised name, link to a file, which is there; and that of the root to
        the project. `key` is the file's, relative to the root, and `known` are the project's objects before that.
        Raises GatewayErrors."""
        folder = key.rpartition("/")[0]
        pages = set(known.with_page) if known is not None else set[str]()
        new = folder not in pages and bool(folder) and self._write
        if new:
            pages.add(folder)
        await self._show(pages, key, file, partial(self._new_page, project, folder, known) if new else None)
        if pages:
            await self._change("", partial(page_edit.with_project, name=project))
            await self._look_again(pages, key, file)

    async def settle(self, folders: Iterable[str], key: str) -> None:
        """Has its project's pages, which are in these folders, show a file as it is now, or not if it is gone: others
        may publish, yank or delete it meanwhile. Raises GatewayErrors."""
        if pages := sorted(folders):
            file = await self._file(key)
            await self._show(pages, key, file)
            await self._look_again(pages, key, file)

    async def remove(self, folders: Iterable[str], name: str) -> None:
        """Takes a file off its project's pages, which are in these folders. Raises GatewayErrors."""
        for page in sorted(folders):
            await self._change(f"{page}/", partial(page_edit.without_file, name=name))

    async def _show(self, folders: Iterable[str], key: str, file: File | None, blank: Blank | None = None) -> None:
        """Has pages link to the file, or not if that is None. `blank` makes the page in the file's own folder."""
        folder, _, name = key.rpartition("/")
        if file is None:
            await self.remove(folders, name)
            return
        for page in sorted(folders):
            url = quote(name if page == folder else f"../{key}", safe="/")
            edit = partial(page_edit.with_file, file=replace(file, url=url))
            await self._change(f"{page}/", edit, blank if page == folder else None)

    async def _look_again(self, folders: Iterable[str], key: str, shown: File | None) -> None:
        """Whoever has changed the file meanwhile may have looked at the pages before they have `shown` this: whoever
        comes last makes both the same."""
        while _differs(shown, now := await self._file(key)):
            await self._show(folders, key, now)
            shown = now
        if shown is not None and await self._marks.of(self._root + key) is not None:
            await self.show_mark(folders, key)

    async def _file(self, key: str) -> File | None:
        """A file as the storage has it now, None if it is not there. Directories tell no hash. Raises UpstreamError
        where that is refused: the file may be there, and must not lose its link."""
        try:
            found = await self._storage.metadata(self._root + key)
        except NotFoundError as error:
            if error.code == ACCESS_DENIED:
                raise _refused(error) from error
            return None
        hashes = {"sha256": found.sha256} if found.sha256 is not None else {}
        return File(key.rpartition("/")[2], "", hashes=hashes, requires_python=found.requires_python)

    async def show_mark(self, folders: Iterable[str], key: str) -> None:
        """Has its project's pages, which are in these folders, say of a file what its mark says, which others may
        change meanwhile: whoever comes last makes both the same. Raises GatewayErrors."""
        if not (pages := sorted(folders)):
            return
        name, mark = key.rpartition("/")[2], await self._marks.of(self._root + key)
        while True:
            for page in pages:
                await self._change(f"{page}/", partial(page_edit.with_yank, name=name, reason=mark))
            if (now := await self._marks.of(self._root + key)) == mark:
                return
            mark = now

    async def mark(self, project: str, known: Files | None, status: ProjectStatus) -> bool:
        """Has a project's pages say its status. Whether that changed any. Raises GatewayErrors."""
        said = None if status.said == ACTIVE else status.marker
        edit = partial(page_edit.with_status, status=said, reason=status.reason)
        folders = sorted(known.with_page) if known is not None else [project]
        return any([await self._change(f"{folder}/", edit) for folder in folders])

    async def _change(self, folder: str, edit: Edit, blank: Blank | None = None) -> bool:
        """Changes the page of a folder; one that is not there is made from `blank`, or left alone. Whether it has been
        changed."""
        async with self._turns.setdefault(folder, asyncio.Lock()):
            return await self._changed(folder, edit, blank)

    async def _changed(self, folder: str, edit: Edit, blank: Blank | None) -> bool:
        """The same, if nobody else here does so."""
        until = time.monotonic() + _SECONDS
        while True:
            found = await self._read(folder)
            if found is None and blank is None:
                return False
            text = await self._edited(found, edit) if found is not None else edit(await blank()) if blank else ""
            if found is not None and text == found.text:
                return False
            try:
                await self._storage.put(
                    found.key if found is not None else self._root + folder + self._index_document,
                    one_chunk(text.encode()),
                    content_type=found.content_type if found is not None else _TYPE,
                    cache_control=found.cache_control if found is not None else None,
                    only_new=found is None,
                    replaces=found.etag if found is not None else None,
                )
            except PreconditionFailedError as error:
                if time.monotonic() > until:
                    raise UpstreamBusyError(f"others keep changing the page of {folder or 'the root'}") from error
                await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311  nothing to guess
            else:
                return True

    async def _read(self, folder: str) -> _Found | None:
        """Raises UpstreamError for a page that can't be changed."""
        keys = [self._root + folder + self._index_document] + ([self._root + folder] if folder else [])
        for key in keys:
            try:
                answer = await self._storage.fetch(ObjectRequest("GET", key, uncached=True))
            except NotFoundError:
                continue
            content, said = await content_of(answer, _MAX_BYTES), answer.headers
            if key.endswith("/") and not content:
                continue  # a mark that stands for the folder
            if len(content) > _MAX_BYTES or "ETag" not in said:
                raise _unchangeable(key, "it is too large, or has no ETag")
            try:
                text = await PAGES.run(_text_of, content, said)
            except ValueError as error:
                raise _unchangeable(key, "it is compressed, or not UTF-8") from error
            return _Found(key, text, said["ETag"], said.get("Content-Type", _TYPE), said.get("Cache-Control"))
        return None

    async def _new_page(self, project: str, folder: str, known: Files | None) -> str:
        """The first page of a project: of all its files that are there by now, without their hashes. `known` tells in
        which folders, from before: others may have deleted or yanked some while a file came. Without it there were
        none, or they may not be listed."""
        keys = list[str]()
        if known is not None:
            for at in sorted({folder, *(item.key.rpartition("/")[0] for item in known.objects)}):
                keys += await self._keys_in(f"{at}/" if at else "")
        return project_html(Project(project, (), tuple(_files(project, folder, keys)))).decode()

    async def _keys_in(self, folder: str) -> list[str]:
        try:
            found = await self._storage.children(self._root + folder)
        except NotFoundError as error:  # refused, though it was not before
            raise _refused(error) from error
        return [item.key.removeprefix(self._root) for item in found.objects]

    @staticmethod
    async def _edited(found: _Found, edit: Edit) -> str:
        try:
            return await PAGES.run(edit, found.text)
        except ValueError as error:
            raise _unchangeable(found.key, str(error)) from error


def _differs(shown: File | None, now: File | None) -> bool:
    if shown is None or now is None:
        return shown is not now
    return bool(shown.hashes and now.hashes) and shown.hashes != now.hashes


def _text_of(content: bytes, headers: Mapping[str, str]) -> str:
    """The text of a page, whose bytes are those of the text. Raises ValueError if it is read as another text."""
    if text_of(content, headers, _MAX_BYTES).encode() != content.removeprefix(BOM_UTF8):
        raise ValueError("another text")
    return content.decode()


def _files(project: str, folder: str, keys: Sequence[str]) -> Iterator[File]:
    """Those of a project, as its page in this folder links to them."""
    marked = frozenset(keys)
    for key in keys:
        at, _, name = key.rpartition("/")
        if (release := release_of(name)) is not None and release.project == project:
            url = quote(name if at == folder else f"../{key}", safe="/")
            yield File(name, url, yanked="" if key + YANKED_FILE in marked else None)


def _refused(error: NotFoundError) -> UpstreamError:
    return UpstreamError(error.detail, code=error.code, upstream_status=error.upstream_status)


def _unchangeable(key: str, why: str) -> UpstreamError:
    public = f"The stored page {key} can't be changed: {why}. See index.mode and publish.write_pages"
    return UpstreamError(f"the page {key} can't be changed: {why}", public=public)
