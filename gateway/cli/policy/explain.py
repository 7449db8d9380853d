"""`gateway policy explain`: what the policy decides about the files of a project, and why."""

from collections.abc import Callable

from packaging.version import Version

from gateway.cli.policy.judging import judging
from gateway.cli.terminal import note
from gateway.config.settings import Settings
from gateway.errors import GatewayError
from gateway.policy.facts import version_of
from gateway.policy.verdict import ALLOWED, day


async def explain(settings: Settings, project: str, version: Version | None, write: Callable[[str], None]) -> int:
    """Returns the exit code. Raises ConfigError for settings that can't be used."""
    try:
        async with judging(settings) as asked:
            found = await asked.project(project)
    except GatewayError as error:
        note(f"gateway policy explain: {error.detail or error.public}")
        return 1
    if found.ours:
        write(f"{project} is not looked up in {settings.fallback.base_url}: it is yours, or fallback.disallow names it")
        return 0
    files = [file for file in found.files if version is None or version_of(file.name) == version]
    for file in files:
        verdict = found.verdicts.get(file.name, ALLOWED)
        since = f", uploaded {day(file.modified)}" if file.modified is not None else ", of no known age"
        by = f" ({verdict.by})" if verdict.by not in verdict.reason else ""
        why = f": {verdict.reason}{by}" if verdict.by else ""
        opens = f", held until {day(verdict.opens)}" if verdict.withholds and verdict.opens is not None else ""
        write(f"{verdict.action.value:5} {file.name}{since}{opens}{why}")
    if not files:
        place = settings.fallback.base_url if settings.fallback.mode != "none" else "the storage"
        write(f"{place} has no {project}{f' {version}' if version is not None else ''}")
    return 0
