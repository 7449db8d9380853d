"""One mount: an index, the storage behind it, and the mapping of paths to keys."""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gateway.access.access import Access
from gateway.cache.patience import Patience
from gateway.cache.recent_peak import RecentPeak
from gateway.config.hints import owner_hints, policy_hints
from gateway.config.settings import Settings
from gateway.errors import NotFoundError
from gateway.executors import current_mount
from gateway.http.cors import cors_of
from gateway.http.public_address import PublicAddress
from gateway.http.target import is_reserved, key_of
from gateway.index.backlog import Backlog
from gateway.index.browse.actions import PermittedActions
from gateway.index.browse.pages import ProjectPages
from gateway.index.browse.rendered_pages import RenderedProjectPages
from gateway.index.browse.renderer import Renderer
from gateway.index.catalog.build import build_catalog
from gateway.index.catalog.flat import FlatCatalog
from gateway.index.changed_projects import ChangedProjects
from gateway.index.generated.index import GeneratedIndex
from gateway.index.keys import resources_of, root_of
from gateway.index.legacy.release_json import ReleaseJson
from gateway.index.mirror.downloads import DownloadLimits, Writes
from gateway.index.mirror.fallback import Fallback
from gateway.index.mirror.mirrored_files import MirroredFiles
from gateway.index.prefetch import prefetch_for
from gateway.index.readable import ReadableProjects
from gateway.index.releases import Releases
from gateway.index.service import Index
from gateway.index.status.build import project_statuses
from gateway.index.wheels.file_metadata import FileMetadata
from gateway.index.wheels.metadata import WheelMetadata
from gateway.index.wheels.metadata_finder import MetadataFinder
from gateway.index.wheels.metadata_store import metadata_stores
from gateway.mounting.fallback import FallbackMemory, build_fallback
from gateway.mounting.filling import filling_of
from gateway.mounting.own_files import own_door_of, own_files_of
from gateway.mounting.publishing import publishing_of
from gateway.ops.metrics import Metrics
from gateway.ops.purge import Purge, keys_of, projects_of_all
from gateway.principal import Principal, Right
from gateway.storage.budgets import Budgets, MountBudgets
from gateway.storage.decorator import drop
from gateway.storage.stack import build_storage
from gateway.upstream.circuits import Circuits
from gateway.website.build import website_of

if TYPE_CHECKING:  # nothing of it is imported where it is off
    from gateway.index.screening.own_door import OwnFilesDoor
    from gateway.publish.visibility import Audience

# Divisors of index.memory_bytes.
_PEOPLE_SHARE = 4
_REFUSALS_SHARE = 32
_COPIED_BYTES = 1024 * 1024  # some 2,000 projects

log = logging.getLogger("gateway")


class Mount:
    """One index and its storage.

    Each mount has its own `patience` and circuit breakers, so that an outage of its storage or of its other index does
    not affect other mounts.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        announce: Callable[[str], None] | None = None,
        audience: "Audience | None" = None,
        budgets: MountBudgets | None = None,
        access: Access | None = None,
    ) -> None:
        """`announce` is called with the key of each object that is written or removed; `audience` is told which
        projects get files by uploads. `budgets` are what all mounts share; `access` is given if another mount has the
        same access control, and starts and ends it. Raises ConfigError for settings that can't be used; what has been
        taken of `budgets` is then for the caller to give back."""
        self._settings = settings
        self.files = settings.states_of_files()
        self.name = settings.mount.name
        self._budgets = budgets = budgets or MountBudgets(Budgets())
        counts = metrics.of(self.name)
        self.base_path = settings.server.base_path
        self.host = settings.mount.host
        self.address = PublicAddress(settings.server.public_url, self.base_path)
        self.cors = cors_of(settings.cors)
        self.asked = 0  # how often a client has asked for a page or an object
        self.patience = Patience()
        self.circuits = {"storage": Circuits(), "index": Circuits()}  # the latter is the other index
        self.listing_ages = RecentPeak()
        self.storage = build_storage(
            settings, counts.upstream_fault, self.circuits["storage"], self.patience, announce, budgets
        )
        self.access = access or Access(settings, self.storage, metrics.auth_outcomes)
        self.has_own_access = access is None
        self.root = root_of(settings)
        # Clients determine how many pages for people there are, by Host and by search text. These pages have a memory
        # limit of their own, so that they don't evict what is costly to compute again.
        for_people = settings.index.memory_bytes // _PEOPLE_SHARE if settings.index.browse else 0
        for_refusals = settings.index.memory_bytes // _REFUSALS_SHARE if settings.fallback.mode != "none" else 0
        self._people_memory = budgets.memory("pages for people", for_people)
        refusals = budgets.memory("refusals", for_refusals)
        self._memory = budgets.memory("index", settings.index.memory_bytes - for_people - for_refusals)
        self._backlog = Backlog()
        wheels = WheelMetadata(self.storage, self._memory)
        finder = MetadataFinder(self.storage, self.root, wheels, compute=settings.index.compute_hashes)
        self.metadata = FileMetadata(
            finder,
            self._memory,
            metadata_stores(settings, self.storage, self.root, budgets.disk(settings.cache)),
            retry_seconds=settings.index.refresh,
        )
        self._renderer = budgets.one(Renderer, remote_images=settings.index.remote_images)
        self.catalog = build_catalog(settings, self.storage, self.root, self._memory, self.patience)
        self.fallback: Fallback | None = None
        if self.catalog is not None and settings.fallback.mode != "none":
            memory = FallbackMemory(self._memory, refusals, budgets.memory("copied projects", _COPIED_BYTES))
            index = self.catalog, self.metadata, self.circuits["index"]
            ours = self.storage, self.root, budgets.disk(settings.cache)
            self.fallback = build_fallback(settings, *ours, *index, memory, self._backlog)
        self.mirrored: MirroredFiles | None = None
        if self.fallback is not None and not self.fallback.redirects:
            limits = DownloadLimits(settings.fallback.max_file_bytes, settings.fallback.temp_bytes)
            shared = self._memory, budgets.one(Writes)
            self.mirrored = MirroredFiles(self.storage, self.fallback, self.root, limits, *shared)
        self.resources = resources_of(settings)
        self._changed = ChangedProjects(self.resources)
        self.statuses = project_statuses(settings, self.storage, self.resources, self.patience)
        self.own_files = own_files_of(settings, self.storage, self.root, self._memory)
        self._own_door: OwnFilesDoor | None = None
        self.generated = self._build_generated(wheels)
        self.index = Index(
            self.storage,
            self.generated,
            wheels=wheels,
            changed=self._changed,
            mirrored=self.mirrored,
            mode=settings.index.mode,
            index_document=settings.rewrite.index_document,
            immutable_files=settings.cache.immutable_files,
            memory=self._memory,
            statuses=self.statuses,
            own_door=self._own_door,
        )
        self.prefetch = prefetch_for(settings.cache, self.index, self.storage, lambda: metrics.in_flight)
        rights = self.access, self.resources
        self.site = website_of(settings, self.storage, *rights, self._memory, self.patience)
        known = self.catalog, self.metadata, self.root, self.access, self.resources
        publishing = publishing_of(settings, self.storage, *known, audience, self.statuses, budgets)
        self.uploads = publishing.uploads if publishing is not None else None
        self.management = publishing.management if publishing is not None else None

    @property
    def settings(self) -> Settings:
        return self._settings

    async def start(self) -> None:
        """Raises ConfigError if the storage can't be used at all."""
        current_mount.set(self.name)  # for what it begins, too
        await self.storage.start()
        if self.has_own_access:
            await self.access.start()
        if self.statuses is not None:
            self.statuses.start()
        if self.catalog is not None:
            await self.catalog.start()
        if self.fallback is not None:
            await self.fallback.upstream.start()
        if self.own_files is not None:
            await self.own_files.start()
        if self.uploads is not None:
            self.uploads.start()

    async def close(self) -> None:
        access = self.access if self.has_own_access else None
        users = self.uploads, self.management, access, self.prefetch, self.mirrored, self._renderer, self.fallback
        for part in (*users, self.own_files, self.site, self.metadata, self.catalog, self.statuses, self.storage):
            if part is not None:
                await part.close()
        self._budgets.leave()

    def discard(self) -> None:
        """In place of `close`, for one that has not been started."""
        self._budgets.abandon()

    def key(self, path: str) -> str:
        """The key that a canonical path names. Raises NotFoundError outside `base_path` and for reserved keys."""
        self.asked += 1
        rewrite = self._settings.rewrite
        if self.uploads is not None:
            path = self.uploads.page_path(path, self.base_path)
        key = key_of(path, base_path=self.base_path, strip=rewrite.strip_prefix, add=rewrite.add_prefix)
        if key is None:
            raise NotFoundError(f"outside {self.base_path}")
        if is_reserved(key):
            raise NotFoundError("reserved for the gateway")
        return key

    def route(self, key: str) -> tuple[str, bool]:
        """See Resources."""
        return self.resources.route(key)

    def permits(self, principal: Principal, right: Right, key: str) -> bool:
        """Whether the principal has the right to what the key stands for."""
        policy = self.access.policy
        return policy is None or policy.judge(principal, right, self.resources.of(key)).allowed

    def down(self) -> dict[str, str]:
        """The servers that are known to be down, each with the state of its circuit breaker; and the authenticators."""
        circuits = {
            f"circuit {host}": state for circuits in self.circuits.values() for host, state in circuits.down().items()
        }
        return circuits | self.access.down()

    def hints(self) -> list[str]:
        """What is no mistake in the settings, but hardly meant so."""
        trades = self.uploads is not None and self.uploads.exchange is not None
        return [*policy_hints(self._settings), *(owner_hints(self._settings.publish) if trades else ())]

    def expire(self) -> None:
        """Has the next pages made from new listings, and cached objects revalidated."""
        self.storage.expire()
        for part in (self.site, self.statuses):
            if part is not None:
                part.expire()
        if self.catalog is not None:
            self.catalog.expire()
            log.info("Dropped all listings; pages will be regenerated.")
        if self.fallback is not None:
            self.fallback.upstream.expire()

    def forget(self, project: str) -> None:
        """Like `expire`, for one project, by its normalised name."""
        self._changed.note(project)
        if self.statuses is not None:
            self.statuses.forget(project)
        if self.catalog is None:
            self.expire()  # there are no listings, so all cached objects have to be revalidated
            return
        self.catalog.forget(project)
        if self.fallback is not None:
            self.fallback.upstream.forget(project)

    def purge(self, purges: Sequence[Purge]) -> int:
        """Drops what this process has cached, and has pages made from new listings. Returns how many objects it had."""
        projects_of = self.resources.projects_of
        dropped = drop(self.storage, keys_of(purges, projects_of).matches)
        for project in (projects := projects_of_all(purges, projects_of)):
            self.forget(project)
        if not projects:
            self.expire()
        return dropped

    def _build_generated(self, wheels: WheelMetadata) -> GeneratedIndex | None:
        if self.catalog is None:
            return None
        settings = self._settings
        releases = Releases(
            self.catalog,
            self.metadata,
            self.fallback,
            index_document=settings.rewrite.index_document,
            settings=settings.index,
            statuses=self.statuses,
            own=self.own_files,
        )
        if self.own_files is not None:
            self._own_door = own_door_of(releases, self.resources, self.storage, self.own_files)
        people = None
        if settings.index.browse:
            elsewhere = self.fallback.upstream.base_url if self.fallback is not None else ""
            memory, images = self._people_memory, settings.index.remote_images
            filling = filling_of(settings, by_folder=not isinstance(self.catalog, FlatCatalog))
            shown = self._renderer, self.root, elsewhere, memory
            browse = ProjectPages(wheels, *shown, remote_images=images, filling=filling)
            actions = PermittedActions(self.access, self.resources, self.root, marks=self.statuses is not None)
            permitted = actions if settings.publish.enabled else None
            people = RenderedProjectPages(browse, releases, memory, self._backlog, permitted)
        return GeneratedIndex(
            self.catalog,
            releases,
            people,
            ReleaseJson(releases, wheels, self.mirrored, self.root, self._memory, self._backlog),
            ReadableProjects(self.access, self.resources, self.root, self._memory),
            self.resources,
            self.root,
            max_age=settings.fallback.max_age,
            refresh=settings.index.refresh,
            memory=self._memory,
            backlog=self._backlog,
            ages=self.listing_ages,
        )
