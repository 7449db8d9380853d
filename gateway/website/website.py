"""Answers the requests for one site: redirects, files, directories, and what absent paths get instead."""

import asyncio
from dataclasses import replace
from enum import Enum, auto
from urllib.parse import parse_qs

from gateway.errors import BadRequestError, GatewayError, NotFoundError, RangeNotSatisfiableError, without_frames
from gateway.http.headers import as_html
from gateway.http.target import relative_directory
from gateway.messages import Answer, ObjectRequest, Redirect, SiteRequest, Stream, nothing_to_close
from gateway.principal import Right
from gateway.storage.base import Storage
from gateway.website import application
from gateway.website.answer_headers import AnswerHeaders
from gateway.website.listings import Listings
from gateway.website.objects import SiteObjects
from gateway.website.patterns import single_slashes
from gateway.website.redirects import RedirectTable
from gateway.website.rights import SiteRights

# Within this time the error document has to arrive, or the gateway's own error page takes its place.
_DOCUMENT_SECONDS = 2.0
# Of an error document: what is said of another URL, for which its validators and its lifetime don't hold.
_OF_ANOTHER_URL = ("ETag", "Last-Modified", "Accept-Ranges", "Expires", "Age")
_MOST_VERSION_CHARACTERS = 1024


class _Size(Enum):
    """What is known of an object."""

    ABSENT = auto()
    EMPTY = auto()
    SOME = auto()


class Website:
    """One site. What somebody may read has been decided for the path that was asked for; it is decided here for what is
    served in its place."""

    def __init__(
        self,
        storage: Storage,
        objects: SiteObjects,
        listings: Listings | None,
        redirects: RedirectTable,
        rights: SiteRights,
        headers: AnswerHeaders,
        root: str,
        *,
        index_document: str,
        spa: bool,
        error_document: str | None,
        versions: bool,
    ) -> None:
        """`headers` are for all its answers. `root` is the key of the site's root. Without `listings`, directories have
        pages only if these are stored."""
        self.headers = headers
        self._storage = storage
        self._objects = objects
        self._listings = listings
        self._redirects = redirects
        self._rights = rights
        self._root = root
        self._index_document = index_document
        self._spa = spa
        self._error_document = root + error_document if error_document is not None else None
        self._versions = versions

    async def close(self) -> None:
        await self._objects.close()
        if self._listings is not None:
            await self._listings.close()

    def expire(self) -> None:
        """Has the next listings made anew, and siblings of objects looked for."""
        self._objects.expire()
        if self._listings is not None:
            self._listings.expire()

    async def answer(self, request: SiteRequest) -> Answer:
        """Raises NotFoundError if nothing is there, and nothing is shown instead; and the errors of the storage."""
        if (elsewhere := self._redirects.find(request.path, request.query)) is not None:
            return elsewhere
        try:
            return await self._found(request)
        except NotFoundError as error:
            absent = without_frames(error)
        instead = await self._application(request) or await self._error_page(request)
        if instead is None:
            raise absent
        return instead

    async def _found(self, request: SiteRequest) -> Answer:
        """What the key stands for; if nothing is there, what it stands for with single slashes, as for nginx."""
        try:
            return await self._at(request, request.key)
        except NotFoundError:
            single = self._root + single_slashes(request.key.removeprefix(self._root)).removeprefix("/")
            if single == request.key:
                raise
        return await self._at(request, single)

    async def _at(self, request: SiteRequest, key: str) -> Answer:
        return await (self._directory if not key or key.endswith("/") else self._file)(request, key)

    async def _file(self, request: SiteRequest, key: str) -> Answer:
        """An object; for a directory without its slash, a redirect to it."""
        version = self._version(request, key)
        if version:
            asked = ObjectRequest(request.method, key, request.wanted, version=version)
            answer = await self._objects.fetch(asked, request)
            return replace(answer, headers={**answer.headers, "Cache-Control": "no-store"})
        # A redirect leads to nothing that is not there: something else may be shown in its place.
        asked = ObjectRequest(
            request.method, key, request.wanted, request.caller, request.bypass, must_exist=True, fallback=False
        )
        try:
            return await self._objects.fetch(asked, request)
        except NotFoundError:
            if await self._has_page(f"{key}/"):  # rules are the same for both
                return Redirect(relative_directory(f"/{key}", request.query))
            raise

    async def _directory(self, request: SiteRequest, key: str) -> Answer:
        """A directory's index document, else its listing, else the object that is named like the directory itself."""
        try:
            return await self._index_of(request, key)
        except NotFoundError:
            if self._listings is None:
                return await self._named_like(request, key)
        return await self._listings.page(request, key) or await self._named_like(request, key)

    async def _index_of(self, request: SiteRequest, key: str) -> Answer:
        """Raises NotFoundError for one that the reader may not read, too."""
        document = key + self._index_document
        if not self._rights.permits(request.principal, Right.READ, document):
            raise NotFoundError("not for this reader")
        asked = ObjectRequest(request.method, document, request.wanted, bypass=request.bypass)
        return await self._objects.fetch(asked, request, page=True)

    async def _named_like(self, request: SiteRequest, key: str) -> Answer:
        """The object that is named like the directory. Raises NotFoundError for one that is empty: consoles and sync
        tools make these, and an empty page would say that nothing is here."""
        if not key or await self._size(key) is not _Size.SOME:
            raise NotFoundError("no page for a directory")
        asked = ObjectRequest(request.method, key, request.wanted, bypass=request.bypass)
        return await self._objects.fetch(asked, request, page=True)

    async def _has_page(self, directory: str) -> bool:
        """Whether a request for the directory would be answered with a page."""
        if not await self._storage.is_directory(directory):
            return False
        if self._listings is not None or await self._size(directory + self._index_document) is not _Size.ABSENT:
            return True
        return await self._size(directory) is _Size.SOME

    async def _size(self, key: str) -> "_Size":
        # Not HEAD: if the object is absent, a second request would be needed to learn why.
        try:
            answer = await self._storage.fetch(ObjectRequest("GET", key, {"range": "bytes=0-0"}))
        except NotFoundError:
            return _Size.ABSENT
        except RangeNotSatisfiableError:
            return _Size.EMPTY
        if isinstance(answer, Stream):
            answer.close()
        # SeaweedFS ignores the range of an empty object.
        return _Size.EMPTY if answer.headers.get("Content-Length") == "0" else _Size.SOME

    async def _application(self, request: SiteRequest) -> Answer | None:
        """The index document of the root, for a page that an application makes in the browser."""
        if not self._spa or not application.is_its_page(request.key, request.headers):
            return None
        try:
            answer = await self._index_of(request, self._root)
        except NotFoundError:
            return None
        vary = answer.headers.get("Vary")
        headers = {**answer.headers, "Vary": f"{vary}, {application.VARY}" if vary else application.VARY}
        return replace(answer, headers=headers)

    async def _error_page(self, request: SiteRequest) -> Answer | None:
        """The whole error document, with status 404 whatever conditions and ranges the client has sent. None if there
        is none, or it can't be had now. Whoever may not read the document sees it all the same."""
        if self._error_document is None:
            return None
        try:
            async with asyncio.timeout(_DOCUMENT_SECONDS):
                answer = await self._objects.fetch(ObjectRequest("GET", self._error_document), request)
        except (GatewayError, TimeoutError):
            return None
        if isinstance(answer, Redirect):
            return None
        headers = {name: value for name, value in as_html(answer.headers).items() if name not in _OF_ANOTHER_URL}
        headers["Cache-Control"] = "no-store"  # the next minute, something may be there
        if request.method == "HEAD":
            answer.close()
            return Stream(404, headers, None, nothing_to_close, answer.upstream_status, cache=answer.cache)
        return replace(answer, status=404, headers=headers, fresh_for=0.0)

    def _version(self, request: SiteRequest, key: str) -> str:
        """The id of the version that is asked for, if the reader may see others than the current one; else empty."""
        if not self._versions or "versionId=" not in request.query:
            return ""
        found = parse_qs(request.query).get("versionId", [])
        if len(found) > 1 or any(len(one) > _MOST_VERSION_CHARACTERS for one in found):
            raise BadRequestError("no version", public="The query must not have more than one versionId")
        return found[0] if found and self._rights.permits(request.principal, Right.WRITE, key) else ""
