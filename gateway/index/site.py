"""The site that installers see: which path is which page, in which form."""

import gzip
import hashlib
from collections.abc import Callable, Mapping
from urllib.parse import quote

from cachetools import LRUCache

from gateway.cache.aged import Aged
from gateway.edge.paths import query_part
from gateway.errors import (
    NotAcceptableError,
    NotFoundError,
    UpstreamError,
    UpstreamTimeoutError,
)
from gateway.index import pages
from gateway.index.catalog import Catalog, Files, Projects
from gateway.index.facts import FactBook
from gateway.index.names import is_companion, is_hidden, normalize, parse
from gateway.index.negotiation import Form, choose, takes_gzip
from gateway.index.stored import format_of, unavailable
from gateway.index.whole import WholeCatalog
from gateway.model import Page, Redirect
from gateway.storage.conditions import not_modified

Source = Aged[Projects] | Aged[Files]

_SIMPLE = "simple"
_GZIP_FROM_BYTES = 1400  # what fits into one packet gains nothing
_MAX_PAGES = 1024


class Site:
    """Pages made from the catalogue, each rendered once for as long as its listing stands."""

    def __init__(
        self, catalog: Catalog | WholeCatalog, facts: FactBook, root: str, *, index_document: str, max_age: int
    ) -> None:
        """`root` is the key below which all is, with its slash."""
        self._facts = facts
        self._catalog = catalog
        self._root = root
        self._index_document = index_document
        self._max_age = max_age
        self._rendered: LRUCache[tuple[str, Form, bool, str], tuple[object, int, bytes, str]] = LRUCache(_MAX_PAGES)

    def refresh(self) -> None:
        """The next page of each project is made from a new listing."""
        self._catalog.expire()

    async def close(self) -> None:
        """Ends what goes on in the background."""
        await self._catalog.close()
        await self._facts.close()

    def alias(self, key: str) -> str | None:
        """The key that one below `simple/` stands for too: a static page's relative links lead there."""
        simple = f"{self._root}{_SIMPLE}/"
        return self._root + key.removeprefix(simple) if key.startswith(simple) and key != simple else None

    async def stored_key(self, key: str) -> str | None:
        """Where the page that `key` stands for is stored, as a directory's key; None if it must be made.

        Raises NotFoundError if there is no project, or nothing may be listed; and what keeps that from being known.
        """
        project, _ = self._route(key)
        if project is None:
            return self._root if (await self._catalog.projects()).value.has_page else None
        with_page = (await self._catalog.files(normalize(project))).value.with_page
        return f"{self._root}{project}/" if project in with_page else None

    async def exists(self, key: str) -> bool:
        """Whether `key`, which ends in a slash, is a page."""
        try:
            project, _ = self._route(key)
            await (self._catalog.files(normalize(project)) if project is not None else self._catalog.projects())
        except NotFoundError:
            return False
        return True

    async def page(
        self, key: str, *, query: str, accept: str, accept_encoding: str, wanted: Mapping[str, str]
    ) -> Page | Redirect:
        """The page at `key`, which is empty or ends in a slash. `wanted` has the conditional headers.

        Raises NotFoundError where there is no such project, UpstreamBusyError where that can't be known now.
        """
        project, up = self._route(key)
        form = choose(accept, format_of(query))
        if form is None:
            raise NotAcceptableError(f"Accept: {accept}")
        try:
            if project is None:
                source, render = await self._root_page(form)
            elif project != normalize(project):
                await self._catalog.files(normalize(project))
                return Redirect(f"../{normalize(project)}/{query_part(query)}")
            else:
                source, render = await self._project_page(project, up, form)
        except (UpstreamError, UpstreamTimeoutError) as error:
            raise unavailable(error) from error
        body, etag, encoding = self._body(project or "", form, takes_gzip(accept_encoding), up, source, render)
        headers = self._headers(form, source) | {"ETag": etag} | ({"Content-Encoding": encoding} if encoding else {})
        if not_modified(
            {name: wanted[name] for name in ("if-match", "if-none-match") if name in wanted}, etag=etag, modified=0
        ):
            return Page(304, b"", headers)
        return Page(200, body, headers)

    def _route(self, key: str) -> tuple[str | None, str]:
        """The project of a page, None for the root's; and what leads from the page to the root."""
        if not key.startswith(self._root):
            raise NotFoundError("outside the index")
        names = key.removeprefix(self._root).split("/")[:-1]
        up = "../" * len(names)
        if names[:1] == [_SIMPLE]:
            names = names[1:]
        if len(names) > 1 or names == [""]:
            raise NotFoundError("no page is so deep")
        return (names[0] if names else None), up

    async def _root_page(self, form: Form) -> tuple[Source, Callable[[], bytes]]:
        projects = await self._catalog.projects()
        names = sorted(projects.value.folders)
        if form is Form.JSON_V1:
            return projects, lambda: pages.root_json(names)
        return projects, lambda: pages.root_html(names)

    async def _project_page(self, project: str, up: str, form: Form) -> tuple[Source, Callable[[], bytes]]:
        files = await self._catalog.files(project)
        self._facts.want_once(project, files.value.objects)
        render = pages.project_json if form is Form.JSON_V1 else pages.project_html
        return files, lambda: render(_project(project, files.value, up, self._index_document, self._facts))

    def _body(
        self, project: str, form: Form, gzipped: bool, up: str, source: Source, render: Callable[[], bytes]
    ) -> tuple[bytes, str, str | None]:
        slot = project, form, gzipped, up
        made = self._rendered.get(slot)
        generation = self._facts.generation[project]
        if made is None or made[0] is not source.value or made[1] != generation:
            body = render()
            digest = hashlib.sha256(body).hexdigest()[:32]
            if gzipped and len(body) >= _GZIP_FROM_BYTES:
                made = source.value, generation, gzip.compress(body, compresslevel=6, mtime=0), f'"{digest}-gzip"'
            else:
                made = source.value, generation, body, f'"{digest}"'
            self._rendered[slot] = made
        return made[2], made[3], "gzip" if made[3].endswith('-gzip"') else None

    def _headers(self, form: Form, source: Source) -> dict[str, str]:
        headers = {
            "Content-Type": form.value,
            "Vary": "Accept, Accept-Encoding",
            "Cache-Control": f"max-age={self._max_age}",
        }
        if source.stale:
            headers |= {
                "Warning": '110 - "Response is Stale"',
                "Age": str(int(source.age)),
                "Cache-Control": "no-cache",
            }
        return headers


def _project(name: str, listing: Files, up: str, index_document: str, facts: FactBook) -> pages.Project:
    """What a listing says of a project. Files of other projects that lie in its folder are not its own."""
    present = {item.key: item for item in listing.objects}
    files = []
    versions = set()
    for item in listing.objects:
        filename = item.key.rpartition("/")[2]
        if not filename or is_hidden(filename) or is_companion(filename) or filename == index_document:
            continue
        release = parse(filename)
        if release is not None and release.project != name:
            continue
        if release is not None:
            versions.add(release.version)
        known = facts.of(item, present)
        files.append(
            pages.File(
                name=filename,
                url=up + quote(item.key, safe="/"),
                size=item.size,
                modified=item.modified,
                sha256=known.sha256,
                requires_python=known.requires_python,
                yanked=known.yanked,
                # Of a wheel it is read out of it where it does not lie beside it.
                has_metadata=filename.endswith(".whl") or f"{item.key}.metadata" in present,
            )
        )
    return pages.Project(name, tuple(str(version) for version in sorted(versions)), tuple(files))
