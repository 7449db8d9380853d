"""Several processes on one socket: gunicorn starts, watches, replaces and stops them."""

import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

from gateway.cli import advice, heap
from gateway.config.settings import Settings
from gateway.config.source import Source
from gateway.errors import ConfigError, Problem
from gateway.ops import log as logs
from gateway.ops.mark import Marks
from gateway.ops.output import STDERR, STDOUT
from gateway.ops.shared.lock import shared_lock
from gateway.ops.turn import Turn
from gateway.server.listener import bind, bind_tcp

# What ends a worker, and asks it to finish its requests first.
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_HEARTBEAT_TIMEOUT_SECONDS = 60
# On top of the workers' own grace period, so that they end by themselves: they may take seconds to store the audit.
_EXTRA_GRACE_SECONDS = 8
_METRICS_DIR = "PROMETHEUS_MULTIPROC_DIR"

log = logging.getLogger("gateway")


def run(
    settings: Settings,
    hints: Sequence[str] = (),
    *,
    source: Source,
    wait: Callable[[], object] = lambda: None,
    hung_up: Callable[[], bool] = lambda: False,
) -> int:
    """Runs `server.workers` processes until SIGTERM or SIGINT. The settings have been read from `source`, and workers
    read them again after SIGHUP, also if that came before (`hung_up`). Logs `hints` first, then calls `wait`, which may
    take long. Raises ConfigError if gunicorn is missing."""
    check_installed()
    from gunicorn.app.base import BaseApplication
    from gunicorn.arbiter import Arbiter

    beacons = [one for one in settings.all_mounts if one.uses_beacon]
    marks = Marks(beacons={one.mount.name: Turn() for one in beacons})
    lock = shared_lock()
    for output in (STDOUT, STDERR):
        output.share(lock)

    class Master(Arbiter):  # type: ignore[misc]
        told_to_stop = False

        def signal(self, number: int, frame: FrameType | None) -> None:
            """Called at once, while gunicorn waits for the workers too: a second SIGTERM or SIGINT ends them."""
            if number in STOPPING:
                marks.standing.stop()
            if number in (signal.SIGTERM, signal.SIGINT):
                if self.told_to_stop:
                    self.kill_workers(signal.SIGKILL)
                self.told_to_stop = True
            super().signal(number, frame)

        def start(self) -> None:
            super().start()
            if hung_up():  # before this took the signals over
                self.handle_hup()

        def stop(self, graceful: bool = True) -> None:
            """Whatever the reason is: the workers say so before they stop."""
            marks.standing.stop()
            super().stop(graceful)

        def spawn_worker(self) -> int:
            """Forks with the signals that stop a worker held back until it heeds them (WorkerProcess): before that, the
            new process would take them for its parent."""
            before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
            try:
                return int(super().spawn_worker())
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

        def handle_hup(self) -> None:
            """Has all workers refresh, and one of them reload. gunicorn would replace the workers instead, which cuts
            downloads and starts with empty caches."""
            marks.projects.change()
            marks.configuration.ask()
            log.info("all workers drop their listings and revalidate cached objects; one reads the configuration anew")

    class Application(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            for name, value in _gunicorn_settings(settings).items():
                self.cfg.set(name, value)

        def load(self) -> tuple[Settings, Marks, Source]:
            return settings, marks, source

    heap.tune()  # forked workers inherit the setting
    logs.configure(settings.log)
    for hint in hints:
        log.warning("%s", hint)
    wait()  # here a signal ends it, and each worker would wait for itself
    if not _can_listen(settings):
        return 1
    # Workers share their counts in files; prometheus_client reads the variable when it is first imported.
    metrics_dir = tempfile.mkdtemp(prefix="gateway-metrics-", dir=_memory_dir())
    os.environ[_METRICS_DIR] = metrics_dir
    owner = os.getpid()
    try:
        Master(Application()).run()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        if os.getpid() == owner:
            shutil.rmtree(metrics_dir, ignore_errors=True)
    return 0


def check_installed() -> None:
    """Raises ConfigError if gunicorn is missing."""
    try:
        import gunicorn.app.base  # noqa: F401
    except ImportError as missing:
        message = "more than one worker needs gunicorn: pip install 's3-package-gateway[workers]'"
        raise ConfigError([Problem("server.workers", "settings", message)]) from missing


def _can_listen(settings: Settings) -> bool:
    """Logs what to do about an address that can't be bound; gunicorn would try again and again, and take a Unix socket
    from a running gateway."""
    server, ops = settings.server, settings.ops
    try:
        bind(server).close()
        if server.unix_socket is not None:
            server.unix_socket.unlink()
        if ops.port is not None:
            bind_tcp(server.host, ops.port).close()
    except OSError as error:
        log.error("can't listen: %s; %s", error, advice.for_listening(error))
        return False
    return True


def _memory_dir() -> str | None:
    """A file system in memory, if there is one: it needs no disk and works under a read-only root."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


def _gunicorn_settings(settings: Settings) -> dict[str, Any]:
    server = settings.server
    host = f"[{server.host}]" if ":" in server.host else server.host
    main = f"unix:{server.unix_socket}" if server.unix_socket else f"{host}:{server.port}"
    return {
        # One socket of each for all workers: what waits on it is nobody's yet, and any of them takes it.
        "bind": [main] if settings.ops.port is None else [main, f"{host}:{settings.ops.port}"],
        "workers": server.workers,
        "worker_class": "gateway.cli.worker_process.WorkerProcess",
        "worker_tmp_dir": _memory_dir(),
        "timeout": _HEARTBEAT_TIMEOUT_SECONDS,
        "graceful_timeout": int(server.shutdown_grace) + _EXTRA_GRACE_SECONDS,
        "backlog": 1024,
        "loglevel": settings.log.level,
        "logger_class": "gateway.cli.worker_process.GunicornLog",
        "pre_fork": _take_slot,
        "child_exit": _forget_gauges,
        "control_socket_disable": True,
    }


def _take_slot(arbiter: Any, worker: Any) -> None:
    """Gives a worker the lowest free slot. Its metrics continue those of the dead worker that had the slot."""
    taken = {sibling.slot for sibling in arbiter.WORKERS.values()}
    worker.slot = next(slot for slot in count() if slot not in taken)
    # systemd removes what users have in /dev/shm when they log out (RemoveIPC=). Without it, no worker could start.
    with suppress(OSError):  # the worker says it
        Path(os.environ[_METRICS_DIR]).mkdir(mode=0o700, exist_ok=True)


def _forget_gauges(arbiter: Any, worker: Any) -> None:
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.slot)  # type: ignore[no-untyped-call]
