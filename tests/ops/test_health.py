import asyncio
import json
from typing import Any

from gateway.errors import UpstreamError
from gateway.ops.health import Readiness, health
from gateway.storage.file import FileStorage


class Checked(FileStorage):
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
    assert await ask(Readiness(Checked(), 5)) == (200, {"status": "ready", "backend": "file"})


async def test_ready_says_why_not() -> None:
    storage = Checked()
    storage.failure = UpstreamError("403 InvalidAccessKeyId")
    assert await ask(Readiness(storage, 5)) == (503, {"status": "unavailable", "reason": "403 InvalidAccessKeyId"})


async def test_one_question_serves_all_and_is_reused_for_seconds() -> None:
    storage = Checked()
    storage.open.clear()
    readiness = Readiness(storage, 60)
    waiters = [asyncio.ensure_future(ask(readiness)) for _ in range(10)]
    await asyncio.sleep(0)
    storage.open.set()
    assert {status for status, _ in await asyncio.gather(*waiters)} == {200}
    await ask(readiness)
    assert storage.checks == 1


async def test_with_no_reuse_each_question_is_asked() -> None:
    storage = Checked()
    readiness = Readiness(storage, 0)
    await ask(readiness)
    await ask(readiness)
    assert storage.checks == 2


async def test_a_gateway_that_stops_is_not_ready() -> None:
    storage = Checked()
    readiness = Readiness(storage, 60)
    readiness.draining = True
    assert await ask(readiness) == (503, {"status": "draining"})
    assert storage.checks == 0
