"""What is kept of a fill: never an object that may have been overtaken by another."""

import asyncio
import fcntl
import threading
from pathlib import Path

import pytest

from gateway.cache.disk.blocks import BlockHasher
from gateway.cache.disk.cache import DiskCache
from gateway.cache.disk.temp_entry import TempEntry
from gateway.cache.fill import Claim
from gateway.cache.fills import Fills
from gateway.cache.memory import CachedObject
from gateway.transfer.parallel import MemoryBudget
from tests.support.eventually import eventually
from tests.support.fills import (
    BODY,
    DISK_BYTES,
    KEY,
    Answer,
    Kept,
    NoSource,
    body_of,
    on_disk_now,
    parts_of,
    stats,
)


async def finished(fills: Fills, claim: Claim, answer: Answer) -> None:
    """Reads the claim's body to its end, and waits until no fill is left."""
    reading = asyncio.ensure_future(body_of(parts_of(claim)))
    answer.go_on.set()
    assert await reading == BODY
    await eventually(lambda: stats(fills) == (0, 0))


async def test_what_is_forgotten_meanwhile_is_for_those_who_have_asked_and_is_not_kept(
    on_disk: Fills, disk: DiskCache, kept: Kept
) -> None:
    on_disk.forget("unknown")
    old, other = Answer().at_once(), Answer().at_once()
    claim, bystander = on_disk.claim(KEY, old), on_disk.claim("another", other)
    await claim.head()
    await bystander.head()
    on_disk.forget(KEY)
    assert (on_disk.asking(KEY), on_disk.flowing(KEY)) == (False, None)
    assert on_disk.flowing("another") is bystander.fill
    new = on_disk.claim(KEY, Answer())
    assert new.fill is not claim.fill
    assert (claim.fill.current, new.fill.current, stats(on_disk)) == (False, True, (3, 3))
    with new:
        pass
    with bystander:
        pass
    await finished(on_disk, claim, old)
    assert (kept.heard, on_disk_now(disk)) == ([], None)


async def test_of_two_fills_that_run_the_later_one_is_kept(on_disk: Fills, disk: DiskCache, kept: Kept) -> None:
    old, new = Answer('"old"').at_once(), Answer('"new"').at_once()
    first = on_disk.claim(KEY, old)
    await first.head()
    on_disk.expire()
    assert first.fill.current, "as long as nobody else asks"
    second = on_disk.claim(KEY, new)
    await second.head()
    assert (first.fill.current, second.fill.current) == (False, True)
    reading = asyncio.gather(body_of(parts_of(first)), body_of(parts_of(second)))
    new.go_on.set()
    await eventually(lambda: bool(kept.heard))
    old.go_on.set()
    assert {*await reading} == {BODY}
    await eventually(lambda: stats(on_disk) == (0, 0))
    assert kept.heard == [(KEY, new.found)]
    entry = disk.find(KEY)
    assert entry is not None
    assert entry.header.etag == '"new"'


async def test_requests_after_expire_ask_again_and_what_runs_is_kept(on_disk: Fills, kept: Kept) -> None:
    answer, other = Answer().at_once(), Answer()
    claim, asking = on_disk.claim(KEY, answer), on_disk.claim("another", other)
    await claim.head()
    on_disk.expire()
    assert [(on_disk.asking(key), on_disk.flowing(key)) for key in (KEY, "another")] == [(False, None)] * 2
    with asking:
        pass
    await finished(on_disk, claim, answer)
    assert kept.heard == [(KEY, answer.found)]


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize(("noted", "keeps"), [('"1"', True), ('"2"', False)])
async def test_what_a_listing_shows_another_version_of_is_not_kept(
    on_disk: Fills, disk: DiskCache, kept: Kept, noted: str, answered: bool, keeps: bool
) -> None:
    on_disk.note("unknown", '"2"')
    answer = Answer()
    claim = on_disk.claim(KEY, answer)
    if not answered:
        on_disk.note(KEY, noted)
    answer.at_once()
    await claim.head()
    on_disk.note("another", '"2"')
    if answered:
        on_disk.note(KEY, noted)
    assert on_disk.asking(KEY) == (on_disk.flowing(KEY) is not None) == keeps
    await finished(on_disk, claim, answer)
    assert [key for key, _ in kept.heard] == [KEY] * keeps
    assert on_disk_now(disk) == (BODY if keeps else None)


class SlowDisk(DiskCache):
    """Its `publish` shows the object, tells `there`, and waits for `go_on`; for the key that is `slow`."""

    def __init__(self, directory: Path, there: asyncio.Event) -> None:
        super().__init__(directory, DISK_BYTES, "bucket")
        self.go_on = threading.Event()
        self._there, self._loop = there, asyncio.get_running_loop()

    def publish(self, key: str, incoming: TempEntry, hasher: BlockHasher, found: CachedObject) -> bool:
        published = super().publish(key, incoming, hasher, found)
        self._loop.call_soon_threadsafe(self._there.set)
        assert self.go_on.wait(20)
        return published


async def test_an_object_that_is_forgotten_while_it_gets_its_name_is_removed_from_the_disk(
    tmp_path: Path, budget: MemoryBudget, kept: Kept
) -> None:
    there = asyncio.Event()
    disk = SlowDisk(tmp_path, there)
    fills = Fills(NoSource(), budget, disk, kept)
    answer = Answer().at_once()
    answer.go_on.set()
    claim = fills.claim(KEY, answer)
    await claim.head()
    reading = asyncio.ensure_future(body_of(parts_of(claim)))
    await there.wait()
    assert on_disk_now(disk) == BODY
    fills.forget(KEY)
    disk.go_on.set()
    assert await reading == BODY
    await eventually(lambda: on_disk_now(disk) is None)
    await eventually(lambda: stats(fills) == (0, 0))
    assert kept.heard == []


async def test_a_request_that_comes_while_an_object_gets_its_name_shares_the_fill_that_nobody_else_reads(
    tmp_path: Path, budget: MemoryBudget, kept: Kept
) -> None:
    """Other processes see the object already. A fill of its own would ask the storage, and end this entry."""
    there = asyncio.Event()
    disk = SlowDisk(tmp_path, there)
    fills = Fills(NoSource(), budget, disk, kept)
    answer = Answer().at_once()
    answer.go_on.set()
    claim = fills.claim(KEY, answer)
    await claim.head()
    with claim:
        parts, close = claim.read(0, len(BODY))
        assert await body_of(parts) == BODY
    close()
    await there.wait()
    assert stats(fills) == (1, 0)
    late = fills.claim(KEY, Answer())
    assert late.fill is fills.flowing(KEY)
    assert await body_of(parts_of(late)) == BODY
    for _ in range(2):
        with fills.claim(KEY, Answer()) as another:
            assert another.fill.found is answer.found
    disk.go_on.set()
    await eventually(lambda: stats(fills) == (0, 0))
    assert kept.heard == [(KEY, answer.found)]
    assert on_disk_now(disk) == BODY


class GuardedDisk(DiskCache):
    """Its `begin` waits for `go_on`; `published` counts what is given a name."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, DISK_BYTES, "bucket")
        self.begun, self.go_on, self.dropped, self.published = threading.Event(), threading.Event(), 0, 0

    def begin(self, length: int) -> TempEntry | None:
        self.begun.set()
        assert self.go_on.wait(20)
        return super().begin(length)

    def publish(self, key: str, incoming: TempEntry, hasher: BlockHasher, found: CachedObject) -> bool:
        self.published += 1
        return super().publish(key, incoming, hasher, found)

    def drop(self, incoming: TempEntry) -> None:
        super().drop(incoming)
        self.dropped += 1


@pytest.mark.parametrize("forgotten", [False, True])
async def test_an_object_that_is_forgotten_before_it_gets_its_name_gets_none(
    tmp_path: Path, budget: MemoryBudget, kept: Kept, forgotten: bool
) -> None:
    disk = GuardedDisk(tmp_path)
    disk.go_on.set()
    fills = Fills(NoSource(), budget, disk, kept)
    answer = Answer().at_once()
    claim = fills.claim(KEY, answer)
    await claim.head()
    if forgotten:
        fills.forget(KEY)
    await finished(fills, claim, answer)
    assert disk.published == (0 if forgotten else 1), "other processes would see it for a moment"


async def test_a_file_that_is_begun_for_a_fill_that_has_ended_is_dropped(
    tmp_path: Path, budget: MemoryBudget, kept: Kept
) -> None:
    disk = GuardedDisk(tmp_path)
    fills = Fills(NoSource(), budget, disk, kept)
    claim = fills.claim(KEY, Answer().at_once())
    await eventually(disk.begun.is_set)
    with claim:
        pass
    await eventually(lambda: stats(fills) == (0, 0))
    disk.go_on.set()
    await eventually(lambda: disk.dropped == 1)
    assert [*(tmp_path / "incoming").iterdir()] == []


async def test_nobody_waits_for_long_for_another_process_that_makes_room_on_the_disk(
    on_disk: Fills, tmp_path: Path, kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    """To count a million files may take a minute: those who come meanwhile are served without the disk."""
    on_disk._patience.seconds = 0.1
    answers = [Answer().at_once() for _ in range(3)]
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        async with asyncio.timeout(5):
            with on_disk.claim("first", answers[0]) as first:
                await first.head()
                assert first.fill.channel is None
        assert "has not made room within 0.1 s" in caplog.text
        on_disk._patience.seconds = 60
        async with asyncio.timeout(5):
            with on_disk.claim("second", answers[1]) as second:
                await second.head()
                assert second.fill.channel is None, "nor does each of them wait anew"
        assert on_disk._patience.overdue == 1, "nor does each of them have a file made for nothing"
    await eventually(lambda: on_disk._patience.overdue == 0)
    await eventually(lambda: not [*(tmp_path / "incoming").iterdir()])
    claim = on_disk.claim(KEY, answers[2])
    await claim.head()
    await finished(on_disk, claim, answers[2])
    assert [key for key, _ in kept.heard] == [KEY]
