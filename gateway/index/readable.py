"""The projects and files that somebody may read: everybody else's index does not show them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.cache.refreshing import RefreshedValue
from gateway.errors import NotFoundError
from gateway.executors import PAGES
from gateway.index.catalog.listing import OBJECT_BYTES, OVERHEAD_BYTES, Files, Projects
from gateway.index.rendered import Sourced, sourced
from gateway.index.resources import Resources
from gateway.index.simple.pages import Project
from gateway.principal import Principal, Right
from gateway.rights.policy import Listing, Policy, Resource

_EVERY_PROJECT = Resource(listing=Listing.COMPLETE)


class CurrentPolicy(Protocol):
    """Has the policy that is in force; None lets everybody read."""

    @property
    def policy(self) -> Policy | None: ...


class ReadableProjects:
    """Lists are made once for all who may read the same, off the event loop."""

    def __init__(self, current: CurrentPolicy, resources: Resources, root: str, memory: MemoryLimit) -> None:
        """`root` is the key above all projects, with its slash."""
        self._current = current
        self._resources = resources
        self._root = root
        self._lists = LruCache[str, Sourced[Projects]](
            "readable projects", memory, lambda view, found: weight_of(view) + weight_of(dict(found.value.folders))
        )
        self._files = LruCache[tuple[str, str], Sourced[Files]](
            "readable files",
            memory,
            lambda slot, found: weight_of(slot) + OVERHEAD_BYTES + OBJECT_BYTES * len(found.value.objects),
        )
        self._hidden = LruCache[tuple[str, str], Sourced[frozenset[str]]](
            "hidden files of the other index", memory, lambda slot, found: weight_of(slot) + weight_of(found.value)
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

    def has_rules_for_paths(self, principal: Principal) -> bool:
        """Whether there may be files of a project that the principal may not read, who may read the project."""
        policy = self._current.policy
        return policy is not None and policy.speaks_of_paths and not self.has_all(principal)

    def may_hide_files(self, principal: Principal, files: Files) -> bool:
        """Whether the right to the project may not be all that its files need."""
        policy = self._current.policy
        if policy is None or self.has_all(principal):
            return False
        return policy.speaks_of_paths or (files.elsewhere and self._resources.by_folder)

    async def files(self, principal: Principal, project: str, files: RefreshedValue[Files]) -> RefreshedValue[Files]:
        """Those of a project's files and stored pages that the principal may fetch, who may read the project: rules for
        paths may hide some, as in a flat bucket, or in a folder whose name is not normalised, and so may rules for the
        projects of the folders in a bucket that is recognised as flat, or of a name like foo-1.0.whl.bak. The same
        object if they hide none. Raises NotFoundError if they hide all."""
        policy = self._current.policy
        if policy is None or not self.may_hide_files(principal, files.value):
            return files
        slot = principal.view, project
        known = self._files.get(slot)
        if known is None or not known.stands([files.value], None):
            found = await PAGES.run(self._shown, files.value, policy, principal)
            known = sourced(found, [files.value], None)
            self._files.put(slot, known)
        if known.value is files.value:
            return files
        if not known.value.objects and not known.value.with_page:
            raise NotFoundError(f"rules for paths or folders hide all files of {project!r}")
        return replace(files, value=known.value)

    async def hidden(self, principal: Principal, project: str, theirs: Project) -> frozenset[str]:
        """The names of the other index's files that the principal may not fetch, who may read the project: as with our
        own, rules for paths may forbid it."""
        policy = self._current.policy
        if policy is None or not self.has_rules_for_paths(principal):
            return frozenset()
        slot = principal.view, project
        known = self._hidden.get(slot)
        if known is None or not known.stands([theirs], None):
            found = await PAGES.run(self._forbidden, project, theirs, policy, principal)
            known = sourced(found, [theirs], None)
            self._hidden.put(slot, known)
        return known.value

    def _forbidden(self, project: str, theirs: Project, policy: Policy, principal: Principal) -> frozenset[str]:
        def may_read(name: str) -> bool:
            resource = self._resources.of(f"{self._root}{project}/{name}")
            return policy.judge(principal, Right.READ, resource).allowed

        names = {*(file.name for file in theirs.files), *theirs.verdicts}  # of those that are withheld, too
        return frozenset(name for name in names if not may_read(name))

    def _shown(self, files: Files, policy: Policy, principal: Principal) -> Files:
        def may_read(key: str) -> bool:
            return policy.judge(principal, Right.READ, self._resources.of(self._root + key)).allowed

        objects = tuple(item for item in files.objects if may_read(item.key))
        with_page = frozenset(folder for folder in files.with_page if may_read(f"{folder}/"))
        everything = len(objects) == len(files.objects) and with_page == files.with_page
        return files if everything else replace(files, objects=objects, with_page=with_page)


def _permitted(projects: Projects, policy: Policy, principal: Principal) -> Projects:
    def may_read(name: str, folder: str) -> bool:
        return policy.judge(principal, Right.READ, Resource((name,), (f"/{folder}/",))).allowed

    def is_seen(name: str, folders: Sequence[str]) -> bool:
        """Whether the page may be read, and one of the folders of which it shows files."""
        return may_read(name, name) and (name in folders or any(may_read(name, folder) for folder in folders))

    return replace(projects, folders={name: its for name, its in projects.folders.items() if is_seen(name, its)})
