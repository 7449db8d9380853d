"""A mount that has no storage of its own, but members: the first that has a project serves all of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.cache.recent_peak import RecentPeak
from gateway.config.settings import Settings
from gateway.errors import (
    GatewayError,
    NotAcceptableError,
    NotFoundError,
    UpstreamError,
    UpstreamTimeoutError,
)
from gateway.executors import working_for
from gateway.http.cors import cors_of
from gateway.http.public_address import PublicAddress
from gateway.http.target import strip_prefix
from gateway.index.generated.root_page import RootPage
from gateway.index.rendered import RenderedPages
from gateway.index.sboms.target import may_be_of_sboms
from gateway.index.simple.names import SIMPLE
from gateway.index.simple.negotiation import choose
from gateway.index.simple.stored import format_of, unavailable
from gateway.index.virtual import VirtualProjects
from gateway.messages import BufferedResponse, PageRequest
from gateway.mounting.mount import Mount
from gateway.storage.budgets import Budgets

_MEMORY_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """A path at a member."""

    mount: Mount
    path: str

    @property
    def key(self) -> str:
        return self.mount.key(self.path)


@dataclass(frozen=True, slots=True)
class Places:
    """Where a path of a virtual index leads. With a `failure` it leads nowhere; whoever asks must be let in at all the
    places before he is told."""

    places: Sequence[Place]
    failure: GatewayError | None = None


class VirtualMount:
    """Has the attributes of a Mount by which one is entered. Pages and files are those of its members."""

    def __init__(
        self, settings: Settings, members: Sequence[Mount], publish_to: Mount | None, budgets: Budgets
    ) -> None:
        """`publish_to` takes what is uploaded; nothing is taken without it. Members list their projects."""
        self.settings = settings
        self.name = settings.mount.name
        self.host = settings.mount.host
        self.base_path = settings.server.base_path
        self.address = PublicAddress(settings.server.public_url, self.base_path)
        self.cors = cors_of(settings.cors)
        self.members = members
        self.access = members[0].access
        self.uploads = publish_to.uploads if publish_to is not None else None
        self.management = None
        indexes = {member.name: member.generated for member in members if member.generated is not None}
        assert len(indexes) == len(members)
        self._memory = memory = budgets.memory("virtual indexes", _MEMORY_BYTES)
        # What this page says of another index is true of the member that asks one.
        first = next((member for member in members if member.fallback is not None), members[0])
        people = indexes[first.name].people
        rendered = RenderedPages("pages of virtual indexes", memory)
        projects = VirtualProjects(indexes, memory)
        self._root_page = RootPage(projects, people, rendered, "", settings.index.refresh, RecentPeak())
        self._roots = {f"/{SIMPLE}/": f"{SIMPLE}/", "/": ""}

    def close(self) -> None:
        """Gives its memory back."""
        self._memory.leave()

    def root(self, path: str) -> str | None:
        """The key of the root's page, if the path leads there."""
        return self._roots.get(strip_prefix(path, self.base_path) or "")

    def route(self, path: str) -> tuple[str, bool]:
        """See Resources: what is true at any member."""
        if not path.endswith("/json") and not may_be_of_sboms(path):
            return "index" if path.endswith("/") else "object", False
        found = [place.mount.route(place.key) for place in self.everywhere(path)]
        is_page = any(route == "index" for route, _ in found)
        return "index" if is_page else "object", any(as_json for _, as_json in found)

    async def root_page(self, request: PageRequest) -> BufferedResponse:
        """`request` is that of a Visitor (see index/virtual.py). Raises as the page of a member would."""
        form = choose(request.accept, format_of(request.query))
        if form is None:
            raise NotAcceptableError(f"Accept: {request.accept}")
        try:
            return await self._root_page.page(request, form)
        except (UpstreamError, UpstreamTimeoutError) as error:
            raise unavailable(error) from error

    def everywhere(self, path: str) -> Sequence[Place]:
        """The path at each member. Raises NotFoundError for a path that is none of any index, whoever asks."""
        inner = strip_prefix(path, self.base_path)
        if inner is None:
            raise NotFoundError(f"outside {self.base_path}")
        return [Place(member, member.base_path + inner) for member in self.members]

    async def places(self, places: Sequence[Place]) -> Places:
        """Of the places at all members, those to which it leads."""
        for place in places:
            try:
                if await _has(place):
                    return Places([place])
            except GatewayError as error:
                return Places([place], unavailable(error) if isinstance(error, _UNKNOWN) else error)
        return Places(places, NotFoundError("no member has the project"))


_UNKNOWN = (UpstreamError, UpstreamTimeoutError)


async def _has(place: Place) -> bool:
    """Whether the member has a project that the path may be of."""
    index = place.mount.generated
    assert index is not None
    with working_for(place.mount.name):
        for project in place.mount.resources.projects_of(place.key):
            if await index.has(project):
                return True
    return False
