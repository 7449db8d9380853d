"""`gateway policy allow`, `revoke` and `list`: the exceptions in the storage of the settings."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gateway.cli.index import opened_mount
from gateway.cli.terminal import note
from gateway.config.settings import Settings
from gateway.errors import GatewayError
from gateway.index.screening.settings import exceptions_of
from gateway.index.screening.stored_exceptions import StoredExceptions
from gateway.policy.exceptions import PolicyException, having, without
from gateway.policy.verdict import day

_SEEN = "Gateways heed it within some 5 seconds"


async def allow(settings: Settings, one: PolicyException, write: Callable[[str], None]) -> int:
    """Returns the exit code, as the others do. Raises ConfigError for settings that can't be used."""
    try:
        async with _stored(settings) as stored:
            await stored.change(lambda known: having(known, one, time.time()))
    except GatewayError as error:
        return _refused("allow", error)
    write(f"{_line(one)}. {_SEEN}")
    _hint(settings)
    return 0


async def revoke(settings: Settings, about: str, write: Callable[[str], None]) -> int:
    """`about` is as in PolicyException."""
    found = list[PolicyException]()
    try:
        async with _stored(settings) as stored:
            read = await stored.read()
            found = [one for one in read[0] if one.about == about] if read is not None else []
            if found:
                await stored.change(lambda known: without(known, about, time.time()))
    except (GatewayError, ValueError) as error:
        return _refused("revoke", error)
    if not found:
        note(f"gateway policy revoke: there is no exception for {about} in the storage; see gateway policy list")
        return 1
    write(f"There is no exception for {about} any more. {_SEEN}")
    return 0


async def listed(settings: Settings, write: Callable[[str], None]) -> int:
    try:
        async with _stored(settings) as stored:
            read = await stored.read()
    except (GatewayError, ValueError) as error:
        return _refused("list", error)
    for one in exceptions_of(settings.policy):
        write(f"{_line(one)} (in the settings)")
    for one in read[0] if read is not None else ():
        write(_line(one))
    return 0


@asynccontextmanager
async def _stored(settings: Settings) -> AsyncIterator[StoredExceptions]:
    async with opened_mount(settings, cached=False) as mount:
        yield StoredExceptions(mount.storage, mount.root)


def _line(one: PolicyException) -> str:
    over = " (over)" if one.until <= time.time() else ""
    return f"{one.about} is let in until {day(one.until)}{over}, by {one.author}: {one.reason}"


def _hint(settings: Settings) -> None:
    if not settings.policy.decides:
        note("These settings have no policy, so that everything is let in")


def _refused(part: str, error: Exception) -> int:
    why = (error.detail or error.public) if isinstance(error, GatewayError) else error
    note(f"gateway policy {part}: {why}")
    return 1
