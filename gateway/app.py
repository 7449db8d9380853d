"""The composition root: builds the mount, the listeners and the operations endpoints, starts and stops them."""

import logging
import socket
from collections.abc import Iterator
from typing import Literal

from pydantic import SecretStr

from gateway.config.settings import Settings
from gateway.entrance import Entrance
from gateway.entrances import Entrances
from gateway.executors import METRICS
from gateway.messages import BufferedResponse
from gateway.mounting.mount import Mount
from gateway.mounting.mounts import Mounts
from gateway.mounting.virtual import VirtualMount
from gateway.ops.admin import Admin
from gateway.ops.audit_objects import AuditObjects
from gateway.ops.bearer import BearerToken
from gateway.ops.health import Readiness, health
from gateway.ops.log import RequestLog
from gateway.ops.mark import EVERYTHING, Marks
from gateway.ops.metrics import CONTENT_TYPE, Metrics
from gateway.ops.output import STDERR, STDOUT
from gateway.ops.readings.loop_lag import LoopLag
from gateway.ops.readings.read_metrics import Reading
from gateway.ops.request_spans import RequestSpans
from gateway.ops.standing import Standing
from gateway.pipeline import AdminRoute, OpsRoute, Pipeline
from gateway.server.client_address import ClientAddress
from gateway.server.connections.admission import Admission
from gateway.server.connections.limits import Limits
from gateway.server.listener import bind, bind_tcp, connections_within, raise_descriptor_limit, tls_context, url_of
from gateway.server.request_records import RequestRecords
from gateway.server.response_cache import ResponseCache
from gateway.server.server import Listener, Server
from gateway.stats.mount import mount_readings, upload_readings
from gateway.stats.worker import budget_readings, client_readings, memory_readings, process_readings
from gateway.storage.base import Storage
from gateway.tracing.build import tracer_of

log = logging.getLogger("gateway")


class Gateway:
    """One gateway on one event loop: `start`, then serve until `stop`."""

    def __init__(self, settings: Settings, marks: Marks | None = None) -> None:
        """`marks` are shared with other workers, if there are any. Raises ConfigError for settings that can't be
        used."""
        server = settings.server
        self._marks = marks
        self.settings = settings
        self.tls = tls_context(server.tls_cert, server.tls_key) if server.tls_cert and server.tls_key else None
        self.metrics = Metrics()
        for output in (STDOUT, STDERR):
            output.on_drop(self.metrics.log_lines_dropped)
        cache = settings.cache
        self.response_cache = ResponseCache(cache.replies_bytes) if cache.memory_bytes else None
        self.mounts = Mounts(settings, self.metrics, marks, self._drop_replies)
        storages = {mount.name: mount.storage for mount in self.mounts.all}
        self._standing = marks.standing if marks is not None else Standing(shared=False)
        self.readiness = Readiness(storages, settings.ops.ready_ttl, self.mounts.down, standing=self._standing)
        self.url = ""
        self._caller = ClientAddress(server.trusted_proxies)
        logged = settings.log
        self._audit: AuditObjects | None = None
        if logged.audit_objects and any(mount.access.gate is not None for mount in self.mounts.all):
            dropped = self.metrics.log_lines_dropped
            self._audit = AuditObjects(self.storage, seconds=logged.audit_interval, dropped=dropped)
        self.request_log = RequestLog(
            access=logged.access,
            audit=logged.audit,
            as_json=logged.format == "json",
            keep_audit=self._audit.write if self._audit is not None else None,
        )
        self._tracer = tracer_of(**dict(settings.tracing))
        scheme = "https" if self.tls is not None else "http"
        spans = RequestSpans(self._tracer, scheme=scheme, untraced=self._ops_routes().keys())
        self._records = RequestRecords(self._caller, self.request_log, self.metrics, spans)
        self._most_connections = server.max_connections
        self._lag = LoopLag()
        self._main: Listener | None = None
        self._ops: Listener | None = None

    @property
    def mount(self) -> Mount:
        """The first one: that of the top level, unless it is none."""
        return self.mounts.all[0]

    @property
    def storage(self) -> Storage:
        return self.mount.storage

    async def start(self, listener: socket.socket | None = None, ops_listener: socket.socket | None = None) -> None:
        """Starts the storage and listens: on these sockets if they are given (a worker's), else where the settings say.

        Raises OSError if an address can't be bound, ConfigError if the storage can't be used at all.
        """
        server, ops = self.settings.server, self.settings.ops
        self._limit_connections(raise_descriptor_limit())
        shared = listener is not None
        listener = listener or bind(server)
        try:
            self._lag.start()
            self._tracer.start()
            await self.mounts.start()
            self.metrics.read_from(self._readings)
            if self._audit is not None:
                self._audit.start()
            routes, admin = self._ops_routes(), self._admin_routes()
            if ops.port is not None:
                ops_socket = ops_listener or bind_tcp(server.host, ops.port)
                self._ops = await self._listen(self._pipeline(None, routes, admin), ops_socket, shared)
                log.info("operations endpoints are on %s", url_of(ops_socket, tls=self.tls is not None))
                routes, admin = {}, {}
            self._main = await self._listen(self._pipeline(self._entrances(), routes, admin), listener, shared)
        except BaseException:
            listener.close()
            await self.stop()
            raise
        self.url = url_of(listener, tls=self.tls is not None)
        log.info("%s, listening on %s", self.mounts, self.url)
        self.mounts.tell()

    async def stop(self) -> None:
        """Stops accepting connections, gives requests in flight `server.shutdown_grace` seconds to finish, and ends
        the rest."""
        if self._marks is None:  # else the other workers may go on
            self._standing.stop()
        if self._main is not None:
            await self._main.drain(self.settings.server.shutdown_grace)
        if self._ops is not None:
            await self._ops.drain(0)
        await self.readiness.close()
        if self._audit is not None:
            await self._audit.close()
        await self.mounts.close()
        self._lag.close()
        await self._tracer.close()

    def _limit_connections(self, descriptors: int) -> None:
        wanted, possible = self.settings.server.max_connections, connections_within(descriptors)
        if possible < wanted:
            self._most_connections = possible
            message = "the limit of %d open files (ulimit -n) allows %d client connections, not %d"
            log.warning(f"{message} (server.max_connections)", descriptors, possible, wanted)

    async def _listen(self, pipeline: Pipeline, listener: socket.socket, shared: bool) -> Listener:
        settings = self.settings.server
        limits = Limits(
            header_timeout=settings.header_timeout,
            keepalive_timeout=settings.keepalive_timeout,
            send_timeout=settings.send_timeout,
            max_target_bytes=settings.max_target_bytes,
            max_header_bytes=settings.max_header_bytes,
        )
        admission = Admission(self._most_connections, settings.max_connections_per_peer, self._caller.believes)
        server = Server(pipeline, pipeline.refuse, limits, admission, pipeline.lookup)
        return await Listener.open(server, listener, self.tls, shared=shared)

    def _pipeline(
        self, entrances: Entrances | None, ops_routes: dict[str, OpsRoute], admin_routes: dict[str, AdminRoute]
    ) -> Pipeline:
        server = self.settings.server
        return Pipeline(
            entrances,
            ops_routes,
            admin_routes,
            allow_bypass=self.settings.cache.allow_bypass,
            records=self._records,
            response_cache=self.response_cache if entrances is not None else None,
            answer_timeout=server.answer_timeout,
            before=self.mounts.refresh_if_told if self._marks is not None else None,
        )

    def _entrances(self) -> Entrances:
        mounts: list[Mount | VirtualMount] = [*self.mounts.all, *self.mounts.virtual]
        return Entrances([Entrance(mount, self._caller) for mount in mounts], self._most_connections)

    def refresh(self, project: str = EVERYTHING) -> None:
        """Has the next pages made from new listings, and cached objects revalidated. With the normalised name of a
        project, does so for that project only."""
        self.mounts.refresh(project)

    def refresh_all(self, project: str = EVERYTHING) -> None:
        """Calls `refresh` in all workers. See Mounts."""
        self.mounts.refresh_all(project)

    def _drop_replies(self) -> None:
        if self.response_cache is not None:
            self.response_cache.clear()

    def _readings(self) -> Iterator[Reading]:
        """What the parts hold, for the metrics."""
        yield from process_readings(self._lag.seconds)
        for mount in self.mounts.all:
            yield from mount_readings(mount)
        yield from upload_readings(self.mounts.all)
        yield from budget_readings(self.mounts.budgets)
        if self.response_cache is not None:
            yield from memory_readings(self.response_cache.pools)
        if self._main is not None:
            yield from client_readings(self._main.admission)

    def _ops_routes(self) -> dict[str, OpsRoute]:
        """What they tell may be for those only who have the token. /health tells nothing."""
        prefix, token = self.settings.ops.path_prefix, self._token("token")

        async def alive(authorization: str) -> BufferedResponse:
            return await health()

        async def ready(authorization: str) -> BufferedResponse:
            if token is not None:
                token.check(authorization)
            return await self.readiness.ready()

        async def metrics(authorization: str) -> BufferedResponse:
            if token is not None:
                token.check(authorization)
            headers = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"}
            self.metrics.settle()
            return BufferedResponse(200, await METRICS.run(self.metrics.text), headers)

        return {f"{prefix}/health": alive, f"{prefix}/ready": ready, f"{prefix}/metrics": metrics}

    def _admin_routes(self) -> dict[str, AdminRoute]:
        token = self._token("admin_token")
        if token is None:
            return {}
        return {f"{self.settings.ops.path_prefix}/-/refresh": Admin(token, self.refresh_all).refresh}

    def _token(self, setting: Literal["token", "admin_token"]) -> BearerToken | None:
        secret: SecretStr | None = getattr(self.settings.ops, setting)
        return BearerToken(secret.get_secret_value(), f"ops.{setting}") if secret else None
