"""Work that waits holds up its own kind only."""

import ast
import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway import executors
from gateway.executors import AWS, CACHE, DISK, FOREIGN, HASH, LISTINGS, PAGES, Executor
from gateway.messages import ObjectRequest
from gateway.storage.local.storage import LocalStorage
from tests.support.eventually import eventually

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
    assert found == []


def busy(executor: Executor) -> tuple[int, int]:
    """How much work waits, and how much runs."""
    stats = executor.stats()
    return stats["waiting"], stats["running"]


async def test_mounts_take_turns() -> None:
    shared, done = Executor("shared", 1), list[str]()
    release = threading.Event()
    tasks: list[asyncio.Future[Any]] = [shared.run(release.wait, PATIENCE_SECONDS)]
    for mount, count in (("busy", 50), ("quiet", 2)):
        with executors.working_for(mount):
            tasks += [shared.run(done.append, mount) for _ in range(count)]
    assert busy(shared) == (52, 1)
    release.set()
    await asyncio.gather(*tasks)
    assert done[:4] == ["busy", "quiet", "busy", "quiet"]
    assert len(done) == 52
    await eventually(lambda: busy(shared) == (0, 0))


async def test_work_that_hangs_keeps_the_threads_of_its_mount_alone() -> None:
    disk = Executor("hanging", 2, each=True)
    release = threading.Event()
    with executors.working_for("hangs"):
        hanging = [disk.run(release.wait, PATIENCE_SECONDS) for _ in range(9)]
    for mount in ("b", "c"):
        with executors.working_for(mount):
            assert await asyncio.wait_for(disk.run(int, "7"), PATIENCE_SECONDS) == 7
    await eventually(lambda: busy(disk) == (7, 2))
    release.set()
    assert all(await asyncio.gather(*hanging))


async def test_a_name_server_that_is_silent_keeps_the_threads_of_its_mount_alone() -> None:
    executors.name_resolvers()
    loop, release = asyncio.get_running_loop(), threading.Event()
    with executors.working_for("hangs"):
        hanging = [loop.run_in_executor(None, release.wait, PATIENCE_SECONDS) for _ in range(40)]
    with executors.working_for("b"):
        assert await asyncio.wait_for(loop.getaddrinfo("localhost", 80), PATIENCE_SECONDS / 4)
    release.set()
    assert all(await asyncio.gather(*hanging))


async def test_cancelled_work_is_not_done_and_an_error_is_raised() -> None:
    own, done = Executor("cancelled", 1), list[int]()
    release = threading.Event()
    first = own.run(release.wait, PATIENCE_SECONDS)
    second, third = own.run(done.append, 2), own.run(done.append, 3)
    second.cancel()
    await asyncio.wait([second])
    await asyncio.sleep(0)  # the loop tells the thread's side
    release.set()
    await asyncio.gather(first, third)
    assert done == [3]
    with pytest.raises(ValueError, match="invalid literal"):
        await own.run(int, "x")


async def test_an_error_keeps_nothing_until_a_collection() -> None:
    """What was given to the work would be kept as long: files, and pieces of objects."""

    class Given:
        pass

    def fail(given: Given) -> None:
        raise ValueError

    own, given = Executor("failing", 1), Given()
    kept = weakref.ref(given)
    gc.disable()
    try:
        with suppress(ValueError):
            await own.run(fail, given)
        del given
        await own.run(int)  # the thread has let go of the work before
        assert kept() is None
    finally:
        gc.enable()
