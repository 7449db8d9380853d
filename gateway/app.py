"""The composition root: builds every object from the settings, starts them and stops them."""

import importlib
import json
import logging
import socket
from collections.abc import Callable
from functools import partial

from gateway.cache.disk.cache import MAX_SHARE, DiskCache
from gateway.cache.lru import MemoryLimit
from gateway.cache.patience import Patience
from gateway.config.settings import Settings, StorageSettings
from gateway.errors import ConfigError, Problem
from gateway.index.backlog import Backlog
from gateway.index.browse.pages import ProjectPages
from gateway.index.browse.rendered_pages import RenderedProjectPages
from gateway.index.browse.renderer import Renderer
from gateway.index.catalog.flat import FlatCatalog
from gateway.index.catalog.folders import FolderCatalog
from gateway.index.mirror.downloads import DownloadLimits
from gateway.index.mirror.fallback import Fallback
from gateway.index.mirror.mirrored_files import MirroredFiles
from gateway.index.mirror.upstream_index import UpstreamIndex
from gateway.index.prefetch import Prefetch
from gateway.index.releases import Releases
from gateway.index.service import Index
from gateway.index.site import Site
from gateway.index.wheels.file_metadata import FileMetadata
from gateway.index.wheels.metadata import WheelMetadata
from gateway.index.wheels.metadata_finder import MetadataFinder
from gateway.index.wheels.metadata_store import DiskMetadataStore, MetadataStore, SharedMetadataStore
from gateway.messages import BufferedResponse
from gateway.ops.admin import Admin
from gateway.ops.health import Readiness, health
from gateway.ops.log import AccessLog
from gateway.ops.mark import SharedMark
from gateway.ops.metrics import CONTENT_TYPE, Metrics
from gateway.ops.output import STDERR, STDOUT
from gateway.pipeline import AdminRoute, OpsRoute, Pipeline
from gateway.server.admission import Admission
from gateway.server.client_address import ClientAddress
from gateway.server.connection import Limits
from gateway.server.listener import bind, bind_tcp, raise_descriptor_limit, tls_context, url_of
from gateway.server.public_address import PublicAddress
from gateway.server.response_cache import ResponseCache
from gateway.server.server import Listener, Server
from gateway.storage.base import Backend, Storage
from gateway.storage.caching import CachingStorage
from gateway.storage.directories import DirectoryMemory
from gateway.storage.local.storage import LocalStorage
from gateway.storage.redirecting import RedirectingStorage
from gateway.storage.resuming import ResumingStorage
from gateway.storage.s3.clients import client_for
from gateway.storage.s3.signing.credentials import CredentialSource, chain
from gateway.storage.s3.storage import S3Storage
from gateway.transfer.parallel import MemoryBudget
from gateway.upstream.address_policy import AddressPolicy
from gateway.upstream.circuits import Circuits

# Of index.memory_bytes.
_PEOPLE_SHARE = 4
_REFUSALS_SHARE = 32

log = logging.getLogger("gateway")


def build_storage(
    settings: Settings,
    on_fault: Callable[[str], None] = lambda code: None,
    circuits: Circuits | None = None,
    patience: Patience | None = None,
) -> Storage:
    """The storage that the settings name, not started. Raises ConfigError for a backend that can't be loaded."""
    storage, parallel, cache = settings.storage, settings.parallel, settings.cache
    backend = build_backend(settings, on_fault, circuits)
    if backend.local:
        return backend
    window = MemoryBudget(parallel.memory_bytes, parallel.connections)
    patience = patience or Patience()
    backend = DirectoryMemory(backend, cache.negative_ttl, cache.stale_if_error, patience)
    backend = ResumingStorage(backend, parallel, window)
    if cache.memory_bytes or cache.dir:
        backend = CachingStorage(backend, cache, window, patience)
    if not storage.redirect_urls:
        return backend
    return RedirectingStorage(
        backend,
        auto=storage.redirect_urls == "auto",
        min_size=storage.redirect_min_size,
        stream_user_agents=storage.stream_user_agents,
        check=storage.redirect_check,
    )


def build_backend(
    settings: Settings, on_fault: Callable[[str], None] = lambda code: None, circuits: Circuits | None = None
) -> Backend:
    """What reaches the bytes, without any decorator. Raises ConfigError for a backend that can't be loaded."""
    storage = settings.storage
    name = storage.resolved_backend
    if name == "file":
        return LocalStorage(storage.dir, storage.prefix)
    if name in ("s3", "cloudfront"):
        return S3Storage(
            storage,
            build_credentials(storage),
            index_document=settings.rewrite.index_document,
            on_fault=on_fault,
            circuits=circuits,
        )
    module, _, attribute = name.partition(":")
    try:
        loaded: Backend = getattr(importlib.import_module(module), attribute)(storage)
    except (ImportError, AttributeError) as error:
        raise ConfigError([Problem("storage.backend", name, f"can't be loaded: {error}")]) from error
    return loaded


def build_credentials(storage: StorageSettings) -> CredentialSource:
    secret, token = storage.aws_secret_access_key, storage.aws_session_token
    return CredentialSource(
        chain(
            profile_name=storage.profile_name,
            access_key=storage.aws_access_key_id,
            secret_key=secret.get_secret_value() if secret else None,
            token=token.get_secret_value() if token else None,
        )
    )


class Gateway:
    """One gateway on one event loop: `start`, then serve until `stop`."""

    def __init__(self, settings: Settings, mark: SharedMark | None = None) -> None:
        """`mark` is shared with other workers, if there are any. Raises ConfigError for settings that can't be used."""
        server = settings.server
        self._mark = mark
        self.settings = settings
        self.tls = tls_context(server.tls_cert, server.tls_key) if server.tls_cert and server.tls_key else None
        self.metrics = Metrics(lambda: self.storage.credentials_expire_at())
        for output in (STDOUT, STDERR):
            output.on_drop(self.metrics.log_lines_dropped)
        self.patience = Patience()
        self._circuits = {name: Circuits(partial(self.metrics.circuits_open, name)) for name in ("storage", "index")}
        self.storage = build_storage(settings, self.metrics.upstream_fault, self._circuits["storage"], self.patience)
        self.readiness = Readiness(self.storage, settings.ops.ready_ttl, self._down)
        self.url = ""
        root = settings.rewrite.add_prefix[1:] + "/" if settings.rewrite.add_prefix else ""
        # Clients decide how many pages for people there are (by Host, by what they search), so these have a part of
        # their own: what is costly to find out again stays.
        for_people = settings.index.memory_bytes // _PEOPLE_SHARE if settings.index.browse else 0
        for_refusals = settings.index.memory_bytes // _REFUSALS_SHARE if settings.fallback.mode != "none" else 0
        self._people_memory, self._refusals_memory = MemoryLimit(for_people), MemoryLimit(for_refusals)
        self._memory = MemoryLimit(settings.index.memory_bytes - for_people - for_refusals)
        self._backlog = Backlog()
        wheels = WheelMetadata(self.storage, self._memory)
        finder = MetadataFinder(self.storage, root, wheels, compute=settings.index.compute_hashes)
        self.facts = FileMetadata(
            finder, self._memory, self._build_fact_stores(root), retry_seconds=settings.index.refresh
        )
        self._renderer = Renderer()
        self.catalog = self._build_catalog(root)
        self.fallback = self._build_fallback()
        self._fetched: MirroredFiles | None = None
        if self.fallback is not None and not self.fallback.redirects:
            limits = DownloadLimits(settings.fallback.max_file_bytes, settings.fallback.temp_bytes)
            self._fetched = MirroredFiles(self.storage, self.fallback, root, limits, self._memory)
        self._index = Index(
            self.storage,
            self._build_site(root, wheels),
            wheels=wheels,
            fetched=self._fetched,
            mode=settings.index.mode,
            index_document=settings.rewrite.index_document,
            immutable_files=settings.cache.immutable_files,
            memory=self._memory,
        )
        self._prefetch = self._build_prefetch()
        self._caller = ClientAddress(server.trusted_proxies)
        self._access_log = AccessLog(as_json=settings.log.format == "json") if settings.log.access else None
        self._hot = ResponseCache(settings.cache.replies_bytes) if settings.cache.memory_bytes else None
        self._main: Listener | None = None
        self._ops: Listener | None = None

    async def start(self, listener: socket.socket | None = None) -> None:
        """Starts the storage and listens: on `listener` if one is given (a worker's), else where the settings say.

        Raises OSError if an address can't be had, ConfigError if the storage can't be used at all.
        """
        server, ops = self.settings.server, self.settings.ops
        raise_descriptor_limit()
        listener = listener or bind(server)
        try:
            await self.storage.start()
            if self.catalog is not None:
                await self.catalog.start()
            routes, admin = self._ops_routes(), self._admin_routes()
            if ops.port is not None:
                ops_socket = bind_tcp(server.host, ops.port, shared=server.workers > 1)
                self._ops = await self._listen(self._handler(None, routes, admin), ops_socket)
                log.info("operations endpoints are on %s", url_of(ops_socket, tls=self.tls is not None))
                routes, admin = {}, {}
            self._main = await self._listen(self._handler(self.storage, routes, admin), listener)
        except BaseException:
            listener.close()
            await self.stop()
            raise
        self.url = url_of(listener, tls=self.tls is not None)
        log.info("%s, listening on %s", self.storage, self.url)
        if self.fallback is not None:
            log.info("projects that are not there are looked for in %s", self.fallback)

    async def stop(self) -> None:
        """Stops accepting, lets what is in flight finish within `server.shutdown_grace` seconds, ends the rest."""
        self.readiness.draining = True
        if self._main is not None:
            await self._main.drain(self.settings.server.shutdown_grace)
        if self._ops is not None:
            await self._ops.drain(0)
        for part in (
            self.readiness,
            self._prefetch,
            self._fetched,
            self._renderer,
            self.fallback,
            self.facts,
            self.catalog,
            self.storage,
        ):
            if part is not None:
                await part.close()

    async def _listen(self, handler: Pipeline, listener: socket.socket) -> Listener:
        settings = self.settings.server
        limits = Limits(
            header_timeout=settings.header_timeout,
            keepalive_timeout=settings.keepalive_timeout,
            send_timeout=settings.send_timeout,
            max_target_bytes=settings.max_target_bytes,
            max_header_bytes=settings.max_header_bytes,
        )
        admission = Admission(settings.max_connections, settings.max_connections_per_peer, self._caller.believes)
        server = Server(handler, handler.refuse, limits, admission, handler.again)
        return await Listener.open(server, listener, self.tls)

    def _handler(
        self, storage: Storage | None, ops_routes: dict[str, OpsRoute], admin_routes: dict[str, AdminRoute]
    ) -> Pipeline:
        return Pipeline(
            storage,
            ops_routes,
            admin_routes,
            index=self._index if storage is not None else None,
            base_path=self.settings.server.base_path,
            address=PublicAddress(self.settings.server.public_url, self.settings.server.base_path),
            rewrite=self.settings.rewrite,
            allow_bypass=self.settings.cache.allow_bypass,
            caller=self._caller,
            access_log=self._access_log,
            hot=self._hot if storage is not None else None,
            prefetch=self._prefetch if storage is not None else None,
            metrics=self.metrics,
            answer_timeout=self.settings.server.answer_timeout,
            before=self.refresh_if_told if self._mark is not None else None,
        )

    def _build_catalog(self, root: str) -> FolderCatalog | FlatCatalog | None:
        """None where no page is made: what is stored is all there is."""
        settings = self.settings
        if settings.index.mode not in ("auto", "generated"):
            return None
        by_folder = settings.index.layout == "project" and not settings.storage.prepend_hash
        build = FolderCatalog if by_folder else FlatCatalog
        return build(
            self.storage,
            root,
            index_document=settings.rewrite.index_document,
            refresh=settings.index.refresh,
            stale_if_error=settings.cache.stale_if_error,
            memory=self._memory,
            patience=self.patience,
        )

    def _build_fact_stores(self, root: str) -> list[MetadataStore]:
        settings, storage = self.settings, self.settings.storage
        stores: list[MetadataStore] = []
        if settings.cache.dir is not None:
            where = (storage.endpoint_url, storage.bucket) if storage.bucket else (str(storage.dir.absolute()),)
            scope = json.dumps(["facts", storage.resolved_backend, *where, storage.prefix, root])
            stores.append(DiskMetadataStore(DiskCache(settings.cache.dir, settings.cache.disk_bytes, scope)))
        if settings.index.share_metadata:
            stores.append(SharedMetadataStore(self.storage, root))
        return stores

    def _build_fallback(self) -> Fallback | None:
        settings = self.settings
        if settings.fallback.mode == "none" or self.catalog is None:
            return None
        base_url = settings.fallback.base_url
        remote = UpstreamIndex(
            client_for(base_url, AddressPolicy(base_url, settings.fallback.allow_hosts), self._circuits["index"]),
            base_url,
            refresh=settings.index.refresh,
            stale_if_error=settings.cache.stale_if_error,
            memory=self._memory,
            refusals=self._refusals_memory,
            backlog=self._backlog,
        )
        return Fallback(settings.fallback, self.catalog, remote, self.facts)

    def _build_prefetch(self) -> Prefetch | None:
        cache = self.settings.cache
        if not cache.prefetch:
            return None
        most = cache.disk_bytes // MAX_SHARE if cache.dir is not None else cache.object_max_bytes
        return Prefetch(self._index.page, self._index.file, self.storage.fetch, max_bytes=most)

    def _build_site(self, root: str, wheels: WheelMetadata) -> Site | None:
        if self.catalog is None:
            return None
        releases = Releases(
            self.catalog,
            self.facts,
            self.fallback,
            index_document=self.settings.rewrite.index_document,
            settings=self.settings.index,
        )
        people = None
        if self.settings.index.browse:
            elsewhere = self.fallback.remote.base_url if self.fallback is not None else ""
            memory = self._people_memory
            people = RenderedProjectPages(
                ProjectPages(wheels, self._renderer, root, elsewhere, memory), releases, memory, self._backlog
            )
        return Site(
            self.catalog,
            releases,
            people,
            root,
            max_age=self.settings.fallback.max_age,
            refresh=self.settings.index.refresh,
            memory=self._memory,
            backlog=self._backlog,
        )

    def _down(self) -> dict[str, str]:
        return {host: state for circuits in self._circuits.values() for host, state in circuits.down().items()}

    def refresh(self) -> None:
        """Makes the next pages from new listings, and asks for what is cached again."""
        self.storage.expire()
        if self._hot is not None:
            self._hot.clear()
        if self.catalog is not None:
            self.catalog.expire()
            log.info("listings are dropped: pages are made anew")
        if self.fallback is not None:
            self.fallback.remote.expire()

    def refresh_all(self) -> None:
        """`refresh`, in all workers: none begins to answer from what it knew once this has returned."""
        if self._mark is None:
            self.refresh()
        else:
            self._mark.change()

    def refresh_if_told(self) -> None:
        if self._mark is not None and self._mark.has_changed():
            self.refresh()

    def _ops_routes(self) -> dict[str, OpsRoute]:
        prefix = self.settings.ops.path_prefix

        async def metrics() -> BufferedResponse:
            return BufferedResponse(
                200, self.metrics.render(), {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"}
            )

        return {
            f"{prefix}/health": health,
            f"{prefix}/ready": self.readiness.ready,
            f"{prefix}/metrics": metrics,
        }

    def _admin_routes(self) -> dict[str, AdminRoute]:
        token = self.settings.ops.admin_token
        if token is None or not token.get_secret_value():
            return {}
        admin = Admin(token.get_secret_value(), self.refresh_all)
        return {f"{self.settings.ops.path_prefix}/-/refresh": admin.refresh}
