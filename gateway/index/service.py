"""Serves the page of a directory, stored or generated, and files with what is generated or fetched in their place."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.cache.lru import MemoryLimit
from gateway.errors import (
    GatewayError,
    NotAcceptableError,
    NotFoundError,
    UpstreamBusyError,
    UpstreamError,
    UpstreamTimeoutError,
    without_frames,
)
from gateway.http.headers import as_html, is_package_file
from gateway.index.changed_projects import ChangedProjects
from gateway.index.etags import conditional, etag_of
from gateway.index.generated.index import GeneratedIndex
from gateway.index.mirror.mirrored_files import MirroredFiles
from gateway.index.sboms.answers import SbomAnswers
from gateway.index.sboms.target import SbomTarget
from gateway.index.simple import stored
from gateway.index.simple.cache_control import IMMUTABLE, REVALIDATE, with_default
from gateway.index.simple.names import METADATA
from gateway.index.simple.negotiation import Form, choose
from gateway.index.simple.pages import Project, project_html, project_json
from gateway.index.wheels.metadata import WheelMetadata
from gateway.index.wheels.parts import RemoteWheel, stored_wheel
from gateway.messages import Answer, BufferedResponse, ObjectRequest, PageRequest, Redirect, Stream
from gateway.principal import Principal
from gateway.storage.base import Storage

if TYPE_CHECKING:  # nothing of it is imported where it is off
    from gateway.index.screening.own_door import OwnFilesDoor
    from gateway.index.status.document import ProjectStatus
    from gateway.index.status.statuses import ProjectStatuses

# That is over in a while, unlike a refusal.
_UNREACHABLE = frozenset({"ConnectionBroken", "ConnectionFailed"})


class Index:
    """Answers requests for pages and files. Without `generated`, no page is generated."""

    def __init__(
        self,
        storage: Storage,
        generated: GeneratedIndex | None,
        *,
        wheels: WheelMetadata,
        changed: ChangedProjects,
        mirrored: MirroredFiles | None,
        mode: str,
        index_document: str,
        immutable_files: bool,
        memory: MemoryLimit,
        statuses: "ProjectStatuses | None" = None,
        own_door: "OwnFilesDoor | None" = None,
    ) -> None:
        """`mode` is auto, static, generated or off. Without `statuses`, all projects offer their files, and without
        `own_door` the policy withholds none of ours."""
        self._own_door = own_door
        self._statuses = statuses
        self._storage = storage
        self._stored_pages = stored.StoredPages(memory)
        self._generated = generated
        self._mode = mode
        self._index_document = index_document
        self._immutable_files = immutable_files
        self._wheels = wheels
        self.sboms = SbomAnswers(memory)
        self._changed = changed
        self._mirrored = mirrored

    async def page(self, request: PageRequest) -> Answer:
        """Raises NotFoundError if there is no page, and UpstreamBusyError if that can't be known."""
        try:
            return await self._page(request)
        except (UpstreamError, UpstreamTimeoutError) as error:
            if isinstance(error, UpstreamError) and error.code not in _UNREACHABLE:
                raise
            raise stored.unavailable(error) from error

    async def _page(self, request: PageRequest) -> Answer:
        generated = self._generated
        if generated is not None and (target := generated.sbom_target(request.key)) is not None:
            return await self._in_wheel(request, target)
        if self._statuses is not None and (found := await self._statuses.withheld(request.key)) is not None:
            return await generated.page(request) if generated is not None else _without_files(request, *found)
        if generated is None:
            return await self._stored(request, request.key)
        if not request.key.endswith("/") and request.key:
            return await generated.page(request)  # of PyPI's JSON API: none is stored
        unknown: GatewayError | None = None
        if self._mode == "auto" and await generated.may_be_stored(request.key, request.principal):
            try:
                key = await generated.stored_key(request.key)
            except NotFoundError:
                key = request.key  # no project, but a directory may have a page
            except (UpstreamError, UpstreamTimeoutError, UpstreamBusyError) as error:
                key, unknown = request.key, error
            if key is not None:
                # The page may have been deleted since it was listed.
                with suppress(NotFoundError):
                    return await self._stored(request, key)
        if unknown is not None:
            raise stored.unavailable(unknown)
        return await generated.page(request)

    async def is_page(self, key: str, principal: Principal, *, fallback: bool) -> bool:
        """Whether a page would be generated for `key`, which ends in a slash, if the principal asked. That of a wheel's
        SBOMs counts as one, whether or not there is the wheel."""
        generated = self._generated
        if generated is None:
            return False
        return generated.sbom_target(key) is not None or await generated.exists(key, principal, fallback=fallback)

    async def demand_shown(self, key: str, principal: Principal) -> None:
        """Raises NotFoundError for a stored page that names files which this reader may not fetch, or which the policy
        may withhold, and GatewayErrors if that can't be known."""
        folder = key.removesuffix(self._index_document)
        if self._generated is None or folder == key or not folder.endswith("/"):
            return
        if self._own_door is not None or not await self._generated.may_be_stored(folder, principal):
            raise NotFoundError("a stored page that names files which are not for this reader")

    async def file(self, request: ObjectRequest) -> Answer:
        """An object, or what is generated or fetched in its place. Raises NotFoundError if there is neither, and
        ProjectClosedError if its project offers no files, and WithheldError if the policy withholds it."""
        answer = await self._file(await self._demanded(request))
        if isinstance(answer, Redirect):
            return answer
        if self._immutable_files and is_package_file(request.key):
            return replace(answer, headers=with_default(answer.headers, IMMUTABLE))
        if isinstance(answer, BufferedResponse):
            return replace(answer, headers=with_default(answer.headers, REVALIDATE))
        return answer

    async def _demanded(self, request: ObjectRequest) -> ObjectRequest:
        """The request, for what is known now of the file's project. Raises ProjectClosedError and WithheldError, as
        `file`: no other way leads to the bytes of a file."""
        if self._statuses is not None:
            await self._statuses.demand_offered(request.key)
        if self._own_door is not None:
            alias = self._generated.alias(request.key) if self._generated is not None else None
            await self._own_door.demand(request.key, alias)
        if (since := self._changed.since(request.key)) > request.not_before:
            return replace(request, not_before=since)
        return request

    async def _in_wheel(self, request: PageRequest, target: SbomTarget) -> Answer:
        """The SBOMs of a wheel, where and while `file` would answer with the wheel. Raises as `file`."""
        whole = ObjectRequest("HEAD", target.wheel, bypass=request.bypass, fallback=request.fallback)
        wheel = await self._wheel(await self._demanded(whole))
        if isinstance(wheel, Redirect):
            return replace(wheel, location=target.beside(wheel.location))
        answer = await self.sboms.answer(wheel, target.path, request)
        immutable = self._immutable_files and target.path
        return replace(answer, headers=with_default(answer.headers, IMMUTABLE if immutable else REVALIDATE))

    async def _wheel(self, request: ObjectRequest) -> RemoteWheel | Redirect:
        """To read parts of. It is looked for where `_file` looks, in the same order. Raises NotFoundError."""
        alias = self._generated.alias(request.key) if self._generated is not None else None
        keys = [request.key] if alias is None else [request.key, alias]
        absent: NotFoundError | None = None
        for key in keys:
            try:
                return await stored_wheel(self._storage, key, not_before=request.not_before, bypass=request.bypass)
            except NotFoundError as error:
                absent = absent or without_frames(error)
        mirrored = self._mirrored if request.fallback else None
        for key in reversed(keys):
            with suppress(NotFoundError):
                if mirrored is not None and (found := await mirrored.wheel(replace(request, key=key))) is not None:
                    return found
        assert absent is not None
        raise absent

    async def _file(self, request: ObjectRequest) -> Answer:
        alias = self._generated.alias(request.key) if self._generated is not None else None
        mirrored = self._mirrored if request.fallback else None
        key = request.key
        if alias is not None or mirrored is not None or key.endswith(METADATA) or not is_package_file(key):
            # In place of it may come an object elsewhere, a generated one, or a redirect to a directory.
            request = replace(request, must_exist=True)
        requests = [request] if alias is None else [request, replace(request, key=alias)]
        absent: NotFoundError | None = None
        for attempt in requests:
            try:
                return await self._storage.fetch(attempt)
            except NotFoundError as error:
                absent = absent or without_frames(error)
        for attempt in reversed(requests):
            with suppress(NotFoundError):
                if self._generated is not None and (page := await self._wheels.page(attempt)) is not None:
                    return page
            with suppress(NotFoundError):
                if mirrored is not None and (answer := await mirrored.answer(attempt)) is not None:
                    return answer
        assert absent is not None
        raise absent

    async def _stored(self, request: PageRequest, key: str) -> Answer:
        if self._mode == "off" or not stored.wants_json(request.accept, request.query):
            return await self._fetch(request.method, key, request.wanted, request.bypass)
        page = await self._fetch("GET", key, {}, request.bypass)
        return await self._stored_pages.as_json(page, key, request) if isinstance(page, Stream) else page

    async def _fetch(self, method: str, key: str, wanted: Mapping[str, str], bypass: bool) -> Stream | Redirect:
        """A directory's index document, else the object that is named like the directory itself."""
        try:
            answer = await self._storage.fetch(ObjectRequest(method, key + self._index_document, wanted, bypass=bypass))
        except NotFoundError:
            if not key:
                raise
            answer = await self._named_like_directory(ObjectRequest(method, key, wanted, bypass=bypass))
        if isinstance(answer, Stream):
            # Without a Cache-Control, a client might guess a lifetime from Last-Modified (RFC 9111, 4.2.2).
            if answer.status != 304 or "Content-Type" in answer.headers:  # clients put a 304's in the place of theirs
                answer.headers = as_html(answer.headers)
            answer.headers = with_default(answer.headers, REVALIDATE)
            if self._mode != "off":
                answer.headers = stored.negotiated(answer.headers)
        return answer

    async def _named_like_directory(self, request: ObjectRequest) -> Stream | Redirect:
        """Raises NotFoundError for an empty object: a folder marker, as consoles and sync tools create them. An empty
        page would say that nothing is here."""
        # The answers 304, 412 and 416 don't show the object's size.
        unconditional = request if not request.headers else ObjectRequest("HEAD", request.key, bypass=request.bypass)
        answer = await self._storage.fetch(unconditional)
        if isinstance(answer, Stream) and answer.headers.get("Content-Length") == "0":
            answer.close()
            raise NotFoundError("only an empty folder marker")
        if unconditional is request:
            return answer
        if isinstance(answer, Stream):
            answer.close()
        return await self._storage.fetch(request)


def _without_files(request: PageRequest, project: str, status: "ProjectStatus") -> BufferedResponse:
    """In place of the stored page of a project that offers no files."""
    form = choose(request.accept, stored.format_of(request.query))
    if form is None:
        raise NotAcceptableError(f"Accept: {request.accept}")
    render = project_json if form is Form.JSON_V1 else project_html
    page = render(Project(project, (), (), status=status.marker, status_reason=status.reason or None))
    headers = {"Content-Type": form.value, "Vary": "Accept", "Cache-Control": REVALIDATE}
    return conditional(page, etag_of(page), headers, request.wanted)
