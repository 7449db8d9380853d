"""The beacon is read in turns, and what others have published is listed anew."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from gateway.errors import NotFoundError, UpstreamError, UpstreamTimeoutError
from gateway.ops.mark import EVERYTHING
from gateway.ops.turn import Turn
from gateway.publish.beacon.poller import Poller
from gateway.publish.beacon.ring import MOST_CHANGES, Change, Ring
from gateway.publish.beacon.stored import KEY, StoredBeacon
from gateway.storage.base import one_chunk
from tests.support.eventually import eventually
from tests.support.scriptedstorage import ScriptedStorage

DENIED = NotFoundError("no", code="AccessDenied")


class Rig:
    """Workers of one gateway, in one process; the storage; and a clock."""

    def __init__(self, workers: int = 1) -> None:
        self.storage = ScriptedStorage()
        self.turn = Turn(shared=False)
        self.now = 1000.0
        self.asked = [0] * workers
        self.refreshed: list[str] = []
        self.failures = 0
        self.own: set[str] = set()
        self._written = 0
        self.ring = Ring()
        self.workers = [self.worker(number) for number in range(workers)]

    def worker(self, number: int = 0) -> Poller:
        return Poller(
            StoredBeacon(self.storage),
            self.turn,
            listing_seconds=60.0,
            asked=lambda: self.asked[number],
            is_own=lambda change: change.id in self.own,
            refresh=self.refreshed.append,
            failed=self._failed,
            clock=lambda: self.now,
        )

    async def publish(self, *projects: str) -> None:
        """Another gateway does so."""
        changes = [Change(f"{self._written + number:016x}", project) for number, project in enumerate(projects)]
        self._written += len(changes)
        self.ring = self.ring.with_changes(changes)
        await self.put(self.ring.encode())

    async def put(self, content: bytes) -> None:
        await self.storage.put(KEY, one_chunk(content))
        self.storage.calls.clear()

    async def begin(self) -> None:
        """The gateway has read the beacon, and serves."""
        await self.workers[0].tick()
        self.turn.begin()
        self.storage.calls.clear()

    async def after(self, seconds: float, worker: int = 0) -> Sequence[str]:
        """What a worker has listed anew, having been asked for something."""
        self.now += seconds
        self.asked[worker] += 1
        await self.workers[worker].tick()
        refreshed, self.refreshed[:] = [*self.refreshed], []
        return refreshed

    def _failed(self) -> None:
        self.failures += 1


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_what_others_have_published_is_listed_anew_and_nothing_else(rig: Rig) -> None:
    await rig.publish("old")
    await rig.begin()
    assert rig.refreshed == [], "it has listed nothing yet"
    assert await rig.after(1) == []
    await rig.publish("acme", "other", "acme")
    assert await rig.after(1) == ["acme", "other"]
    assert await rig.after(1) == []
    assert rig.storage.fetched[-1].headers.keys() == {"if-none-match"}


async def test_own_changes_have_been_shown(rig: Rig) -> None:
    await rig.publish("old")
    await rig.begin()
    rig.own = {f"{1:016x}"}
    await rig.publish("acme", "other")
    assert await rig.after(1) == ["other"]


async def test_the_first_beacon_of_a_bucket_is_seen(rig: Rig) -> None:
    await rig.begin()
    assert await rig.after(1) == []
    await rig.publish("acme")
    assert await rig.after(1) == [EVERYTHING]
    await rig.publish("acme")
    assert await rig.after(1) == ["acme"]


async def test_what_can_not_be_told_is_everything(rig: Rig) -> None:
    await rig.publish("old")
    await rig.begin()
    await rig.publish(*["acme"] * (MOST_CHANGES - 1))
    assert await rig.after(1) == ["acme"]
    await rig.publish(*["acme"] * MOST_CHANGES)
    assert await rig.after(1) == [EVERYTHING]
    await rig.put(Ring((Change("f" * 16, "of-another-epoch"),)).encode())
    assert await rig.after(1) == [EVERYTHING]
    await rig.storage.delete(KEY)
    assert await rig.after(1) == [EVERYTHING]
    assert await rig.after(1) == []


@pytest.mark.parametrize("content", [b"garbage", b"[" * 10_000_000, b""])
async def test_what_is_no_beacon_is_everything_once_and_seldom_read(
    rig: Rig, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await rig.publish("old")
    await rig.begin()
    await rig.put(content)
    with caplog.at_level(logging.WARNING):
        assert await rig.after(1) == [EVERYTHING]
    assert "can't be understood" in caplog.text
    for _ in range(29):
        assert await rig.after(1) == []
    assert rig.storage.calls == ["GET"]
    assert await rig.after(1) == []
    await rig.publish("acme")
    assert await rig.after(30) == [EVERYTHING]
    await rig.publish("acme")
    assert await rig.after(1) == ["acme"]


async def test_what_was_served_before_the_first_answer_is_listed_anew(rig: Rig) -> None:
    await rig.publish("old")
    rig.storage.script = [UpstreamError("away")]
    await rig.begin()
    assert await rig.after(1) == [EVERYTHING]
    assert await rig.after(1) == []


async def test_a_storage_that_is_away_is_asked_in_pauses_and_nothing_is_missed(rig: Rig) -> None:
    await rig.publish("old")
    await rig.begin()
    await rig.publish("acme")
    rig.storage.script = [UpstreamTimeoutError("away") for _ in range(10)]
    for _ in range(60):
        assert await rig.after(1) == []
    assert (len(rig.storage.calls), rig.failures) == (9, 9)
    assert await rig.after(10) == []
    assert await rig.after(10) == ["acme"]


async def test_where_it_may_not_read_it_seldom_tries_and_says_so_once(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.storage.script = [DENIED, DENIED, DENIED]
    with caplog.at_level(logging.WARNING):
        await rig.begin()
        for _ in range(125):
            assert await rig.after(1) == []
    assert (len(rig.storage.calls), rig.failures) == (2, 3)
    assert caplog.text.count("may not be read") == 1


async def test_a_gateway_that_nobody_uses_reads_seldom(rig: Rig) -> None:
    await rig.begin()
    for _ in range(60):
        rig.now += 1
        await rig.workers[0].tick()
    assert len(rig.storage.calls) == 2
    await rig.after(1)
    for _ in range(59):
        rig.now += 1
        await rig.workers[0].tick()
    assert len(rig.storage.calls) == 2 + 60


async def test_one_worker_reads_for_all_and_another_goes_on_where_it_ends() -> None:
    rig = Rig(workers=3)
    await rig.publish("old")
    await rig.begin()
    for _ in range(10):
        rig.now += 0.7
        for worker in range(3):
            assert await rig.after(0.1, worker) == []
    assert len(rig.storage.calls) == 10
    await rig.publish("acme")
    rig.workers[2] = rig.worker(2)  # it replaces one that has died
    assert await rig.after(1, worker=2) == ["acme"]
    assert await rig.after(1, worker=1) == []


async def test_no_two_read_at_once() -> None:
    rig = Rig()
    rig.turn.take = lambda: False  # type: ignore[method-assign]
    assert await rig.after(1) == []
    assert rig.storage.calls == []


async def test_the_start_does_not_wait_for_long_and_the_end_ends_it(rig: Rig) -> None:
    rig.storage.open.clear()
    started = asyncio.get_running_loop().time()
    await rig.workers[0].start()
    assert asyncio.get_running_loop().time() - started < 3
    assert rig.turn.begun
    rig.asked[0] += 1
    await eventually(lambda: len(rig.storage.calls) == 2)
    await rig.workers[0].close()
    assert len(asyncio.all_tasks()) == 1
