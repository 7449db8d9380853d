"""Compares a stored page of a project with the files that there are."""

from urllib.parse import quote, unquote, urljoin, urlsplit

from gateway.config.settings import Settings
from gateway.errors import NotFoundError
from gateway.executors import PAGES
from gateway.http.target import key_of
from gateway.index.simple.names import is_release_of, normalize
from gateway.index.simple.page_text import text_of
from gateway.index.simple.pages import File, Project
from gateway.index.simple.static_page import project_of
from gateway.index.simple.stored import is_json
from gateway.messages import ObjectRequest
from gateway.publish.upkeep.finding import Finding, Problem, is_refused
from gateway.publish.upkeep.side_by_side import each, side_by_side
from gateway.storage.base import Storage, StoredObject
from gateway.storage.content import content_of

_MAX_PAGE_BYTES = 64 * 1024 * 1024
_LINKS_AT_ONCE = 8
# Stands for the gateway's own address.
_HERE = "http://gateway.invalid"


class StoredPages:
    """Pages whose links lead elsewhere are not wrong."""

    def __init__(self, storage: Storage, root: str, settings: Settings) -> None:
        self._storage = storage
        self._root = root
        self._settings = settings

    async def of(self, page: StoredObject) -> list[Finding]:
        """Raises GatewayErrors. `page` has a key relative to the root."""
        folder = page.key.rpartition("/")[0] + "/"
        name = normalize(folder[:-1].rpartition("/")[2])
        try:
            project = await self._read(page, name)
            if project is None:
                return []
        except ValueError as error:
            return [Finding(Problem.PAGE, page.key, f"the page can't be read: {error}", "Write it anew, or remove it")]
        children = await self._storage.children(self._root + folder)
        there = {item.key.rpartition("/")[2] for item in children.objects}
        findings = list[Finding]()
        async for found in side_by_side(each(project.files), lambda file: self._link(page, file), _LINKS_AT_ONCE):
            findings += found
        named = {file.name for file in project.files}
        for file in sorted(there - named):
            if is_release_of(name, file):
                what = f"the page does not name {file}, which lies beside it"
                findings.append(Finding(Problem.PAGE, page.key, what, "Write the page anew, or remove it"))
        return findings

    async def _read(self, page: StoredObject, name: str) -> Project | None:
        """None for a page that is JSON already. Raises ValueError for what is no page."""
        answer = await self._storage.fetch(ObjectRequest("GET", self._root + page.key))
        content = await content_of(answer, _MAX_PAGE_BYTES)
        if len(content) > _MAX_PAGE_BYTES:
            raise ValueError(f"it has over {_MAX_PAGE_BYTES} bytes")
        if is_json(answer.headers):
            return None
        return await PAGES.run(lambda: project_of(name, text_of(content, answer.headers, _MAX_PAGE_BYTES)))

    async def _link(self, page: StoredObject, file: File) -> list[Finding]:
        key = self._key(page, file.url)
        if key is None:
            return []
        try:
            known = (await self._storage.metadata(key)).sha256
        except NotFoundError as error:
            if is_refused(error):
                raise
            what = f"the page names {file.name}, which is not there"
            return [Finding(Problem.PAGE, page.key, what, "Write the page anew, or bring the file back")]
        said = file.hashes.get("sha256", known)
        if known is not None and said != known:
            what = f"by the page, the SHA-256 of {file.name} is {said}, by the file's metadata {known}"
            return [Finding(Problem.PAGE, page.key, what, "gateway verify tells about the file; write the page anew")]
        return []

    def _key(self, page: StoredObject, url: str) -> str | None:
        """The key to which a link of the page leads; None if it leads elsewhere."""
        rewrite, base_path = self._settings.rewrite, self._settings.server.base_path
        try:
            target = urljoin(f"{_HERE}{base_path}/{quote(page.key)}", url)
            path = urlsplit(target).path
        except ValueError:
            return None
        if not target.startswith(f"{_HERE}/"):
            return None
        return key_of(unquote(path), base_path=base_path, strip=rewrite.strip_prefix, add=rewrite.add_prefix)
