"""What answers requests with one configuration."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from gateway.config.settings import Settings
from gateway.entrance import Entrance
from gateway.entrances import Entrances
from gateway.errors import GatewayError
from gateway.mounting.mount import Mount
from gateway.mounting.virtual import VirtualMount
from gateway.ops.admin import Actions
from gateway.ops.audit_objects import AuditObjects
from gateway.ops.health import Readiness
from gateway.ops.log import RequestLog
from gateway.ops.metrics import Metrics
from gateway.ops.routes import AdminRoute, OpsRoute, admin_routes, ops_routes
from gateway.pipeline import Pipeline
from gateway.server.client_address import ClientAddress
from gateway.server.protocol import Request
from gateway.server.reply import Reply
from gateway.server.request_records import RequestRecords
from gateway.server.request_spans import RequestSpans
from gateway.server.response_cache import ResponseCache
from gateway.tracing.tracer import Tracer


class Graph:
    """The pipelines over the mounts of a configuration, and what belongs to both. Requests that began with a graph
    end with it, whatever has come in its place meanwhile."""

    def __init__(
        self,
        settings: Settings,
        mounts: Sequence[Mount],
        virtual: Sequence[VirtualMount],
        metrics: Metrics,
        readiness: Readiness,
        actions: Actions,
        tracer: Tracer,
        *,
        max_connections: int,
        before: Callable[[], None] | None = None,
        former: "Graph | None" = None,
    ) -> None:
        """`max_connections` of clients are held at once. `before` is called before each request. What a `former` graph
        stores of the audit goes on if it may."""
        self.settings = settings
        self.mounts = mounts
        self.caller = ClientAddress(settings.server.trusted_proxies)
        cache = settings.cache
        self.response_cache = ResponseCache(cache.replies_bytes) if cache.memory_bytes else None
        self.audit = self._audit(former, metrics)
        self._metrics = metrics
        self._before = before
        self.log = RequestLog(
            access=settings.log.access,
            audit=settings.log.audit,
            as_json=settings.log.format == "json",
            keep_audit=self.audit.write if self.audit is not None else None,
        )
        routes, admin = ops_routes(settings.ops, readiness, metrics), admin_routes(settings.ops, actions)
        scheme = "https" if settings.server.tls_cert is not None else "http"
        spans = RequestSpans(tracer, scheme=scheme, untraced=routes.keys())
        self._records = RequestRecords(self.caller, self.log, metrics, spans, self._count)
        self.ops: Pipeline | None = None
        if settings.ops.port is not None:
            self.ops = self._pipeline(None, routes, admin)
            routes, admin = {}, {}
        entered: list[Mount | VirtualMount] = [*mounts, *virtual]
        entrances = (Entrance(mount, self.caller) for mount in entered)
        self._entrances: Entrances = Entrances(
            entrances, max_connections, former._entrances if former is not None else None
        )
        self.main = self._pipeline(self._entrances, routes, admin)
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def limit(self, max_connections: int) -> None:
        """So many connections of clients are held at once."""
        self._entrances.limit(max_connections)

    def _count(self, change: int) -> None:
        """A request has begun (1) or ended (-1)."""
        self._metrics.in_flight += change
        self._running += change
        if self._running:
            self._idle.clear()
        else:
            self._idle.set()

    def uses(self, mounts: Iterable[Mount], audit: AuditObjects | None) -> bool:
        """Whether requests that began with it may use any of these."""
        return not {*self.mounts}.isdisjoint(mounts) or (audit is not None and audit is self.audit)

    def give_up(self) -> None:
        """Whatever has begun counts as ended: the gateway stops, and has ended it."""
        self._idle.set()

    async def drained(self) -> None:
        """Returns when all requests that began have ended. No others begin."""
        await self._idle.wait()

    def _audit(self, former: "Graph | None", metrics: Metrics) -> AuditObjects | None:
        logged, storage = self.settings.log, self.mounts[0].storage
        if not logged.audit_objects or all(mount.access.gate is None for mount in self.mounts):
            return None
        if former is not None and former.audit is not None:
            same = former.mounts[0] is self.mounts[0]
            if same and former.settings.log.audit_interval == logged.audit_interval:
                return former.audit
        return AuditObjects(storage, seconds=logged.audit_interval, dropped=metrics.log_lines_dropped)

    def _pipeline(
        self, entrances: Entrances | None, routes: dict[str, OpsRoute], admin: dict[str, AdminRoute]
    ) -> Pipeline:
        return Pipeline(
            entrances,
            routes,
            admin,
            allow_bypass=self.settings.cache.allow_bypass,
            records=self._records,
            response_cache=self.response_cache if entrances is not None else None,
            answer_timeout=self.settings.server.answer_timeout,
            before=self._before,
        )


class Switch:
    """Passes each request of a listener on to the pipeline that is in force when it begins."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    def __call__(self, request: Request) -> Coroutine[Any, Any, Reply]:
        return self.pipeline(request)

    def refuse(self, request: Request, error: GatewayError) -> Reply:
        return self.pipeline.refuse(request, error)

    def lookup(self, head: bytes, peer: str) -> bytes | None:
        return self.pipeline.lookup(head, peer)
