import asyncio
import json
from typing import Any

import pytest

from gateway.errors import UpstreamError
from gateway.executors import current_mount
from gateway.ops.health import Readiness, health
from gateway.ops.shared.standing import Standing
from gateway.storage.local.storage import LocalStorage


class Checked(LocalStorage):
    """A storage whose check answers as the test says."""

    def __init__(self) -> None:
        self.checks = 0
        self.failure: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def check(self) -> dict[str, str]:
        self.checks += 1
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return {"backend": "file"}


async def ask(readiness: Readiness) -> tuple[int, Any]:
    page = await readiness.ready()
    return page.status, json.loads(page.body)


async def test_health_touches_nothing() -> None:
    page = await health()
    assert (page.status, json.loads(page.body)) == (200, {"status": "ok"})


async def test_ready_says_what_the_storage_found() -> None:
    assert await ask(Readiness({"default": Checked()}, 5)) == (200, {"status": "ready", "backend": "file"})


async def test_ready_says_why_not() -> None:
    storage = Checked()
    storage.failure = UpstreamError("403 InvalidAccessKeyId")
    assert await ask(Readiness({"default": storage}, 5)) == (
        503,
        {"status": "unavailable", "reason": "403 InvalidAccessKeyId"},
    )


async def test_a_storage_is_checked_in_threads_of_its_mount() -> None:
    """A directory that hangs keeps those that look at it, and would keep those that look at others."""
    seen = list[str]()

    class Told(Checked):
        async def check(self) -> dict[str, str]:
            seen.append(current_mount.get())
            return await super().check()

    assert (await ask(Readiness({"a": Told(), "b": Told()}, 5)))[0] == 200
    assert seen == ["a", "b"]


async def test_a_storage_that_is_lost_makes_the_gateway_degraded_and_no_less_ready() -> None:
    storage = Checked()
    readiness = Readiness({"default": storage}, 0, lambda: {"circuit s3.example": "open"})
    await ask(readiness)
    storage.failure = UpstreamError("can't connect")
    found = {"status": "degraded", "reason": "can't connect", "circuit s3.example": "open"}
    assert await ask(readiness) == (200, found)
    storage.failure = None
    assert (await ask(readiness))[1]["status"] == "ready"


async def test_a_storage_that_does_not_answer_does_not_hold_up_the_probe() -> None:
    """A kubelet that waits for longer than its timeout takes the gateway out of its Service."""
    storage = Checked()
    readiness = Readiness({"default": storage}, 0, answer_seconds=0.01)
    await ask(readiness)
    storage.open.clear()
    for _ in range(3):
        status, found = await ask(readiness)
        assert (status, found["status"], found["reason"]) == (200, "degraded", "the storage has not answered yet")
    assert storage.checks == 2
    storage.open.set()
    assert (await ask(readiness))[1]["status"] == "ready"
    assert storage.checks == 2
    storage.open.clear()
    await ask(readiness)
    await readiness.close()


async def test_a_bug_in_the_check_is_not_taken_for_an_answer() -> None:
    storage = Checked()
    storage.failure = ValueError("a bug")
    with pytest.raises(ValueError, match="a bug"):
        await ask(Readiness({"default": storage}, 0))


async def test_one_question_serves_all_and_is_reused_for_seconds() -> None:
    storage = Checked()
    storage.open.clear()
    readiness = Readiness({"default": storage}, 60)
    waiters = [asyncio.ensure_future(ask(readiness)) for _ in range(10)]
    await asyncio.sleep(0)
    storage.open.set()
    assert {status for status, _ in await asyncio.gather(*waiters)} == {200}
    await ask(readiness)
    assert storage.checks == 1


async def test_with_no_reuse_each_question_is_asked() -> None:
    storage = Checked()
    readiness = Readiness({"default": storage}, 0)
    await ask(readiness)
    await ask(readiness)
    assert storage.checks == 2


async def test_a_gateway_that_stops_is_not_ready() -> None:
    storage = Checked()
    standing = Standing(shared=False)
    readiness = Readiness({"default": storage}, 60, standing=standing)
    standing.stop()
    assert await ask(readiness) == (503, {"status": "draining"})
    assert storage.checks == 0


async def test_with_several_mounts_one_storage_is_enough_and_each_is_named() -> None:
    storages = {name: Checked() for name in ("default", "team-b")}
    readiness = Readiness(storages, 0)
    for storage in storages.values():
        storage.failure = UpstreamError("403 InvalidAccessKeyId")
    reason = "403 InvalidAccessKeyId; 403 InvalidAccessKeyId"
    assert await ask(readiness) == (503, {"status": "unavailable", "reason": reason})
    storages["team-b"].failure = None
    found = {"status": "degraded", "mount default": "403 InvalidAccessKeyId", "mount team-b": "ok"}
    assert await ask(readiness) == (200, found)
    storages["default"].failure = None
    assert await ask(readiness) == (200, {"status": "ready", "mount default": "ok", "mount team-b": "ok"})
    for storage in storages.values():
        storage.failure = UpstreamError("can't connect")
    found = {"status": "degraded", "mount default": "can't connect", "mount team-b": "can't connect"}
    assert await ask(readiness) == (200, found), "it serves what it has cached"
