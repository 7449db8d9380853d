"""The pipeline: one request, top to bottom."""

import asyncio
import logging
import time
from collections.abc import Callable

from aiohttp import HttpVersion11
from multidict import CIMultiDict

from gateway import usage
from gateway.access.private_answers import private
from gateway.entrance import Entrance
from gateway.entrances import Entrances
from gateway.errors import (
    GatewayError,
    MethodNotAllowedError,
    NotFoundError,
    TooManyAttemptsError,
    UpstreamBusyError,
    UpstreamTimeoutError,
    without_frames,
)
from gateway.http.headers import to_storage
from gateway.http.target import parse_target, relative_directory
from gateway.members import among_members
from gateway.messages import (
    Answer,
    BufferedResponse,
    Caller,
    ObjectRequest,
    PageRequest,
    Redirect,
    RequestRecord,
)
from gateway.mounting.mount import Mount
from gateway.mounting.virtual import Place, VirtualMount
from gateway.ops.routes import AdminRoute, OpsRoute
from gateway.principal import Principal, Right
from gateway.server import response
from gateway.server.admin_request import admin_request
from gateway.server.deadline import Deadline, OverdueError
from gateway.server.error_page import error_page
from gateway.server.protocol import Request, check_version
from gateway.server.reply import Reply
from gateway.server.request_records import RequestRecords
from gateway.server.response_cache import ResponseCache
from gateway.tracing import span
from gateway.tracing.span import traced
from gateway.usage import UpstreamUsage

_SINGLE_USE = ("X-Request-ID", "Expect", "traceparent")

log = logging.getLogger("gateway")


class Pipeline:
    """Answers every request of one listener. There are no `entrances` if it serves only `ops_routes`."""

    def __init__(
        self,
        entrances: Entrances | None,
        ops_routes: dict[str, OpsRoute],
        admin_routes: dict[str, AdminRoute],
        *,
        allow_bypass: bool,
        records: RequestRecords,
        response_cache: ResponseCache | None,
        answer_timeout: float,
        before: Callable[[], None] | None = None,
    ) -> None:
        """`before` is called before each request. `answer_timeout` is in seconds."""
        self._entrances = entrances
        self._ops_routes = ops_routes
        self._admin_routes = admin_routes
        self._allow_bypass = allow_bypass
        self._records = records
        self._mount = entrances.only_mount if entrances is not None else ""
        self._response_cache = response_cache
        self._before = before
        self._deadline = Deadline(answer_timeout)

    async def __call__(self, request: Request) -> Reply:
        if self._before is not None:
            self._before()
        record = self._records.begin(request, request.headers, self._mount)
        record.usage = cost = UpstreamUsage()
        usage.current.set(cost)
        span.current.set(record.span)
        try:
            try:
                answer = await self._in_time(request, record)
                if isinstance(answer, BufferedResponse) and answer.status == TooManyAttemptsError.status:
                    await request.pause(TooManyAttemptsError.pause)  # at the login's form
                reply = await self._send(request, answer, record)
            except GatewayError as error:
                if error.pause:
                    await request.pause(error.pause)
                refusal = self._refusal(request, record, without_frames(error))
                reply = await self._send(request, refusal, record)
            except ConnectionError:
                raise
            except Exception as error:
                reply = await self._send(request, self._bug(request, record, error), record)
            if reply.fresh_for > 0 and self._response_cache is not None:
                self._keep(self._response_cache, request, reply, record)
            return reply
        except (ConnectionError, asyncio.CancelledError) as error:
            record.error = record.error or f"client gone: {error}".rstrip(": ")
            raise
        finally:
            if record.entered and self._entrances is not None:
                self._entrances.leave(record)
            self._records.end(record)

    def lookup(self, head: bytes, peer: str) -> bytes | None:
        """The cached reply to the same bytes (`head`), if this peer may get it; None if a new one must be made."""
        if self._before is not None:
            self._before()
        cached = self._response_cache.get(head) if self._response_cache is not None else None
        if cached is None:
            return None
        request_id = self._records.repeated(cached.first, peer, len(cached.body))
        return cached.wire(request_id) if request_id is not None else None

    def _keep(self, cache: ResponseCache, request: Request, reply: Reply, record: RequestRecord) -> None:
        """Keeps the reply for identical requests, if this one has no body, its bytes alone decide the reply, and the
        client does not ask for a reply of its own."""
        plain = request.method == "GET" and request.version == HttpVersion11 and request.keep_alive
        own = self._bypasses(request) or any(name in request.headers for name in _SINGLE_USE)
        if request.head is not None and plain and not own:
            cache.keep(request.head, reply, record)

    def refuse(self, request: Request, error: GatewayError) -> Reply:
        """Answers bytes that are not a valid HTTP request."""
        # The headers that aiohttp gives can't be trusted.
        record = self._records.begin(request, CIMultiDict(), self._mount)
        record.route = "invalid"
        reply = response.whole(self._refusal(request, record, error), record, close=True)
        response.note(reply, record, time.monotonic())
        self._records.end(record)
        return reply

    async def _in_time(self, request: Request, record: RequestRecord) -> Answer:
        """The answer, for which the storage and the other index together have `answer_timeout` seconds. Sending the
        body does not count; nor do uploads, which have a limit of their own."""
        if self._admin_routes:
            path, _, query = request.raw_path.partition("?")
            if (action := self._admin_routes.get(path)) is not None:
                record.route, record.mount = "admin", ""
                return await action(admin_request(request, query))
        if request.method == "POST" and self._entrances is not None:
            taken = await self._entrances.enter(request, record).take(request, record)
            if taken is not None:
                return taken
        try:
            with self._deadline:
                return await self._answer(request, record)
        except OverdueError as error:
            what = f"no answer within {self._deadline.seconds:g} s (server.answer_timeout)"
            # Installers treat a page that fails with 504 as a missing project, but retry after a 503.
            late = UpstreamBusyError if record.route == "index" else UpstreamTimeoutError
            raise late(what, code="AnswerTimeout") from error

    async def _answer(self, request: Request, record: RequestRecord) -> Answer:
        if request.version != HttpVersion11:
            check_version(request)
        path = query = ""
        if reads := request.method in ("GET", "HEAD"):
            path, query = parse_target(request.raw_path)
            if (ops_route := self._ops_routes.get(path)) is not None:
                record.route, record.mount = path.rpartition("/")[2], ""
                return await ops_route(request.headers.get("Authorization", ""))
        if self._entrances is None:
            raise NotFoundError("no such operations endpoint") if reads else MethodNotAllowedError(request.method)
        entrance = self._entrances.enter(request, record, path)
        if (page := entrance.page(request.raw_path)) is not None:
            return await page(request, record)
        if not reads:
            return entrance.preflight(request, record)
        mount = entrance.mount
        if path == mount.base_path:
            return Redirect(relative_directory(path, query))  # its pages have relative links
        if isinstance(mount, VirtualMount):
            return await self._of_members(request, record, mount, entrance, path, query)
        record.key = key = mount.key(path)
        record.route, record.as_json = mount.route(key)
        gate = mount.access.gate
        if gate is None:
            return await self._admitted(request, record, mount, entrance, path, query)
        if (elsewhere := await entrance.admit(gate, request, record, mount.resources.of(key))) is not None:
            return elsewhere
        return private(await self._admitted(request, record, mount, entrance, path, query))

    async def _of_members(
        self, request: Request, record: RequestRecord, virtual: VirtualMount, entrance: Entrance, path: str, query: str
    ) -> Answer:
        record.route, record.as_json = virtual.route(path)
        found = await among_members(entrance, virtual, request, record, path, query)
        if isinstance(found, Redirect):
            return found
        if isinstance(found, Place):
            answer = await self._admitted(request, record, found.mount, entrance, found.path, query)
            members = [found.mount]
        else:
            record.key = virtual.root(path) or ""
            asked = self._page_request(request, record, entrance, query, found)
            answer = await traced("index", virtual.root_page, asked)
            members = [*virtual.members]
        return private(answer) if any(member.access.gate is not None for member in members) else answer

    async def _admitted(
        self, request: Request, record: RequestRecord, mount: Mount, entrance: Entrance, path: str, query: str
    ) -> Answer:
        """The answer to a request that is let in: a page, or an object."""
        key, admission = record.key, record.admission
        prefetch = mount.prefetch if admission.fallback else None
        wanted = to_storage(request.method, request.headers.items())
        bypass = self._bypasses(request)
        if mount.site is not None:
            asked_site = entrance.to_site(request, record, path, query, wanted, bypass=bypass)
            return await traced("index", mount.site.answer, asked_site)
        if record.route == "index":
            asked_page = self._page_request(request, record, entrance, query, admission.principal)
            page = await traced("index", mount.index.page, asked_page)
            if prefetch is not None:
                prefetch.after_page(key, asked_page.accept)
            return page
        caller = Caller(record.client, record.agent)
        asked = ObjectRequest(request.method, key, wanted, caller, bypass, admission.fallback)
        answer = await self._object(mount, asked, admission.principal, path, query)
        if prefetch is not None:
            prefetch.after_file(key)
        return answer

    def _page_request(
        self, request: Request, record: RequestRecord, entrance: Entrance, query: str, principal: Principal
    ) -> PageRequest:
        accept, encodings = (", ".join(request.headers.getall(name, ())) for name in ("Accept", "Accept-Encoding"))
        return PageRequest(
            method=request.method,
            key=record.key,
            query=query,
            accept=accept,
            accept_encoding=encodings,
            wanted=to_storage(request.method, request.headers.items()),
            base_url=entrance.base_url(request, record.peer),
            bypass=self._bypasses(request),
            fallback=record.admission.fallback,
            principal=principal,
            actions=isinstance(entrance.mount, Mount),
        )

    @staticmethod
    async def _object(mount: Mount, request: ObjectRequest, principal: Principal, path: str, query: str) -> Answer:
        """The object, or what the index serves in its place; for a directory without its slash, a redirect to it."""
        try:
            await mount.index.demand_shown(request.key, principal)
            return await traced("index", mount.index.file, request)
        except NotFoundError:
            folder = request.key + "/"
            # As a folder, the name of a release is that of another project.
            if not mount.permits(principal, Right.READ, folder):
                raise
            fallback = request.fallback and mount.permits(principal, Right.FALLBACK, folder)
            is_page = await mount.index.is_page(folder, principal, fallback=fallback)
            if is_page or await mount.storage.is_directory(folder):
                return Redirect(relative_directory(path, query))
            raise

    def _bypasses(self, request: Request) -> bool:
        """Whether the client asks for an answer from the storage rather than from a cache."""
        return self._allow_bypass and "no-cache" in request.headers.get("Cache-Control", "").lower()

    async def _send(self, request: Request, answer: Answer, record: RequestRecord) -> Reply:
        if self._entrances is not None and self._entrances.add_headers:
            answer = self._entrances.dressed(request, answer, record)
        return await response.send(request, answer, record)

    def _refusal(self, request: Request, record: RequestRecord, error: GatewayError) -> BufferedResponse:
        record.error, record.upstream_status, record.code = error.detail, error.upstream_status, error.code
        entrance = self._entrances.of(record.mount) if self._entrances is not None else None
        if entrance is not None and (told := entrance.told(request, error, record)) is not None:
            return told
        home = entrance.address.path if entrance is not None else ""
        home = "" if request.raw_path.partition("?")[0] == home else home  # no link from a failed page to itself
        logout = entrance.logout_path(record) if entrance is not None else ""
        accept = "application/json" if record.as_json else request.headers.get("Accept", "")
        asked = {"accept": accept, "request_id": record.request_id}
        upload, site = record.route == "upload", entrance is not None and entrance.is_site
        return error_page(error, **asked, home=home, logout=logout, upload=upload, site=site)

    def _bug(self, request: Request, record: RequestRecord, error: Exception) -> BufferedResponse:
        """Raises ConnectionAbortedError if part of an answer has been sent: a second answer would be read as the rest
        of the first."""
        log.exception("request %s failed: this is a bug", record.request_id)
        if request.writer.output_size:
            raise ConnectionAbortedError("unexpected exception, see the log above") from error
        return self._refusal(request, record, GatewayError("unexpected exception, see the log above"))
