"""The pages for people as bytes: each is rendered once, for all addresses at which the gateway is reached."""

from collections.abc import Hashable
from dataclasses import replace

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.cache.refreshing import RefreshedValue
from gateway.executors import PAGES
from gateway.index.backlog import Backlog
from gateway.index.browse.actions import NO_ACTIONS, Actions, PermittedActions
from gateway.index.browse.pages import ProjectPages
from gateway.index.browse.view import install_lines
from gateway.index.catalog.listing import Projects
from gateway.index.releases import Releases, Sources
from gateway.index.rendered import Rendered, RenderedPages, Sourced, sourced
from gateway.index.simple.negotiation import encoding_for
from gateway.messages import PageRequest
from gateway.storage.base import StoredObject

_NEWEST_BYTES = 1024


class RenderedProjectPages:
    """Pages are rendered with marks in place of the commands that install. These depend on the address (Host) of a
    request, and replace the marks before the page is compressed."""

    def __init__(
        self,
        browse: ProjectPages,
        releases: Releases,
        memory: MemoryLimit,
        backlog: Backlog,
        permitted: PermittedActions | None = None,
    ) -> None:
        """`permitted` says what readers may change; None if nothing can be changed."""
        self._permitted = permitted
        self.headers = browse.headers
        self._browse = browse
        self._releases = releases
        self._made = RenderedPages("pages for people", memory, backlog)
        self._sent = RenderedPages("pages for people, addressed", memory)
        self._newest = LruCache[tuple[str, str], Sourced[StoredObject | None]](
            "newest wheels", memory, lambda slot, found: weight_of(slot) + _NEWEST_BYTES
        )

    async def root(self, request: PageRequest, projects: RefreshedValue[Projects]) -> Rendered:
        """The projects that the request's query searches for."""
        names, query = projects.value.folders, request.query
        actions = self._at_root(request)
        slot = "root", query, request.principal.view, actions
        made = await self._made.get(
            slot, None, [projects.value], None, lambda: self._browse.projects([*names], query, actions)
        )
        return await self._addressed(made, slot, "<project>", request)

    def empty(self, request: PageRequest, *, blank: bool) -> bytes:
        """The root's page if there are no projects. `blank`: perhaps a volume is missing."""
        return self._browse.empty(self._at_root(request), blank=blank)

    async def project(self, request: PageRequest, sources: Sources) -> Rendered:
        """A project's page, with the README of its newest wheel."""
        name, made_of = sources.name, tuple(source.value for source in sources.all)
        version = self._releases.version(sources, "")  # taken now: metadata may arrive while the README is read
        newest = self._newest.get((name, sources.view))
        if newest is None or not newest.stands(made_of, version):
            found = await PAGES.run(self._releases.newest_wheel, sources)
            newest = sourced(found, made_of, version)
            self._newest.put((name, sources.view), newest)
        about = await self._browse.about(name, newest.value)
        permitted = self._permitted if request.actions else None
        actions = permitted.at(request.principal, name) if permitted is not None else NO_ACTIONS
        closed = sources.status is not None and not sources.status.takes_files
        actions = replace(
            actions, upload=actions.upload and not closed, status=actions.status and sources.ours is not None
        )
        slot = "project", name, request.fallback, sources.view, actions
        made = await self._made.get(
            slot,
            None,
            made_of,
            (version, about),
            lambda: self._browse.project(self._releases.project(sources, "", ""), about, actions),
        )
        return await self._addressed(made, slot, name, request)

    def _at_root(self, request: PageRequest) -> Actions:
        permitted = self._permitted if request.actions else None
        return permitted.at_root(request.principal) if permitted is not None else NO_ACTIONS

    async def _addressed(self, made: Rendered, slot: Hashable, name: str, request: PageRequest) -> Rendered:
        lines = install_lines(request.base_url, name)
        return await self._sent.get(
            (slot, request.base_url),
            encoding_for(request.accept_encoding),
            (made,),
            None,
            lambda: self._browse.with_lines(made.body, lines),
        )
