"""Who comes in at a mount: the pages on which people log in, and the gate for everything else."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from gateway.access.login.navigation import is_navigation
from gateway.access.login.pages import login_url
from gateway.access.login.visit import PAGES, Visit
from gateway.access.private_answers import private
from gateway.errors import (
    BadRequestError,
    CredentialsRequiredError,
    GatewayError,
    MethodNotAllowedError,
    NotFoundError,
    ReadOnlyError,
    UploadPathError,
)
from gateway.http.cors import is_preflight
from gateway.http.target import parse_target, strip_prefix
from gateway.index.resources import Resources
from gateway.messages import Answer, BufferedResponse, Caller, Redirect, RequestRecord, SiteRequest
from gateway.mounting.mount import Mount
from gateway.mounting.own_files import screens_of
from gateway.mounting.virtual import VirtualMount
from gateway.rights.policy import Listing, Resource
from gateway.server.client_address import ClientAddress
from gateway.server.protocol import Request, check_version

if TYPE_CHECKING:
    from gateway.access.gate import Gate
    from gateway.access.login.login import Login
    from gateway.index.screening.screen import Screen
    from gateway.publish.management.management import Management
    from gateway.publish.trusted.exchange import Exchange

Page = Callable[[Request, RequestRecord], Awaitable[Answer]]

_MAX_FORM_BYTES = 16 * 1024
_FORM_SECONDS = 10.0
_UPLOAD = "multipart/form-data"
_EXCHANGE = "trusted"
_LOGIN, _MANAGE, _POLICY = "login", "manage", "policy"
# Routes whose answers are for browsers' own pages, or for no browser: no page of another origin reads them.
_UNSHARED = frozenset({_LOGIN, _MANAGE, _EXCHANGE, _POLICY})
# A client that uploads is given up if nothing arrives for so long.
_PIECE_SECONDS = 30.0


class Entrance:
    """Nothing is answered without the gate but the login's pages, and those of the exchange of tokens."""

    def __init__(self, mount: Mount | VirtualMount, caller: ClientAddress) -> None:
        self.mount = mount
        self.address = mount.address
        self._uploads = mount.uploads
        self._management = mount.management
        self._managed = f"{mount.base_path}/-/manage/"
        self._exchange = exchange = mount.uploads.exchange if mount.uploads is not None else None
        self._access = mount.access
        self._policy = f"{mount.base_path}/-/policy"
        self._caller = caller
        self._base_path = base_path = mount.base_path
        self._pages = {f"{base_path}/-/{page}": page for page in PAGES}
        site = mount.site if isinstance(mount, Mount) else None
        self._headers = site.headers if site is not None and site.headers.given else None
        self._exchange_pages = exchange.pages(base_path) if exchange is not None else {}

    def base_url(self, request: Request, peer: str) -> str:
        """The URL of the gateway's root as the client knows it, with a trailing slash, or empty."""
        scheme = request.scheme
        if (forwarded := request.headers.get("X-Forwarded-Proto")) is not None and self._caller.believes(peer):
            scheme = forwarded.strip().lower()
        return self.address.of(scheme, request.headers.get("Host", ""))

    def page(self, target: str) -> Page | None:
        """What answers if `target` means one of the gateway's own pages."""
        path = target.partition("?")[0]
        if (page := self._pages.get(path)) is not None and (login := self._login) is not None:
            return partial(self._log_in, login, page)
        if self._management is not None and path.startswith(self._managed):
            return partial(self._manage, self._management, path.removeprefix(f"{self._base_path}/-/"))
        if path == self._policy and isinstance(self.mount, Mount) and (screens := screens_of(self.mount)):
            return partial(self._report, screens, self.mount.resources)
        if self._exchange is not None and (page := self._exchange_pages.get(path)) is not None:
            return partial(self._trade, self._exchange, page)
        return None

    async def _log_in(self, login: "Login", page: str, request: Request, record: RequestRecord) -> Answer:
        record.route = _LOGIN
        methods = login.methods(page)
        if not methods:
            raise NotFoundError("people log in without an issuer")
        return await login.answer(await self._visit(page, methods, request, record), record)

    async def _manage(self, management: "Management", page: str, request: Request, record: RequestRecord) -> Answer:
        record.route = _MANAGE
        visit = await self._visit(page, ("GET", "HEAD", "POST"), request, record)
        try:
            return await management.answer(visit, record, trusted=self._caller.believes(record.peer))
        except CredentialsRequiredError:
            if (elsewhere := self._to_login(request)) is None:
                raise
            return elsewhere

    async def _report(
        self, screens: "Sequence[Screen]", resources: Resources, request: Request, record: RequestRecord
    ) -> Answer:
        """What the policy decides, for whoever may read all projects."""
        from gateway.index.screening.report import report

        record.route = _POLICY
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowedError(request.method)
        if (gate := self._access.gate) is not None:
            everything = replace(resources.of(""), listing=Listing.COMPLETE)
            if (elsewhere := await self.admit(gate, request, record, everything)) is not None:
                return elsewhere
        return private(report(screens, request.headers.get("Accept", "")))

    async def _visit(self, page: str, methods: Sequence[str], request: Request, record: RequestRecord) -> Visit:
        if request.method not in methods:
            raise MethodNotAllowedError(request.method, ", ".join(methods))
        return Visit(
            page=page,
            method=request.method,
            query=request.raw_path.partition("?")[2],
            headers=request.headers,
            body=await request.read_limited(_MAX_FORM_BYTES, _FORM_SECONDS) if request.method == "POST" else b"",
            client=record.client,
            base_url=self.base_url(request, record.peer),
            root=self.address.path,
        )

    async def _trade(self, exchange: "Exchange", page: str, request: Request, record: RequestRecord) -> Answer:
        """What a client gets for the token of its job, or is told on the way. Raises GatewayErrors, of which `told`
        makes answers."""
        from gateway.publish.trusted.exchange import MAX_BODY_BYTES, ExchangeRequest

        record.route = _EXCHANGE
        query, base_url = request.raw_path.partition("?")[2], self.base_url(request, record.peer)
        asked = ExchangeRequest(page, request.method, query, request.headers, base_url, self.address.path)
        body = await request.read_limited(MAX_BODY_BYTES, _FORM_SECONDS) if request.method == "POST" else b""
        return await exchange.answer(asked, body, record)

    def told(self, request: Request, error: GatewayError, record: RequestRecord) -> BufferedResponse | None:
        """The answer to a request of the exchange that has failed, however it did: its clients read no others. None for
        all other requests."""
        if self._exchange is None or record.route != _EXCHANGE:
            return None
        return self._exchange.refusal(self._exchange_pages[request.raw_path.partition("?")[0]], error, record)

    async def take(self, request: Request, record: RequestRecord) -> Answer | None:
        """Takes what is uploaded; None if nothing is. Raises GatewayError."""
        uploads = self._uploads
        if uploads is None:
            return None
        if not self._takes_files(request):
            if request.content_type == _UPLOAD:
                raise UploadPathError(request.method)
            return None
        check_version(request)
        record.route = "upload"
        cors = self.mount.cors
        return await uploads.answer(
            request.headers,
            request.content_length,
            request.pieces(_PIECE_SECONDS),
            record,
            base_url=self.base_url(request, record.peer),
            trusted=self._caller.believes(record.peer),
            from_permitted_page=cors is not None and cors.may_publish(request.headers),
        )

    @property
    def is_site(self) -> bool:
        return isinstance(self.mount, Mount) and self.mount.site is not None

    def to_site(
        self, request: Request, record: RequestRecord, path: str, query: str, wanted: Mapping[str, str], *, bypass: bool
    ) -> SiteRequest:
        """What a site is asked for. `path` is canonical."""
        seen, caller = strip_prefix(path, self._base_path) or "/", Caller(record.client, record.agent)
        who = record.admission.principal
        return SiteRequest(request.method, record.key, seen, query, request.headers, wanted, caller, bypass, who)

    @property
    def adds_headers(self) -> bool:
        """Whether answers here have headers that depend on the mount."""
        return self._headers is not None or self.mount.cors is not None

    def dressed(self, request: Request, answer: Answer) -> Answer:
        """The answer with the headers that all answers of its site have."""
        if self._headers is None:
            return answer
        try:
            path = strip_prefix(parse_target(request.raw_path)[0], self._base_path) or "/"
        except BadRequestError:
            path = "/"
        return self._headers.added(path, answer)

    def preflight(self, request: Request, record: RequestRecord) -> Answer:
        """What a page of another origin may send: browsers ask that first, without credentials. Raises ForbiddenError;
        and MethodNotAllowedError for all other requests with a method that a page or a file does not have."""
        cors = self.mount.cors
        if cors is None or request.method != "OPTIONS" or not is_preflight(request.headers):
            raise self._refusal(request)
        record.route = "preflight"
        return cors.preflight(request.headers)

    def share(self, request: Request, answer: Answer, record: RequestRecord) -> Answer:
        """The answer, for the page of another origin that may read it."""
        cors = self.mount.cors
        return answer if cors is None or record.route in _UNSHARED else cors.share(answer, request.headers)

    def _refusal(self, request: Request) -> MethodNotAllowedError:
        """What is said of a method that a page or a file does not have."""
        if self._takes_files(request):
            return MethodNotAllowedError(request.method, "GET, HEAD, POST")
        if request.method != "POST":
            return MethodNotAllowedError(request.method)
        return (ReadOnlyError if self._uploads is None else UploadPathError)(request.method)

    def _takes_files(self, request: Request) -> bool:
        return self._uploads is not None and self._uploads.takes(request.raw_path.partition("?")[0], self._base_path)

    async def admit(self, gate: "Gate", request: Request, record: RequestRecord, resource: Resource) -> Redirect | None:
        """None if the request is let in. A person who has to log in is sent to where that is done. Raises what
        Gate.admit raises."""
        try:
            await gate.admit(record, request.headers, resource, trusted=self._caller.believes(record.peer))
        except CredentialsRequiredError:
            at_own = gate is self._access.gate  # a member of a virtual index may have another, with people of its own
            if not at_own or (elsewhere := self._to_login(request)) is None:
                raise
            return elsewhere
        return None

    def _to_login(self, request: Request) -> Redirect | None:
        """Where a person logs in who asks for a page without credentials; None for all others."""
        asks = request.method != "POST" and "Authorization" not in request.headers and is_navigation(request.headers)
        if not asks or self._login is None:
            return None
        url = login_url(self.address.path, self._seen(request.raw_path))
        return Redirect(url, 302, {"Cache-Control": "no-store"})

    def logout_path(self, record: RequestRecord) -> str:
        """Where somebody can log out who is logged in with a session, and may not do what was asked for."""
        refused = record.admission.method == "session" and not record.admission.allowed
        return f"{self.address.path}-/logout" if refused and self._login is not None else ""

    @property
    def _login(self) -> "Login | None":
        gate = self._access.gate
        return gate.login if gate is not None else None

    def _seen(self, target: str) -> str:
        """A target as clients see it, whatever path a proxy has removed from it."""
        return self.address.path + target.removeprefix(f"{self._base_path}/")
