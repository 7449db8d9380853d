"""What the policy costs, in this process."""

import asyncio
from collections.abc import Iterator
from typing import cast

from gateway.cache.lru import MemoryLimit
from gateway.index.screening.exceptions import Exceptions
from gateway.index.screening.screen import Screen
from gateway.index.screening.seen_records import SeenRecords
from gateway.index.screening.stored_exceptions import StoredExceptions
from gateway.index.simple.pages import File, Project
from gateway.policy.release_policy import ReleasePolicy
from gateway.storage.base import Storage
from tests.bench.measure import each

_DAY = 86400.0
_NOW = 1_800_000_000.0


def costs() -> Iterator[tuple[str, float, float | None]]:
    """What, microseconds for one, and how many it may take."""
    files = tuple(
        File(
            f"project-1.{number // 10}-cp3{number % 10}-cp3{number % 10}-manylinux_2_17_x86_64.whl",
            "https://files.example/x",
            size=1000,
            modified=_NOW - number * _DAY,
            hashes={"sha256": f"{number:064x}"},
        )
        for number in range(1000)
    )
    memory = MemoryLimit(64 * 1024 * 1024)
    exceptions = Exceptions(StoredExceptions(cast(Storage, None), ""), [])
    policy = ReleasePolicy(min_age=7 * _DAY)
    screen = Screen(policy, "https://pypi.org/simple/", [SeenRecords([], memory)], exceptions, memory, lambda: _NOW)
    with asyncio.Runner() as runner:

        async def screen_one() -> None:
            await screen.page(Project("project", (), files), 0.0)

        def screened() -> None:
            runner.run(screen_one())

        screened()  # the first page of a project, of which all files are remembered
        yield "policy, a page of 1,000 files, once for each version of the page", each(screened, 100), 2000
