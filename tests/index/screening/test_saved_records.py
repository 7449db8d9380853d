"""What is known of the files of projects, when the process ends."""

import asyncio

import pytest

from gateway.cache.lru import MemoryLimit
from gateway.index.screening.seen_records import SeenRecords
from gateway.index.simple.pages import File, Project
from tests.support.eventually import eventually


class Hanging:
    """A store that takes documents, but never says so."""

    def __init__(self) -> None:
        self.writing: list[str] = []

    async def read(self, project: str) -> tuple[bytes, str | None]:
        return b"", None

    async def write(self, project: str, document: bytes, etag: str | None) -> None:
        self.writing.append(project)
        await asyncio.Event().wait()


async def test_a_storage_that_hangs_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.index.screening.saved_records._CLOSE_SECONDS", 0.01)
    records = SeenRecords([Hanging()], MemoryLimit(1_000_000))
    for name in ("one", "two"):
        await records.look(Project(name, (), ()), 1_700_000_000.0)
    async with asyncio.timeout(20):
        await records.close()
    assert caplog.messages == ["what is known of the files of projects could not be saved in time: 2"]


async def test_what_many_projects_have_is_remembered_before_it_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client with a long lock file asks for hundreds of projects within seconds. What appears later is new, whatever
    the index says."""
    monkeypatch.setattr("gateway.index.screening.saved_records._CLOSE_SECONDS", 0.01)
    records, day = SeenRecords([Hanging()], MemoryLimit(1_000_000)), 86400.0
    names = [f"project{number}" for number in range(300)]
    for name in names:
        await records.look(Project(name, (), ()), 10 * day)
    for name in names:
        forged = File(f"{name}-1.0.tar.gz", "", modified=day)
        record, listed = await records.look(Project(name, (), (forged,)), 12 * day)
        assert [*record.seen(listed).values()] == [12 * day]
    await records.close()


async def test_small_ones_are_saved_some_at_once_and_large_ones_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.index.screening.saved_records._CLOSE_SECONDS", 0.01)
    monkeypatch.setattr("gateway.index.screening.saved_records._LARGE", 0)
    store, file = Hanging(), File("x-1.0.tar.gz", "")
    records = SeenRecords([store], MemoryLimit(1_000_000))
    for number in range(20):
        await records.look(Project(f"large{number}", (), (file,)), 1_700_000_000.0)
        await records.look(Project(f"small{number}", (), ()), 1_700_000_000.0)
    await eventually(lambda: len(store.writing) >= 9, lambda: store.writing)
    assert sum(name.startswith("small") for name in store.writing) == 8
    assert sum(name.startswith("large") for name in store.writing) == 1
    await records.close()
