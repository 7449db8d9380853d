"""Tries the configuration step by step: where to listen, then each mount."""

from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.app import Gateway
from gateway.cli import advice, workers
from gateway.cli.check.mount import Told, check_mount
from gateway.cli.options.mount import members_of, named
from gateway.config.settings import Settings
from gateway.errors import ConfigError, Problem
from gateway.executors import DISK
from gateway.server.listener import bind, bind_tcp, url_of

Write = Callable[[str], None]


async def run(settings: Settings, write: Write, *, writing: bool = False, mount: str | None = None) -> int:
    """Writes lines for a person, about all mounts or about one. `writing` tries whether files can be published safely.
    Returns 0 if all is well, else 1. Raises ConfigError for settings that `gateway serve` would refuse."""
    asked = _asked(settings, mount)
    mounts = {one.name: one for one in Gateway(settings).mounts.all}
    if settings.server.workers > 1:
        workers.check_installed()
    well = await _check_listening(settings, write)
    told = Told()
    failed, problems = list[str](), list[Problem]()
    for one in asked:
        if settings.mounts:
            write("")
            write(_title(one))
        if one.mount.members:
            continue
        try:
            if not await check_mount(one, mounts[one.mount.name], told, write, writing=writing):
                failed.append(one.mount.name)
        except ConfigError as error:  # the other mounts are checked all the same
            problems += error.problems
            failed.append(one.mount.name)
    if settings.mounts:
        write("")
        if failed:
            write(f"FAIL  mounts       {', '.join(failed)}")
    if problems:
        raise ConfigError(problems)
    if failed or not well:
        return 1
    write("ok    all is well")
    return 0


def _asked(settings: Settings, name: str | None) -> Sequence[Settings]:
    """The settings of the mounts to check: of all, or of one, with its members. Raises ConfigError."""
    if name is None:
        return settings.all_mounts
    mount = named(settings, name)
    return [mount, *members_of(settings, mount)]


def _title(settings: Settings) -> str:
    mount = settings.mount
    members = f": {', '.join(mount.members)}" if mount.members else ""
    return f"mount {mount.name} at {mount.host + settings.server.base_path}/{members}"


async def _check_listening(settings: Settings, write: Write) -> bool:
    """Whether the addresses at which `gateway serve` would listen can be bound; releases them again."""
    server, ops = settings.server, settings.ops
    try:
        with bind(server) as listener:
            if server.unix_socket is not None:
                await DISK.run(Path(server.unix_socket).unlink)
            address = url_of(listener, tls=server.tls_cert is not None)
            if ops.port is not None:
                bind_tcp(server.host, ops.port).close()
    except OSError as error:
        write(f"FAIL  can't listen: {error}")
        hint = advice.for_listening(error)
        write(f"      {hint[0].upper()}{hint[1:]}.")
        return False
    write(f"ok    listening    {address}")
    return True
