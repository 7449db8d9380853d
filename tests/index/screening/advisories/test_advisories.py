"""Advisories that are kept up to date: from a server and from a file, by one gateway and by several."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.config.policy.settings import AdvisorySettings
from gateway.errors import UpstreamError
from gateway.index.screening.advisories.advisories import Advisories
from gateway.index.screening.advisories.build import build_advisories
from gateway.index.simple.pages import Project
from tests.support.advisories import MAL, AdvisoryServer, archive, malware
from tests.support.eventually import eventually

ONE, TWO = archive(malware("x", "1")), archive(malware("x", "1", "2"), malware("y", "1"), {"id": ""})
Build = Callable[..., Advisories]


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def server() -> AsyncIterator[AdvisoryServer]:
    async with AdvisoryServer(ONE).running() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def build(clock: Clock, tmp_path: Path) -> AsyncIterator[Build]:
    built = list[Advisories]()

    def build(source: object, cache: Path | None = tmp_path / "cache") -> Advisories:
        one = build_advisories(AdvisorySettings(source=str(source)), cache, [])
        one._clock = clock
        built.append(one)
        return one

    yield build
    for one in built:
        await one.close()


async def versions(advisories: Advisories, project: str = "x") -> list[str] | None:
    """Those that are affected; None if that isn't known."""
    found = (await advisories.about(Project(project, (), ()), 0.0))["advisories"]
    return sorted(str(version) for one in found for version in one.versions) if found is not None else None


def leftovers(directory: Path) -> set[str]:
    return {file.name.rpartition(".")[2] for file in (directory / "advisories").iterdir()}


@pytest.mark.parametrize("kept", [True, False])
async def test_a_server_is_asked_by_etag(
    build: Build, server: AdvisoryServer, clock: Clock, tmp_path: Path, kept: bool, caplog: pytest.LogCaptureFixture
) -> None:
    advisories = build(server.url, tmp_path if kept else None)
    assert await versions(advisories) is None
    before = advisories.version("x")
    assert await advisories.look() == 3600
    assert await versions(advisories) == ["1"]
    assert advisories.version("x") != before
    clock.now += 3599
    assert await advisories.look() == 1
    assert server.conditions == [None]
    clock.now += 1
    now = advisories.version("x")
    assert advisories.stats().age == 3600
    assert await advisories.look() == 3600
    assert server.conditions == [None, '"1"']
    assert advisories.stats().age == 0
    assert advisories.version("x") == now
    server.content, server.etag = TWO, '"2"'
    clock.now += 3600
    await advisories.look()
    assert await versions(advisories) == ["1", "2"]
    assert await versions(advisories, "y") == ["1"]
    assert advisories.version("x") != now
    stats = advisories.stats()
    assert (stats.advisories, stats.projects, stats.unreadable, stats.failure) == (2, 2, 1, "")
    assert caplog.text.count("1 advisories can't be read, and are left out; the first: it has no id") == 1
    if kept:
        assert leftovers(tmp_path) == {"sqlite", "lock"}


async def test_what_fails_leaves_the_last_good_one_in_force(
    build: Build, server: AdvisoryServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.policy")
    advisories = build(server.url)
    server.status = 503
    assert [await advisories.look() for _ in range(9)] == [5, 10, 20, 40, 80, 160, 320, 600, 600]
    assert caplog.text.count("all.zip can't be read, so no advisories are known: its server answers 503") == 1
    assert await versions(advisories) is None
    assert advisories.stats().failure == "its server answers 503"
    server.status = 200
    assert await advisories.look() == 3600
    assert "all.zip can be read again." in caplog.text
    server.status = 404
    clock.now += 7200
    assert await advisories.look() == 5
    assert "advisories that were up to date 2.0 hours ago stay in force: its server answers 404" in caplog.text
    assert await versions(advisories) == ["1"]
    assert advisories.stats().age == 7200
    clock.now += 3600
    await advisories.look()
    assert caplog.text.count("answers 404") == 2, "it is told once an hour"
    clock.now += 10
    again = build(server.url)
    await again.start()
    assert await versions(again) == ["1"], "also after a restart"
    assert again.stats().age == 10810


async def test_a_command_waits_until_they_are_known(build: Build, server: AdvisoryServer) -> None:
    advisories = build(server.url)
    assert advisories.state() == {"source": server.url, "advisories": None, "unreadable": None}
    server.status = 503
    with pytest.raises(UpstreamError, match=r"no advisories are known: .*: its server answers 503"):
        await advisories.settle()
    assert advisories.state()["failure"] == "its server answers 503"
    server.status = 200
    await advisories.settle()
    assert advisories.state() == {"source": server.url, "advisories": 1, "unreadable": 0, "age_seconds": 0}


async def test_an_archive_that_can_t_be_read_is_not_read_twice(
    build: Build, server: AdvisoryServer, clock: Clock
) -> None:
    advisories = build(server.url)
    await advisories.look()
    server.content, server.etag = b"no archive", '"2"'
    clock.now += 3600
    assert await advisories.look() == 5
    assert await advisories.look() == 10
    assert server.conditions == [None, '"1"', '"2"']
    assert await versions(advisories) == ["1"]
    assert "zip" in advisories.stats().failure
    server.content, server.etag = TWO, '"3"'
    await advisories.look()
    assert await versions(advisories) == ["1", "2"]
    assert advisories.stats().failure == ""


@pytest.mark.parametrize(("etag", "asked"), [("", None), ('"a b"', None), ("unquoted", None), ('W/"x"', 'W/"x"')])
async def test_odd_etags(build: Build, server: AdvisoryServer, clock: Clock, etag: str, asked: str | None) -> None:
    advisories = build(server.url)
    server.etag = etag
    await advisories.look()
    clock.now += 3600
    server.content = TWO
    await advisories.look()
    assert server.conditions == [None, asked]
    assert await versions(advisories) == (["1"] if asked else ["1", "2"])


async def test_gateways_with_the_same_directory_read_it_once(
    build: Build, server: AdvisoryServer, clock: Clock
) -> None:
    one, other = build(server.url), build(server.url)
    server.hold = asyncio.Event()
    first = asyncio.ensure_future(one.look())
    await eventually(lambda: len(server.conditions) == 1)
    assert await other.look() == 1
    assert await versions(other) is None
    server.hold.set()
    await first
    assert await other.look() == 3600
    assert await versions(other) == ["1"]
    assert len(server.conditions) == 1
    clock.now += 3600
    await one.look()
    assert await other.look() == 3600
    assert len(server.conditions) == 2
    assert other.stats().age == 0


async def test_mounts_of_a_process_share_it_too_and_so_does_one_after_a_reload(
    build: Build, server: AdvisoryServer
) -> None:
    one, other, unlike = build(server.url, None), build(server.url, None), build(f"{server.url}?x=secret", None)
    await one.look()
    await other.start()
    assert await versions(other) == ["1"]
    assert await versions(unlike) is None
    assert "secret" not in unlike.stats().source
    await one.close()
    assert await versions(other) == ["1"]
    assert len(server.conditions) == 1


async def test_a_start_waits_for_nothing_and_a_close_ends_all(
    build: Build, server: AdvisoryServer, tmp_path: Path
) -> None:
    server.hold = asyncio.Event()
    advisories = build(server.url)
    await advisories.start()
    await eventually(lambda: len(server.conditions) == 1)
    assert await versions(advisories) is None
    await advisories.close()
    again = build(server.url)
    assert (await asyncio.to_thread(again._shelf.take_turn)) is not None, "nobody has the turn any more"
    assert leftovers(tmp_path / "cache") == {"lock"}


async def test_a_database_that_is_damaged_is_made_again(
    build: Build, server: AdvisoryServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    advisories = build(server.url)
    await advisories.look()
    (file,) = (tmp_path / "cache" / "advisories").glob("*.sqlite")
    with file.open("r+b") as content:  # in place: the one that is open
        content.seek(4096)
        content.write(b"\xff" * (os.path.getsize(file) - 4096))
    assert await versions(advisories) is None
    assert "the database of advisories is damaged" in caplog.text
    await advisories.look()
    assert await versions(advisories) == ["1"]
    file.write_bytes(b"damaged before it is opened")
    again = build(server.url)
    await again.start()
    await eventually(lambda: again.stats().advisories is not None)
    assert await versions(again) == ["1"]


async def test_a_directory_that_somebody_has_cleared(
    build: Build, server: AdvisoryServer, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    advisories = build(server.url, tmp_path)
    await advisories.look()
    for file in (tmp_path / "advisories").iterdir():
        file.unlink()
    clock.now += 3600
    assert await advisories.look() == 3600  # the server has nothing new
    assert (await versions(advisories), advisories.stats().age, advisories.stats().failure) == (["1"], 0, "")
    assert not caplog.records


async def test_a_directory_that_can_t_be_written(build: Build, server: AdvisoryServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    advisories = build(server.url, tmp_path / "file")
    await advisories.start()
    assert await advisories.look() > 0
    assert advisories.stats().failure in ("Not a directory", "File exists")


async def test_a_file_is_followed(build: Build, clock: Clock, tmp_path: Path) -> None:
    file = tmp_path / "all.zip"
    file.write_bytes(ONE)
    os.utime(file, (clock.now - 60, clock.now - 60))
    advisories = build(f"file:{file}")
    assert await advisories.look() == 5
    assert await versions(advisories) == ["1"]
    assert advisories.stats().age == 60
    now = advisories.version("x")
    await advisories.look()
    assert advisories.version("x") == now
    file.write_bytes(TWO)
    await advisories.look()
    assert await versions(advisories) == ["1"], "somebody may still be writing it"
    await advisories.look()
    assert await versions(advisories) == ["1", "2"]
    file.write_bytes(TWO[:-100])
    await advisories.look()
    assert await advisories.look() == 5
    assert "cut short" in advisories.stats().failure
    assert await advisories.look() == 10
    file.unlink()
    await advisories.look()
    await advisories.look()
    assert advisories.stats().failure == "No such file or directory"
    assert await versions(advisories) == ["1", "2"]
    other = tmp_path / "other.zip"
    other.write_bytes(archive(MAL))
    other.rename(file)
    await advisories.look()
    await advisories.look()
    assert await versions(advisories, "litellm") == ["1.82.7", "1.82.8"]
    assert await versions(advisories) == []
