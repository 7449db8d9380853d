"""What is known of the files of projects, when the process ends."""

import asyncio
from math import inf

import pytest

from gateway.cache.lru import MemoryLimit
from gateway.errors import UpstreamError
from gateway.index.screening.seen_records import SeenRecords
from gateway.index.simple.pages import File, Project
from gateway.policy.seen import from_bytes
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


class Refusing:
    """A store that takes nothing while it `refuses`."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.tried: list[str] = []
        self.refuses = True

    async def read(self, project: str) -> tuple[bytes, str | None]:
        return self.documents.get(project, b""), None

    async def write(self, project: str, document: bytes, etag: str | None) -> None:
        self.tried.append(project)
        if self.refuses:
            raise UpstreamError("not now")
        self.documents[project] = document


async def test_what_was_not_saved_counts_when_memory_has_lost_it_and_is_saved_at_the_end() -> None:
    store, day = Refusing(), 86400.0
    records = SeenRecords([store], MemoryLimit(1))  # too little for a record
    names = ["one", "two"]
    for name in names:
        await records.look(Project(name, (), ()), 10 * day)
    await eventually(lambda: len(store.tried) == 2)
    for name in names:
        forged = File(f"{name}-1.0.tar.gz", "", modified=day)
        record, listed = await records.look(Project(name, (), (forged,)), 12 * day)
        assert [*record.seen(listed).values()] == [12 * day]
    await eventually(lambda: [known.size for known, _ in records._saved._unsaved.values()] == [1, 1])
    store.refuses = False
    await records.close()
    for name in names:
        found = from_bytes(store.documents[name], inf)
        assert found is not None
        assert (found.first, found.size) == (10 * day, 1)


async def test_after_a_failure_one_is_tried_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.index.screening.saved_records._AGAIN_SECONDS", 0.0)
    store = Refusing()
    records = SeenRecords([store], MemoryLimit(1_000_000))
    names = {f"project{number}" for number in range(20)}
    for name in sorted(names):
        await records.look(Project(name, (), ()), 1_700_000_000.0)
    await eventually(lambda: set(store.tried) == names and len(store.tried) > 100)
    assert {*store.tried[-40:]} == names, "each has its turn"
    store.refuses = False
    await eventually(lambda: store.documents.keys() == names)
    tried = len(store.tried)
    await records.close()
    assert len(store.tried) == tried, "nothing was left"
