"""The generated pages: which page a path means, in which form the client gets it, and what it is made of."""

from dataclasses import replace
from urllib.parse import quote

from gateway.cache.lru import MemoryLimit
from gateway.cache.recent_peak import RecentPeak
from gateway.cache.refreshing import RefreshedValue
from gateway.errors import GatewayError, NotAcceptableError, NotFoundError, UpstreamError, UpstreamTimeoutError
from gateway.http.target import query_part
from gateway.index.backlog import Backlog
from gateway.index.browse.rendered_pages import RenderedProjectPages
from gateway.index.catalog.listing import Files, Projects, is_release
from gateway.index.catalog.recognised import Catalog
from gateway.index.generated.answer import answer, is_for_people
from gateway.index.generated.root_page import CatalogProjects, RootPage
from gateway.index.legacy.document import CONTENT_TYPE
from gateway.index.legacy.release_json import ReleaseJson
from gateway.index.legacy.target import ReleaseTarget
from gateway.index.readable import ReadableProjects
from gateway.index.releases import Releases, Sources
from gateway.index.rendered import RenderedPages
from gateway.index.resources import Resources
from gateway.index.sboms.target import SbomTarget
from gateway.index.simple import pages
from gateway.index.simple.names import SIMPLE, normalize
from gateway.index.simple.negotiation import Form, choose, encoding_for
from gateway.index.simple.stored import format_of, unavailable
from gateway.messages import BufferedResponse, PageRequest, Redirect
from gateway.principal import Principal

_NO_FILES = Files((), frozenset())
# In place of those of a page, which has several forms.
_RELEASE_HEADERS = {
    "Content-Type": CONTENT_TYPE,
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}


class GeneratedIndex:
    """Generates pages from the catalogue, and from another index if the settings say so."""

    def __init__(
        self,
        catalog: Catalog,
        releases: Releases,
        people: RenderedProjectPages | None,
        release_json: ReleaseJson,
        readable: ReadableProjects,
        resources: Resources,
        root: str,
        *,
        max_age: int,
        refresh: float,
        memory: MemoryLimit,
        backlog: Backlog,
        ages: RecentPeak | None = None,
    ) -> None:
        """`root` is the key above all projects, with its slash; listings are used for `refresh` seconds. Clients may
        keep a page that is only from the other index for `max_age` seconds. `ages` notes how old the listings are that
        pages are made from."""
        self._refresh = refresh
        self.people = people
        self._release_json = release_json
        self._resources = resources
        self._readable = readable
        self._catalog = catalog
        self._releases = releases
        self._root = root
        self._max_age = max_age
        self._ages = ages or RecentPeak()
        self._rendered = RenderedPages("pages", memory, backlog)
        self._root_page = RootPage(
            CatalogProjects(catalog, readable), people, self._rendered, root, refresh, self._ages
        )

    def alias(self, key: str) -> str | None:
        """The key without `simple/`, if it is below `simple/`: the relative links of a stored page that is served below
        `simple/` lead there, and their files lie outside it."""
        simple = f"{self._root}{SIMPLE}/"
        return self._root + key.removeprefix(simple) if key.startswith(simple) and key != simple else None

    def sbom_target(self, key: str) -> SbomTarget | None:
        """See Resources."""
        return self._resources.sbom_target(key)

    async def may_be_stored(self, key: str, principal: Principal) -> bool:
        """Whether a stored page may be shown, whether or not it is known to be there: that of the root has all
        projects, so it is only for who may read all, and that of a project has all releases. Raises GatewayErrors if
        that can't be known."""
        if self._readable.has_all(principal):
            return True
        try:
            project, _ = self._route(key)
        except NotFoundError:
            return True  # another directory
        return project is not None and not await self._hides_releases(normalize(project), principal)

    async def _hides_releases(self, project: str, principal: Principal) -> bool:
        """Whether some releases of a project are hidden from a reader of its page."""
        try:
            files = await self._catalog.files(project)
        except GatewayError as error:
            if isinstance(error, NotFoundError) or not self._readable.may_hide_files(principal, _NO_FILES):
                return False
            raise
        if not self._readable.may_hide_files(principal, files.value):
            return False
        try:
            shown = {item.key for item in (await self._readable.files(principal, project, files)).value.objects}
        except NotFoundError:
            return True
        return any(is_release(item) for item in files.value.objects if item.key not in shown)

    async def stored_key(self, key: str) -> str | None:
        """The key of the directory in which the page for `key` is stored; None if the page must be generated.

        Raises NotFoundError if there is no project, or nothing may be listed; and other errors if that can't be known.
        """
        project, _ = self._route(key)
        if project is None:
            return self._root if (await self._catalog.projects()).value.has_page else None
        try:
            with_page = (await self._catalog.files(normalize(project))).value.with_page
        except NotFoundError as error:
            if error.code is not None or await self._catalog.may_have_folder(
                key.removeprefix(self._root).partition("/")[0]
            ):
                raise
            return None
        return f"{self._root}{project}/" if project in with_page else None

    async def projects(self) -> RefreshedValue[Projects]:
        """All of them, whoever may read them. Raises as Catalog.projects."""
        return await self._catalog.projects()

    async def readable(self, principal: Principal, projects: RefreshedValue[Projects]) -> RefreshedValue[Projects]:
        """Those of the projects that the principal may read."""
        return await self._readable.by(principal, projects)

    async def has(self, project: str) -> bool:
        """Whether there is a project of this normalised name, whoever may read it. See Releases.has."""
        return await self._releases.has(project)

    async def exists(self, key: str, principal: Principal, *, fallback: bool) -> bool:
        """Whether `key`, which ends in a slash, is a page for the principal. Another index is asked only for what is
        below `simple/`, and if `fallback` permits it."""
        try:
            project, _ = self._route(key)
            if project is None:
                await self._catalog.projects()
            elif self.alias(key) is None:
                name = normalize(project)
                await self._readable.files(principal, name, await self._catalog.files(name))
            else:
                sources = await self._releases.of(normalize(project), fallback=fallback)
                if isinstance(sources, Sources):
                    await self._shown(sources, principal)
        except NotFoundError:
            return False
        return True

    async def page(self, request: PageRequest) -> BufferedResponse | Redirect:
        """Raises NotFoundError if there is no such project, UpstreamBusyError if that can't be known now."""
        if (target := self._resources.release_target(request.key)) is not None:
            try:
                return await self._release_document(request, target)
            except (UpstreamError, UpstreamTimeoutError) as error:
                raise unavailable(error) from error
        project, up = self._route(request.key)
        form = choose(request.accept, format_of(request.query))
        if form is None:
            raise NotAcceptableError(f"Accept: {request.accept}")
        try:
            if project is None:
                return await self._root_page.page(request, form)
            return await self._project_page(request, form, project, up)
        except (UpstreamError, UpstreamTimeoutError) as error:
            raise unavailable(error) from error

    async def _project_page(
        self, request: PageRequest, form: Form, project: str, up: str
    ) -> BufferedResponse | Redirect:
        name = normalize(project)
        sources = await self._releases.of(name, fallback=request.fallback)
        if isinstance(sources, Redirect):
            return replace(sources, location=sources.location + query_part(request.query))
        sources = await self._shown(sources, request.principal)
        if project != name:
            return Redirect(f"../{quote(name, safe='~')}/{query_part(request.query)}")
        max_age = self._max_age_of(sources)
        if (people := self._for_people(request, form)) is not None:
            page = await people.project(request, sources)
            return answer(self._refresh, self._ages, request, form, page, sources.all, people.headers, max_age=max_age)
        render = pages.project_json if form is Form.JSON_V1 else pages.project_html
        page = await self._rendered.get(
            (name, form, up, request.fallback, sources.view),
            encoding_for(request.accept_encoding),
            [source.value for source in sources.all],
            self._releases.version(sources, request.base_url),
            lambda: render(self._releases.project(sources, up, request.base_url)),
        )
        return answer(self._refresh, self._ages, request, form, page, sources.all, max_age=max_age)

    async def _release_document(self, request: PageRequest, target: ReleaseTarget) -> BufferedResponse | Redirect:
        sources = await self._releases.of(target.name, fallback=request.fallback)
        if isinstance(sources, Redirect):
            # Where PyPI, and those that are like it, have these documents.
            index = sources.location.removesuffix(f"{SIMPLE}/{target.name}/")
            if index == sources.location:
                raise NotFoundError("the other index has no such documents")
            return replace(sources, location=f"{index}{target.path}")
        sources = await self._shown(sources, request.principal)
        if target.project != target.name:
            return Redirect(f"{target.up}{target.path}{query_part(request.query)}")
        by_path = self._readable.has_rules_for_paths(request.principal)
        page = await self._release_json.page(request, target, sources, by_path=by_path)
        max_age = self._max_age_of(sources)
        return answer(
            self._refresh, self._ages, request, Form.JSON_V1, page, sources.all, _RELEASE_HEADERS, max_age=max_age
        )

    async def _shown(self, sources: Sources, principal: Principal) -> Sources:
        """What the principal may see of them. Raises NotFoundError if that is nothing."""
        if sources.theirs is not None:
            hidden = await self._readable.hidden(principal, sources.name, sources.theirs.value)
            if hidden:
                sources = replace(sources, view=principal.view, hidden=hidden)
        if sources.ours is None or not self._readable.may_hide_files(principal, sources.ours.value):
            return sources
        try:
            ours = await self._readable.files(principal, sources.name, sources.ours)
        except NotFoundError:
            if sources.theirs is None:
                raise
            ours = None
        if ours is sources.ours and not sources.verdicts:
            return sources
        shown = _names(ours)
        hidden = (
            _names(sources.ours).union(sources.verdicts) - shown if sources.theirs is not None else frozenset[str]()
        )
        # Files that the policy withholds may be some that are hidden, too.
        verdicts = {name: verdict for name, verdict in sources.verdicts.items() if name in shown}
        return replace(sources, ours=ours, view=principal.view, hidden=sources.hidden | hidden, verdicts=verdicts)

    def _max_age_of(self, sources: Sources) -> int:
        """0 for pages with releases of our own: a page that a client keeps must never hide a new one."""
        return self._max_age if sources.ours is None else 0

    def _route(self, key: str) -> tuple[str | None, str]:
        """The project of a page, or None for the root page; and the relative path from the page to the root."""
        if not key.startswith(self._root):
            raise NotFoundError("outside the index")
        names = key.removeprefix(self._root).split("/")[:-1]
        up = "../" * len(names)
        if names[:1] == [SIMPLE]:
            names = names[1:]
        if len(names) > 1 or names == [""]:
            raise NotFoundError("no page is so deep")
        return (names[0] if names else None), up

    def _for_people(self, request: PageRequest, form: Form) -> RenderedProjectPages | None:
        return self.people if is_for_people(request, form, self._root) else None


def _names(files: RefreshedValue[Files] | None) -> frozenset[str]:
    return frozenset(item.key.rpartition("/")[2] for item in files.value.objects) if files is not None else frozenset()
