"""One worker process under gunicorn: a Gateway on the socket that all workers share."""

import asyncio
import logging
import os
import signal
import sys
import time
from contextlib import suppress

from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from gateway import executors
from gateway.app import Gateway
from gateway.cli import ending, heap
from gateway.cli.serve import try_storages
from gateway.cli.workers import STOPPING
from gateway.config.source import decode
from gateway.errors import ConfigError
from gateway.ops import log as logs
from gateway.ops.metrics import count_as
from gateway.running.reloader import WorkerSlot
from gateway.running.restart import as_running

_HEARTBEAT_SECONDS = 1.0
# Until a worker that could not take a dead one's place makes room for the next try.
_RETRY_SECONDS = 2.0


class WorkerProcess(Worker):  # type: ignore[misc]
    """Serves until gunicorn stops it, or is gone."""

    def run(self) -> None:
        """Called by gunicorn in the new process; `self.wsgi` is the result of Application.load: the Settings with which
        the gateway began, the marks by which workers tell each other what has changed, and where settings are read
        anew. `slot` is a number that no other running worker has."""
        self.booted = False  # until it listens: gunicorn gives up on a worker that can't boot
        try:
            code = asyncio.run(self._serve())
        except Exception:
            if self.booted or self._is_first:
                raise
            self.log.exception("worker can't start")  # the system may lack threads or descriptors
            time.sleep(_RETRY_SECONDS)
            code = 1
        sys.exit(code)

    @property
    def _is_first(self) -> bool:
        """Whether this is one of the workers that were started first, and replaces none."""
        return bool(self.age <= self.wsgi[0].server.workers)

    def init_signals(self) -> None:
        """asyncio takes SIGHUP and those of STOPPING over once it runs, and the latter are held back until then; the
        rest end the process as usual."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        for number in (signal.SIGHUP, signal.SIGUSR1):  # gunicorn passes the latter on
            signal.signal(number, signal.SIG_IGN)

    async def _serve(self) -> int:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in STOPPING:
            loop.add_signal_handler(number, stopping.set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)  # blocked when the process was forked
        executors.name_resolvers()
        count_as(self.slot)
        settings, marks, source = self.wsgi
        workers = settings.server.workers
        try:
            number, content = marks.configuration.current()
            if number:  # the others have it in force, but for what holds until a restart
                settings, _ = as_running(source.settings(decode(content))[0], settings)
                logs.configure(settings.log)
            worker = WorkerSlot(marks.configuration, self.slot, workers, number)
            gateway = Gateway(settings, marks, source, worker, settled=heap.freeze_anew)
            loop.add_signal_handler(signal.SIGHUP, gateway.hang_up)
            await gateway.start(*(listener.sock for listener in self.sockets))
        except (ConfigError, OSError, ValueError) as error:  # ValueError: another configuration is being shared
            self.log.error("worker can't start: %s", "; ".join(str(error).splitlines()))
            return await self._not_started(stopping)
        heap.freeze()
        self.booted = True
        # One worker logs the storage's problems for all.
        first_try = loop.create_task(try_storages(gateway)) if self.slot == 0 else None
        while not stopping.is_set() and os.getppid() == self.ppid:
            self.notify()
            gateway.look()
            gateway.metrics.settle()
            with suppress(TimeoutError):
                async with asyncio.timeout(_HEARTBEAT_SECONDS):
                    await stopping.wait()
        if first_try is not None:
            first_try.cancel()
        if os.getppid() != self.ppid:
            marks.standing.stop()  # the others end too
        await gateway.stop()  # gunicorn ends a worker that takes too long
        gateway.metrics.settle()  # the others go on to tell what has been counted here
        ending.end_soon(0)
        return 0

    async def _not_started(self, stopping: asyncio.Event) -> int:
        """The exit code. One of the first workers ends the whole: the settings are at fault. A later one replaces a
        worker that had started with them: what it lacks, such as a file that is being renewed, may come back, and
        gunicorn tries again while the others serve."""
        from gunicorn.arbiter import Arbiter

        if self._is_first:
            return int(Arbiter.WORKER_BOOT_ERROR)
        with suppress(TimeoutError):
            async with asyncio.timeout(_RETRY_SECONDS):
                await stopping.wait()
        return 1


class GunicornLog(Logger):  # type: ignore[misc]
    """Sends gunicorn's messages to our log, and turns its access log off: we write our own."""

    def setup(self, cfg: object) -> None:
        self.cfg = cfg
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        self.error_log.setLevel(logging.INFO)
        self.access_log.disabled = True
