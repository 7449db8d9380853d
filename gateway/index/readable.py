"""The projects that somebody may read: everybody else's index does not show them."""

from dataclasses import replace
from typing import Protocol

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.cache.refreshing import RefreshedValue
from gateway.executors import PAGES
from gateway.index.catalog.listing import Projects
from gateway.index.rendered import Sourced, sourced
from gateway.principal import Principal, Right
from gateway.rights.policy import Listing, Policy, Resource

_EVERY_PROJECT = Resource(listing=Listing.COMPLETE)


class CurrentPolicy(Protocol):
    """Has the policy that is in force; None lets everybody read."""

    @property
    def policy(self) -> Policy | None: ...


class ReadableProjects:
    """Lists are made once for all who may read the same, off the event loop."""

    def __init__(self, current: CurrentPolicy, memory: MemoryLimit) -> None:
        self._current = current
        self._lists = LruCache[str, Sourced[Projects]](
            "readable projects", memory, lambda view, found: weight_of(view) + weight_of(dict(found.value.folders))
        )

    def has_all(self, principal: Principal) -> bool:
        """Whether the principal may read every project."""
        policy = self._current.policy
        return policy is None or policy.judge(principal, Right.READ, _EVERY_PROJECT).allowed

    async def by(self, principal: Principal, projects: RefreshedValue[Projects]) -> RefreshedValue[Projects]:
        """The projects that the principal may read."""
        policy = self._current.policy
        if policy is None or self.has_all(principal):
            return projects
        known = self._lists.get(principal.view)
        if known is None or not known.stands([projects.value], None):
            found = await PAGES.run(_permitted, projects.value, policy, principal)
            known = sourced(found, [projects.value], None)
            self._lists.put(principal.view, known)
        return replace(projects, value=known.value)


def _permitted(projects: Projects, policy: Policy, principal: Principal) -> Projects:
    def may_read(name: str) -> bool:
        paths = (f"/{name}/", *(f"/{folder}/" for folder in projects.folders[name]))
        return policy.judge(principal, Right.READ, Resource((name,), paths)).allowed

    return replace(projects, folders={name: projects.folders[name] for name in projects.folders if may_read(name)})
