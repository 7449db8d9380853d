"""The page that lists all projects."""

from typing import Protocol

from gateway.cache.recent_peak import RecentPeak
from gateway.cache.refreshing import RefreshedValue
from gateway.errors import NotFoundError
from gateway.index.browse.rendered_pages import RenderedProjectPages
from gateway.index.catalog.listing import BLANK, Projects
from gateway.index.catalog.recognised import Catalog
from gateway.index.generated.answer import answer, is_for_people
from gateway.index.readable import ReadableProjects
from gateway.index.rendered import RenderedPages
from gateway.index.simple import pages
from gateway.index.simple.negotiation import Form, encoding_for
from gateway.messages import BufferedResponse, PageRequest
from gateway.principal import Principal


class ListedProjects(Protocol):
    """Knows the projects that somebody may read."""

    async def by(self, principal: Principal) -> RefreshedValue[Projects]:
        """Raises NotFoundError if there are none, and other errors if that can't be known."""


class CatalogProjects:
    """Those of one catalogue."""

    def __init__(self, catalog: Catalog, readable: ReadableProjects) -> None:
        self._catalog = catalog
        self._readable = readable

    async def by(self, principal: Principal) -> RefreshedValue[Projects]:
        return await self._readable.by(principal, await self._catalog.projects())


class RootPage:
    """Rendered once for all who may read the same."""

    def __init__(
        self,
        listed: ListedProjects,
        people: RenderedProjectPages | None,
        rendered: RenderedPages,
        root: str,
        refresh: float,
        ages: RecentPeak,
    ) -> None:
        """`root` is the key above all projects, with its slash; listings are used for `refresh` seconds. `ages` notes
        how old they are."""
        self._ages = ages
        self._listed = listed
        self._people = people
        self._rendered = rendered
        self._root = root
        self._refresh = refresh

    async def page(self, request: PageRequest, form: Form) -> BufferedResponse:
        """Raises what ListedProjects raises, unless there is a page for people that says so."""
        people = self._people if is_for_people(request, form, self._root) else None
        try:
            projects = await self._listed.by(request.principal)
        except NotFoundError as error:
            if people is None or error.code not in (None, BLANK):
                raise
            # Clients must not keep it: there may be a project the next minute.
            headers = {"Content-Type": form.value, "Vary": "Accept", "Cache-Control": "no-store", **people.headers}
            return BufferedResponse(200, people.empty(request, blank=error.code == BLANK), headers)
        if people is not None:
            page = await people.root(request, projects)
            return answer(self._refresh, self._ages, request, form, page, [projects], people.headers)
        render = pages.root_json if form is Form.JSON_V1 else pages.root_html
        page = await self._rendered.get(
            (form, request.principal.view),
            encoding_for(request.accept_encoding),
            [projects.value],
            None,
            lambda: render(projects.value.folders),
        )
        return answer(self._refresh, self._ages, request, form, page, [projects])
