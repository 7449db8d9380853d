"""Work that waits holds up its own kind only."""

import ast
import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway import executors
from gateway.executors import AWS, CACHE, DISK, FOREIGN, HASH, LISTINGS, PAGES, Executor
from gateway.messages import ObjectRequest
from gateway.storage.local.storage import LocalStorage

KINDS = [DISK, CACHE, HASH, PAGES, LISTINGS, FOREIGN, AWS]
PATIENCE_SECONDS = 20
# Of the tests' own, to wait in.
OWN = Executor("tests", 1)


@asynccontextmanager
async def blocked(*kinds: Executor) -> AsyncIterator[None]:
    """All threads of these kinds wait, each for work that has begun."""
    release = threading.Event()
    begun = threading.Barrier(sum(kind.threads for kind in kinds) + 1)

    def wait() -> None:
        begun.wait(PATIENCE_SECONDS)
        release.wait(PATIENCE_SECONDS)

    waiting = [kind.run(wait) for kind in kinds for _ in range(kind.threads)]
    try:
        await OWN.run(begun.wait, PATIENCE_SECONDS)
        yield
    finally:
        release.set()
        await asyncio.gather(*waiting)


def test_each_kind_has_threads_of_its_own() -> None:
    assert len({id(kind._pool) for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("free", KINDS)
async def test_one_kind_goes_on_while_all_others_are_blocked(free: Executor) -> None:
    async with blocked(*[kind for kind in KINDS if kind is not free]):
        assert await asyncio.wait_for(free.run(int, "7"), PATIENCE_SECONDS) == 7


async def test_names_are_resolved_while_all_kinds_are_blocked() -> None:
    executors.name_resolvers()
    async with blocked(*KINDS):
        found = await asyncio.wait_for(asyncio.get_running_loop().getaddrinfo("localhost", 80), PATIENCE_SECONDS)
    assert found


async def test_files_are_served_while_whole_files_are_hashed_and_others_content_is_parsed(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("root page")
    async with blocked(CACHE, HASH, PAGES, FOREIGN, AWS):
        stream = await asyncio.wait_for(
            LocalStorage(tmp_path).fetch(ObjectRequest("GET", "index.html")), PATIENCE_SECONDS
        )
    assert stream.content == b"root page"


def test_nothing_runs_in_the_threads_that_resolve_names() -> None:
    """The default executor is theirs."""
    found = []
    for path in (Path(__file__).parent.parent / "gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("to_thread", "run_in_executor"):
                found.append(path.name)
    assert found == ["executors.py"]
