"""`gateway serve`: serves in one process until a signal stops it."""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence

from gateway import executors
from gateway.app import Gateway
from gateway.cli import advice, ending, heap
from gateway.config.settings import Settings
from gateway.config.source import Source
from gateway.errors import CredentialsError, GatewayError
from gateway.ops import log as logs
from gateway.storage.base import Storage

log = logging.getLogger("gateway")


def run(
    settings: Settings,
    hints: Sequence[str] = (),
    *,
    source: Source | None = None,
    wait: Callable[[], object] = lambda: None,
    started: Callable[[Gateway], None] = lambda gateway: None,
    hung_up: Callable[[], bool] = lambda: False,
    ends: bool = True,
) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code. The settings have been read from `source`, and are read
    again after SIGHUP, also if that came before (`hung_up`). Logs `hints` first, then calls `wait`, which may take
    long. With `ends`, the process has nothing else to do afterwards. Raises ConfigError before anything is served."""
    heap.tune()
    logs.configure(settings.log)
    for hint in hints:
        log.warning("%s", hint)
    wait()  # here a signal ends it
    return asyncio.run(_serve(settings, source, started, hung_up, ends=ends))


async def _serve(
    settings: Settings,
    source: Source | None,
    started: Callable[[Gateway], None],
    hung_up: Callable[[], bool],
    *,
    ends: bool,
) -> int:
    executors.name_resolvers()
    gateway = Gateway(settings, source=source, settled=heap.freeze_anew)
    stopping = stop_on_signals()
    try:
        await gateway.start()
    except OSError as error:
        log.error("can't listen: %s; %s", error, advice.for_listening(error))
        return 1
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, gateway.hang_up)
    if hung_up():
        gateway.hang_up()
    heap.freeze()
    started(gateway)
    first_try = asyncio.create_task(try_storages(gateway))
    await stopping.wait()
    first_try.cancel()
    log.info("stopping: waiting up to %g s for requests in flight", settings.server.shutdown_grace)
    await gateway.stop()
    if ends:
        ending.end_soon(0)
    return 0


async def try_storages(gateway: Gateway) -> None:
    """Asks the storage of each mount once, and logs in one line what is wrong with it, before the first client finds
    out. Problems with a directory or with credentials were logged when the storage was started."""
    mounts = gateway.mounts.all
    names = {mount: f" of the mount {mount.name}" if len(mounts) > 1 else "" for mount in mounts}
    await asyncio.gather(*(_try_storage(mount.storage, name) for mount, name in names.items()))


async def _try_storage(storage: Storage, name: str) -> None:
    try:
        await storage.check()
    except GatewayError as error:
        if not isinstance(error, CredentialsError) and error.code != "FileSystem":
            what, hint = error.detail or error.public, advice.for_storage(error)
            why = f"{what}. {hint}" if hint else what
            log.error("the storage%s can't be used: %s; `gateway check` tells more", name, why)


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set. A second one of them ends the process at once."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        stopping.set()
        loop.remove_signal_handler(number)  # restores the default action

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    return stopping
