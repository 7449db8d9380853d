"""Publishes release files, a few side by side, and says what became of each."""

import asyncio
import getpass
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from packaging.version import Version

from gateway.cli.changed import tell_gateways
from gateway.cli.index import opened_index
from gateway.cli.publish.destinations import AtGateway, Destination, InStorage, why
from gateway.cli.publish.prepared import Prepared, prepare
from gateway.cli.publish.progress import Progress, shown_progress
from gateway.cli.publish.report import Report
from gateway.cli.terminal import note
from gateway.config.settings import Settings
from gateway.errors import FileExistsConflictError, GatewayError
from gateway.index.status.build import statuses_in
from gateway.publish.condition.condition import Condition
from gateway.publish.publisher import Publisher
from gateway.publish.rules import Rules
from gateway.publish.static_pages.static_pages import static_pages_of

_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Wish:
    """`to` is the URL of a gateway, None for the storage. With `attestations`, those beside the files go along."""

    files: Sequence[Path]
    to: str | None = None
    user: str | None = None
    skip_existing: bool = False
    dry_run: bool = False
    as_json: bool = False
    attestations: bool = False


async def publish(settings: Settings, wish: Wish, write: Callable[[str], None]) -> int:
    """Returns the exit code: 0, 1, or CONFLICT. Raises ConfigError for settings that can't be used."""
    rules = Rules.without(settings.publish.skip_rules)
    report = Report(write, as_json=wish.as_json, skip_existing=wish.skip_existing)
    good, bad = await prepare(wish.files, rules, attestations=wish.attestations)
    for path, reason in bad.items():
        report.say(path.name, "refused", reason)
    if bad or wish.dry_run:
        for prepared in good:
            report.say(prepared.path.name, "in order" if wish.dry_run else "not sent", "")
        return report.code
    try:
        async with _destination(settings, wish, rules) as destination:
            with shown_progress(good, quiet=wish.as_json) as progress:
                wheels = [prepared for prepared in good if prepared.release.is_wheel]
                lacking = await _send(destination, wheels, report, progress)
                sdists = [prepared for prepared in good if not prepared.release.is_wheel]
                for prepared in sdists:
                    if _release(prepared) in lacking:  # whoever installs it would build from the sdist
                        report.say(prepared.path.name, "not sent", "a wheel of the release is not there")
                whole = [prepared for prepared in sdists if _release(prepared) not in lacking]
                await _send(destination, whole, report, progress)
    except GatewayError as error:
        note(f"gateway publish: {why(error)}")
        return 1
    return report.code


async def _send(
    destination: Destination, files: Sequence[Prepared], report: Report, progress: Progress
) -> set[tuple[str, Version]]:
    """The releases of which a file could not be sent."""
    slots, lacking = asyncio.Semaphore(_AT_ONCE), set[tuple[str, Version]]()

    async def send(prepared: Prepared) -> None:
        async with slots:
            try:
                new = await destination.send(prepared, progress)
                report.say(prepared.path.name, "published" if new else "there already", "")
            except FileExistsConflictError as error:
                report.say(prepared.path.name, "conflict", why(error))
            except (GatewayError, OSError) as error:
                report.say(prepared.path.name, "failed", why(error))
                lacking.add(_release(prepared))

    await asyncio.gather(*map(send, files))
    return lacking


def _release(prepared: Prepared) -> tuple[str, Version]:
    return prepared.release.project, prepared.release.version


@asynccontextmanager
async def _destination(settings: Settings, wish: Wish, rules: Rules) -> AsyncIterator[Destination]:
    """Raises GatewayErrors and ConfigError."""
    if wish.to is not None:
        password = _password() if wish.user is not None else ""
        async with aiohttp.ClientSession() as session:
            yield AtGateway(session, wish.to, wish.user, password)
        return
    async with opened_index(settings) as (mount, catalog):
        condition = Condition(mount.storage, unsafe=settings.publish.unsafe)
        # A project is archived for everybody, whatever these settings say of gateways.
        statuses = statuses_in(settings, mount.storage, mount.resources)
        try:
            pages = static_pages_of(settings, mount.storage, mount.root)
            publisher = Publisher(mount.storage, catalog, mount.root, rules, pages, statuses)
            destination = InStorage(publisher, condition, rules, _name())
            try:
                yield destination
            finally:  # also if the command is ended
                for project in sorted(destination.published):
                    told = await tell_gateways(settings, mount.storage, project)
                    note(f"{project}: {told}")
        finally:
            await statuses.close()
            await condition.close()


def _name() -> str:
    """Of whoever runs this, as the system knows them; empty if it does not."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the user of a container may have no name
        return ""


def _password() -> str:
    """From the environment, a prompt, or standard input."""
    given = os.environ.get("GATEWAY_PASSWORD")
    if given is not None:
        return given
    if sys.stdin.isatty():
        return getpass.getpass(stream=sys.stderr)
    return sys.stdin.readline().rstrip("\n")
