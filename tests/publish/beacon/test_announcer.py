"""What is published is written to the beacon, whatever the storage does; and no upload fails or waits long for it."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from gateway.errors import NotFoundError, UpstreamBusyError, UpstreamError
from gateway.publish.beacon.announcer import Announcer
from gateway.publish.beacon.ring import MOST_CHANGES, Change, Ring
from gateway.publish.beacon.stored import KEY, StoredBeacon
from gateway.storage.base import one_chunk
from tests.support.eventually import eventually
from tests.support.scriptedstorage import ScriptedStorage

THEIRS = Ring((Change("0123456789abcdef", "theirs"),))

OLDER = Ring((Change("fedcba9876543210", "older"),))


class Rig:
    """An announcer, and what it has in front of it and behind it."""

    def __init__(self) -> None:
        self.storage = ScriptedStorage()
        self.failures = 0
        self.now = 1000.0
        self.beacon = StoredBeacon(self.storage)
        self.announcer = Announcer(self.beacon, self._failed, clock=lambda: self.now)

    async def projects(self) -> list[str]:
        found = await StoredBeacon(self.storage).read()
        assert found is not None
        assert found.ring is not None
        return [change.project for change in found.ring.changes]

    def _failed(self) -> None:
        self.failures += 1


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    yield rig
    await rig.announcer.close()


async def test_it_is_there_when_the_upload_has_its_answer(rig: Rig) -> None:
    assert await rig.announcer.announce("acme")
    await rig.announcer.announce("other")
    assert await rig.projects() == ["acme", "other"]
    assert rig.failures == 0


async def test_many_at_once_are_written_together(rig: Rig) -> None:
    await asyncio.gather(*(rig.announcer.announce(f"p{number % 10}") for number in range(50)))
    assert sorted(await rig.projects()) == [f"p{number}" for number in range(10)]
    assert rig.storage.calls.count("PUT") == 1


async def test_what_comes_while_one_is_written_is_the_next_one(rig: Rig) -> None:
    rig.storage.open.clear()
    first = asyncio.create_task(rig.announcer.announce("acme"))
    await eventually(lambda: rig.storage.calls == ["GET"])
    others = [asyncio.create_task(rig.announcer.announce(name)) for name in ("acme", "other")]
    await asyncio.sleep(0)
    rig.storage.open.set()
    await asyncio.gather(first, *others)
    assert await rig.projects() == ["acme", "acme", "other"]
    assert rig.storage.calls.count("PUT") == 2


async def test_so_many_that_they_have_no_room_leave_nothing_of_the_ring(rig: Rig) -> None:
    await rig.storage.put(KEY, one_chunk(THEIRS.encode()))
    await asyncio.gather(*(rig.announcer.announce(f"p{number}") for number in range(MOST_CHANGES + 5)))
    projects = await rig.projects()
    assert len(projects) == MOST_CHANGES
    assert "theirs" not in projects


@pytest.mark.parametrize("before", [None, OLDER], ids=["the-first", "another-one"])
async def test_whoever_was_faster_keeps_what_it_wrote(rig: Rig, before: Ring | None) -> None:
    if before is not None:
        await rig.storage.put(KEY, one_chunk(before.encode()))
    rig.storage.before_next_write = one_chunk(THEIRS.encode())
    await rig.announcer.announce("acme")
    assert await rig.projects() == ["theirs", "acme"]
    assert rig.failures == 0


async def test_two_writers_lose_nothing_of_each_other(rig: Rig) -> None:
    other = Announcer(rig.beacon, lambda: None)
    names = [f"p{number}" for number in range(20)]
    for name in names:
        await asyncio.gather(rig.announcer.announce(name), other.announce(f"{name}-too"))
    assert sorted(await rig.projects()) == sorted([*names, *(f"{name}-too" for name in names)])
    await other.close()


@pytest.mark.parametrize(
    "fault",
    [UpstreamBusyError("SlowDown"), UpstreamBusyError("409", code="ConditionalRequestConflict"), UpstreamError("gone")],
)
async def test_what_fails_is_tried_again(rig: Rig, fault: Exception) -> None:
    rig.storage.script = [fault, None, fault]
    assert await rig.announcer.announce("acme")
    assert await rig.projects() == ["acme"]
    assert rig.failures == 2


async def test_a_write_whose_answer_is_lost_is_not_made_twice(rig: Rig) -> None:
    rig.storage.lost = [UpstreamError("reset")]
    await rig.announcer.announce("acme")
    assert await rig.projects() == ["acme"]
    assert (rig.storage.calls.count("PUT"), rig.failures) == (1, 1)


@pytest.mark.parametrize("content", [b"garbage", b"x" * 1_000_000, b'{"version": 2, "changes": []}'])
async def test_what_is_no_beacon_is_replaced(rig: Rig, content: bytes) -> None:
    await rig.storage.put(KEY, one_chunk(content))
    await rig.announcer.announce("acme")
    assert await rig.projects() == ["acme"]


async def test_a_storage_that_does_not_answer_holds_nobody_up_and_is_written_later(rig: Rig) -> None:
    announcer = Announcer(rig.beacon, lambda: None, patience=0.01)
    rig.storage.open.clear()
    assert not await announcer.announce("acme")
    assert rig.storage.calls == ["GET"]
    rig.storage.open.set()
    await eventually(lambda: rig.storage.calls == ["GET", "PUT"])
    assert await rig.projects() == ["acme"]
    await announcer.close()


async def test_a_client_that_leaves_does_not_end_the_write(rig: Rig) -> None:
    rig.storage.open.clear()
    upload = asyncio.create_task(rig.announcer.announce("acme"))
    await eventually(lambda: rig.storage.calls == ["GET"])
    upload.cancel()
    await asyncio.gather(upload, return_exceptions=True)
    rig.storage.open.set()
    await rig.announcer.announce("other")
    assert await rig.projects() == ["acme", "other"]


async def test_after_half_a_minute_it_is_given_up(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    def later() -> None:
        rig.failures += 1
        rig.now += 31

    announcer = Announcer(rig.beacon, later, clock=lambda: rig.now)
    rig.storage.script = [UpstreamError("away")]
    with caplog.at_level(logging.WARNING):
        assert not await announcer.announce("acme")
    assert rig.storage.calls == ["GET"]
    assert "were not told" in caplog.text
    await announcer.announce("other")
    assert await rig.projects() == ["other"]
    await announcer.close()


@pytest.mark.parametrize("kind", [NotFoundError, UpstreamError, UpstreamBusyError])
async def test_where_it_may_not_write_it_seldom_tries(
    rig: Rig, caplog: pytest.LogCaptureFixture, kind: type[NotFoundError]
) -> None:
    rig.storage.script = [kind("no", code="AccessDenied")]
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            assert not await rig.announcer.announce("acme")
    assert rig.storage.calls == ["GET"]
    assert rig.failures == 5
    assert caplog.text.count("may not be written") == 1
    rig.now += 61
    await rig.announcer.announce("other")
    assert await rig.projects() == ["other"]


async def test_it_knows_its_last_changes_from_those_of_others(rig: Rig) -> None:
    await rig.storage.put(KEY, one_chunk(THEIRS.encode()))
    await rig.announcer.announce("acme")
    found = await rig.beacon.read()
    assert found is not None
    assert found.ring is not None
    theirs, own = found.ring.changes
    assert [rig.announcer.has_written(change) for change in (theirs, own)] == [False, True]
    for number in range(MOST_CHANGES):
        assert rig.announcer.has_written(own)
        await rig.announcer.announce(f"p{number}")
    assert not rig.announcer.has_written(own), "no ring has it any more"
