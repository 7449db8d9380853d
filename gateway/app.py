"""The composition root: builds the mounts, the listeners and the operations endpoints, starts and stops them, and puts
another configuration in their place."""

import asyncio
import logging
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

from gateway.config.settings import ServerSettings, Settings
from gateway.config.source import Source
from gateway.mounting.mount import Mount
from gateway.mounting.mounts import Mounts
from gateway.ops import log as logs
from gateway.ops.health import Readiness
from gateway.ops.mark import EVERYTHING, Marks
from gateway.ops.metrics import Metrics
from gateway.ops.output import STDERR, STDOUT
from gateway.ops.purge import Purge
from gateway.ops.readings.loop_lag import LoopLag
from gateway.ops.readings.read_metrics import Reading
from gateway.ops.shared.standing import Standing
from gateway.running.change import Change
from gateway.running.door import Door, certificates_of, limits_of
from gateway.running.graph import Graph, Switch
from gateway.running.reloader import Outcome, Reloader, WorkerSlot
from gateway.running.restart import as_running
from gateway.server.connections.admission import Admission
from gateway.server.listener import bind, bind_tcp, connections_within, raise_descriptor_limit, url_of
from gateway.server.response_cache import ResponseCache
from gateway.server.server import Listener, Server
from gateway.stats.mount import mount_readings, upload_readings
from gateway.stats.worker import budget_readings, client_readings, memory_readings, process_readings
from gateway.storage.base import Storage
from gateway.tracing.build import tracer_of

# What a reload has replaced ends within this, when the gateway stops.
_END_SECONDS = 5.0

log = logging.getLogger("gateway")


class Gateway:
    """One gateway on one event loop: `start`, then serve until `stop`."""

    def __init__(
        self,
        settings: Settings,
        marks: Marks | None = None,
        source: Source | None = None,
        worker: WorkerSlot | None = None,
        *,
        settled: Callable[[], None] = lambda: None,
    ) -> None:
        """`marks` are shared with other workers, if there are any; this is the `worker` among them then. The settings
        have been read from `source`, and may be read again. `settled` is called when what a reload has replaced is
        gone. Raises ConfigError for settings that can't be used."""
        self._marks = marks
        self._settled = settled
        self._certificates = certificates_of(settings.server)
        self.metrics = Metrics()
        for output in (STDOUT, STDERR):
            output.on_drop(self.metrics.log_lines_dropped)
        self.mounts = Mounts(settings, self.metrics, marks, self._drop_replies)
        storages = {mount.name: mount.storage for mount in self.mounts.all}
        self._standing = marks.standing if marks is not None else Standing(shared=False)
        self.readiness = Readiness(storages, settings.ops.ready_ttl, self.mounts.down, standing=self._standing)
        self.reloader = Reloader(source, worker, self._apply)
        self.url = ""
        self._tracer = tracer_of(**dict(settings.tracing))
        self._lag = LoopLag()
        self._possible_connections = sys.maxsize
        self._graph = self._built(settings, None)
        self._former: list[Graph] = []  # which may still answer requests
        self._ending: list[asyncio.Task[None]] = []
        self._main: Door | None = None
        self._hung_up = False
        self._ops: Door | None = None

    @property
    def settings(self) -> Settings:
        return self._graph.settings

    @property
    def response_cache(self) -> ResponseCache | None:
        return self._graph.response_cache

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
        server, ops, graph = self.settings.server, self.settings.ops, self._graph
        self._limit_connections(raise_descriptor_limit())
        shared = listener is not None
        listener = listener or bind(server)
        try:
            self._lag.start()
            self._tracer.start()
            await self.mounts.start()
            self.metrics.read_from(self._readings)
            if graph.audit is not None:
                graph.audit.start()
            if self._certificates is not None:
                self._certificates.start()
            if graph.ops is not None:
                ops_socket = ops_listener or bind_tcp(server.host, ops.port or 0)
                self._ops = await self._open(Switch(graph.ops), ops_socket, shared)
                log.info("operations endpoints are on %s", url_of(ops_socket, tls=self._certificates is not None))
            self._main = await self._open(Switch(graph.main), listener, shared)
        except BaseException:
            listener.close()
            await self.stop()
            raise
        self.url = url_of(listener, tls=self._certificates is not None)
        log.info("%s, listening on %s", self.mounts, self.url)
        self.mounts.tell()
        if self._hung_up:
            self.hang_up()

    async def stop(self) -> None:
        """Stops accepting connections, gives requests in flight `server.shutdown_grace` seconds to finish, and ends
        the rest."""
        if self._marks is None:  # else the other workers may go on
            self._standing.stop()
        if self._main is not None:
            await self._main.listener.drain(self.settings.server.shutdown_grace)
        if self._ops is not None:
            await self._ops.listener.drain(0)
        await self.reloader.close()
        for graph in self._former:
            graph.give_up()
        if self._ending:
            _, late = await asyncio.wait(self._ending, timeout=_END_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._certificates is not None:
            await self._certificates.close()
        await self.readiness.close()
        if self._graph.audit is not None:
            await self._graph.audit.close()
        await self.mounts.close()
        self._lag.close()
        await self._tracer.close()

    def refresh(self, project: str = EVERYTHING) -> None:
        """Has the next pages made from new listings, and cached objects revalidated. With the normalised name of a
        project, does so for that project only."""
        self.mounts.refresh(project)

    def refresh_all(self, project: str = EVERYTHING) -> None:
        """Calls `refresh` in all workers. See Mounts."""
        self.mounts.refresh_all(project)

    async def reload(self) -> Mapping[str, object]:
        """See Actions."""
        return await self.reloader.reload()

    async def purge(self, purges: Sequence[Purge]) -> Mapping[str, object]:
        """See Actions."""
        return await self.mounts.purge_all(purges)

    def hang_up(self) -> None:
        """What SIGHUP asks for: a refresh at once, and a reload in the background; after the start, which serves the
        mounts with which it began."""
        self._hung_up = True
        if self._main is not None:
            self.refresh_all()
            self.reloader.ask()

    def look(self) -> None:
        """Does what other workers have asked for, or made necessary. Called before each request, and every second."""
        self.mounts.refresh_if_told()
        self.reloader.look()

    async def _apply(self, settings: Settings, check: bool) -> Outcome:
        """See Apply. Until all is known to work, nothing that serves is touched; then all of it is replaced without a
        pause, so that no request meets half of it."""
        settings, waiting = as_running(settings, self.settings)
        certificates = self._certificates
        if certificates is not None and certificates.files != (settings.server.tls_cert, settings.server.tls_key):
            certificates = certificates_of(settings.server)
        change = Change(self.mounts, settings)
        try:
            await change.start(check=check)
            graph = self._built(settings, change)
        except BaseException:
            await change.abandon()
            raise
        former, self._graph = self._graph, graph
        change.adopt()
        self._turn(former, graph)
        try:
            if settings.log != former.settings.log:
                logs.configure(settings.log)
            if certificates is not None and certificates is not self._certificates:
                certificates.start()
                self._certificates, certificates = certificates, self._certificates
                await certificates.close()
            if graph.audit is not None and graph.audit is not former.audit:
                graph.audit.start()
            await change.settle()
            self.mounts.refresh()
        finally:  # also if the gateway stops meanwhile
            before = [graph for graph in self._former if graph.uses(change.replaced, former.audit)]
            self._former.append(former)
            ending = asyncio.create_task(self._end(former, change, before))
            if change.replaces:
                ending.add_done_callback(lambda _: self._settled())  # its frame would keep what has been replaced
            self._ending = [*(task for task in self._ending if not task.done()), ending]
        return Outcome(change.names(), waiting)

    def _turn(self, former: Graph, graph: Graph) -> None:
        """Requests that begin from now on are answered by `graph`."""
        settings, most = graph.settings, self._most(graph.settings.server)
        if self._main is not None:
            self._main.turn(graph.main, settings.server, most)
        if self._ops is not None and graph.ops is not None:
            self._ops.turn(graph.ops, settings.server, most)
        if former.response_cache is not None:
            former.response_cache.clear()
        self.readiness.watch({mount.name: mount.storage for mount in graph.mounts}, settings.ops.ready_ttl)

    async def _end(self, former: Graph, change: Change, before: Sequence[Graph]) -> None:
        """Ends what `change` has replaced, when nothing uses it any more. Graphs that were in force `before` may use it
        too."""
        await former.drained()
        self._former.remove(former)
        await asyncio.gather(*(graph.drained() for graph in before))
        try:
            if former.audit is not None and former.audit is not self._graph.audit:
                await former.audit.close()
            await change.end_former()
        except Exception:
            log.exception("a mount that is no longer in force can't be closed: this is a bug")

    def _limit_connections(self, descriptors: int) -> None:
        wanted, possible = self.settings.server.max_connections, connections_within(descriptors)
        self._possible_connections = possible
        self._graph.limit(self._most(self.settings.server))
        if possible < wanted:
            message = "the limit of %d open files (ulimit -n) allows %d client connections, not %d"
            log.warning(f"{message} (server.max_connections)", descriptors, possible, wanted)

    def _most(self, settings: ServerSettings) -> int:
        """How many connections of clients are held at once."""
        return min(settings.max_connections, self._possible_connections)

    async def _open(self, switch: Switch, listener: socket.socket, shared: bool) -> Door:
        server, believes = self.settings.server, lambda peer: self._graph.caller.believes(peer)
        admission = Admission(self._most(server), server.max_connections_per_peer, believes)
        clients = Server(switch, switch.refuse, limits_of(server), admission, switch.lookup)
        return Door(await Listener.open(clients, listener, self._tls_context, shared=shared), clients, switch)

    def _tls_context(self) -> ssl.SSLContext | None:
        return self._certificates.context if self._certificates is not None else None

    def _built(self, settings: Settings, change: Change | None) -> Graph:
        """Over the mounts of a change; None for those in force."""
        mounts = change or self.mounts
        return Graph(
            settings,
            mounts.all,
            mounts.virtual,
            self.metrics,
            self.readiness,
            self,
            self._tracer,
            max_connections=self._most(settings.server),
            before=self.look if self._marks is not None else None,
            former=self._graph if change is not None else None,
        )

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
            yield from client_readings(self._main.listener.admission)
