"""Many clients that ask for files of one page at the same time, before it has been judged."""

import asyncio
from collections.abc import Callable, Hashable, Mapping
from typing import Any, cast

import pytest

from gateway.cache.lru import MemoryLimit
from gateway.executors import PAGES
from gateway.index.screening import screen as screening
from gateway.index.screening.exceptions import Exceptions
from gateway.index.screening.screen import Screen
from gateway.index.screening.stored_exceptions import StoredExceptions
from gateway.index.simple.pages import File, Project
from gateway.policy.exceptions import PolicyException
from gateway.policy.release_policy import ReleasePolicy
from gateway.storage.base import Storage
from tests.support.eventually import eventually

NOW = 1_800_000_000.0
NAMES = [f"foo-{number}.0.tar.gz" for number in range(20)]
PAGE = Project("foo", (), tuple(File(name, "", modified=NOW - 1) for name in NAMES))


class Slow:
    """A FactSource that knows nothing, and waits before it says so."""

    name = "nothing"

    def __init__(self, *, heeds_names: bool) -> None:
        self.heeds_names = heeds_names
        self.asked = self.asking = 0
        self.go_on = asyncio.Event()

    def state(self) -> Mapping[str, object]:
        return {}

    def version(self, _: str) -> Hashable:
        return None

    async def about(self, page: Project, read: float, name: str | None = None) -> Mapping[str, Any]:
        self.asked += 1
        self.asking += 1
        await self.go_on.wait()
        self.asking -= 1
        return {}

    async def about_kept(self, _: str) -> Mapping[str, Any]:
        return {}

    async def start(self) -> None:
        """Nothing."""

    settle = close = start


def screen_of(source: Slow, exceptions: int = 0) -> Screen:
    known = [PolicyException("foo", f"=={number}.7", NOW + 1, "x", "ann") for number in range(exceptions)]
    stored = Exceptions(StoredExceptions(cast(Storage, None), ""), known)
    memory = MemoryLimit(1_000_000)
    return Screen(ReleasePolicy(7 * 86400.0), "https://pypi.org/simple/", [source], stored, memory, lambda: NOW)


async def herd(screen: Screen) -> "asyncio.Future[list[Project]]":
    asking = asyncio.gather(*(screen.page(PAGE, 0.0, name) for name in NAMES))
    await asyncio.sleep(0)
    return asking


async def test_a_page_is_judged_once_for_all_of_its_files() -> None:
    source = Slow(heeds_names=False)
    asking = await herd(screen_of(source))
    source.go_on.set()
    pages = await asking
    assert source.asked == 1
    assert all(page is pages[0] and set(page.verdicts) == set(NAMES) for page in pages)


async def test_a_large_page_is_judged_a_few_times_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what is known depends on which file is wanted."""
    monkeypatch.setattr(screening, "_LARGE", 10)
    source = Slow(heeds_names=True)
    asking = await herd(screen_of(source))
    await eventually(lambda: source.asking > 0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert source.asking == 8
    source.go_on.set()
    pages = await asking
    assert all(set(page.verdicts) == set(NAMES) for page in pages)
    assert source.asked == 8  # the others find what these have made


async def test_many_exceptions_for_a_project_do_not_hold_up_others(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[object] = []
    run = PAGES.run

    def counted(work: Callable[[], Any]) -> "asyncio.Future[Any]":
        used.append(work)
        return run(work)

    monkeypatch.setattr(PAGES, "run", counted)
    source = Slow(heeds_names=False)
    source.go_on.set()
    await screen_of(source).page(PAGE, 0.0)
    assert not used
    screen = screen_of(source, 100)
    await screen.page(PAGE, 0.0)
    await screen.verdicts(PAGE, 0.0)
    assert len(used) == 2
    await screen.verdict_on_copy("foo", PAGE.files[0])
    assert len(used) == 2
