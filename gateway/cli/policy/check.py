"""`gateway policy check`: whether everything that a lock file demands may come in."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.cli.policy.judging import Judged, judging
from gateway.cli.policy.lock_file import MOST_BYTES, Demand, demands
from gateway.cli.terminal import note
from gateway.config.settings import Settings
from gateway.errors import GatewayError
from gateway.policy.facts import version_of

_AT_ONCE = 8


async def check(settings: Settings, file: Path, write: Callable[[str], None]) -> int:
    """Returns the exit code. Raises ConfigError for settings that can't be used."""
    try:
        with file.open("rb") as opened:
            wanted = demands(file.name, opened.read(MOST_BYTES + 1))
    except OSError as error:
        note(f"gateway policy check: {file} can't be read: {error.strerror}")
        return 2
    except ValueError as error:
        note(f"gateway policy check: {file} can't be understood: {error}")
        return 2
    at_once = asyncio.Semaphore(_AT_ONCE)
    try:
        async with judging(settings) as asked:

            async def judged(project: str) -> Judged:
                async with at_once:
                    return await asked.project(project)

            projects = list(dict.fromkeys(demand.project for demand in wanted))
            found = dict(zip(projects, await asyncio.gather(*map(judged, projects)), strict=True))
    except GatewayError as error:
        note(f"gateway policy check: {error.detail or error.public}")
        return 1
    place = "the other index" if settings.fallback.mode != "none" else "the storage"
    refusals = [line for demand in wanted for line in _refusals(demand, found[demand.project], place)]
    for line in refusals:
        write(line)
    said = f"{len(refusals)} may not come in" if refusals else "all may come in"
    write(f"{len(wanted)} release{'' if len(wanted) == 1 else 's'}: {said}")
    return 1 if refusals else 0


def _refusals(demand: Demand, found: Judged, place: str) -> Iterator[str]:
    """What is wrong with a demand. One that names files needs all of them, because an installer may choose any; others
    need one that is let in."""
    if found.ours:
        return
    fitting = [
        file
        for file in found.files
        if (version := version_of(file.name)) is not None and demand.versions.contains(version, prereleases=True)
    ]
    if demand.files:
        listed = {file.name for file in fitting}
        for name in sorted(demand.files):
            verdict = found.verdicts.get(name)
            if name not in listed:
                yield f"{name} is not in {place}"
            elif verdict is not None and verdict.withholds:
                yield f"{name} {verdict}"
        return
    withheld = [found.verdicts[file.name] for file in fitting if file.name in found.verdicts]
    withheld = [verdict for verdict in withheld if verdict.withholds]
    if not fitting:
        yield f"{demand} is not in {place}"
    elif len(withheld) == len(fitting):
        yield f"{demand} {withheld[0]}"
