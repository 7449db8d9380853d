"""Who asks for a reload, and what becomes of it."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config.settings import Settings
from gateway.config.source import Source
from gateway.ops.shared.configuration import SharedConfiguration
from gateway.running.reloader import Outcome, Reloader, WorkerSlot
from gateway.tracing.span import NOTHING, Span, current
from tests.running.test_change import docs
from tests.support.eventually import eventually
from tests.support.people import People
from tests.support.reloadable import TOKEN, Reloadable

SLOW = {"authenticators": ["tests.running.test_reloader:Slow"], "default_read": ["everyone"]}


class Slow(People):
    """Starts when it may."""

    may_start: asyncio.Event
    begun: list[Span]
    ended = 0

    async def start(self) -> None:
        self.begun.append(current.get())
        await self.may_start.wait()

    async def close(self) -> None:
        type(self).ended += 1


@pytest.fixture(autouse=True)
def slow() -> Iterator[None]:
    Slow.may_start, Slow.begun, Slow.ended = asyncio.Event(), [], 0
    yield
    del Slow.may_start, Slow.begun


async def test_sighup_during_the_start_is_heeded_after_it(reloadable: Reloadable, directories: Path) -> None:
    """The listeners would be opened with the former mounts, which are closed by then, and never get others."""
    storage = {"dir": str(directories / "one")}
    reloadable.write(storage=storage, access=SLOW, mounts=[docs(directories / "one")])
    starting = asyncio.create_task(reloadable.start())
    await eventually(lambda: len(Slow.begun) == 1)
    reloadable.write(storage=storage, access=SLOW, mounts=[docs(directories / "two")])
    former = reloadable.gateway.mounts.all[1]
    reloadable.gateway.hang_up()
    await asyncio.gather(*reloadable.gateway.reloader._tasks)
    Slow.may_start.set()
    await starting
    await eventually(lambda: reloadable.gateway.mounts.all[1] is not former)
    assert await reloadable.get("/docs/name.txt") == (200, b"two")
    await reloadable.settled()


async def test_a_reload_goes_on_though_its_client_leaves(reloadable: Reloadable, directories: Path) -> None:
    """Otherwise it could end when half of it is done, or when other workers have not been told."""
    storage = {"dir": str(directories / "one")}
    reloadable.write(storage=storage)
    await reloadable.start()
    reloadable.write(storage=storage, access=SLOW)
    former = reloadable.gateway.mount
    client = asyncio.create_task(reloadable.reload())
    await eventually(lambda: len(Slow.begun) == 1)
    client.cancel()
    await eventually(lambda: reloadable.gateway.metrics.in_flight == 0)
    Slow.may_start.set()
    await eventually(lambda: reloadable.gateway.mount is not former)
    await reloadable.settled()


async def test_what_a_reload_begins_is_no_part_of_the_trace_of_who_asked_for_it(
    reloadable: Reloadable, directories: Path
) -> None:
    """It goes on for ever."""
    storage = {"dir": str(directories / "one")}
    reloadable.write(storage=storage)
    await reloadable.start()
    reloadable.write(storage=storage, access=SLOW)
    Slow.may_start.set()
    traced = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "Authorization": f"Bearer {TOKEN}"}
    async with reloadable.http.post(f"{reloadable.gateway.url}/-/reload", headers=traced) as answer:
        assert answer.status == 200
    assert Slow.begun == [NOTHING]
    await reloadable.settled()


async def test_a_reload_that_hangs_is_given_up(
    reloadable: Reloadable, directories: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All further ones would wait for it."""
    monkeypatch.setattr("gateway.running.change._START_SECONDS", 0.01)
    storage = {"dir": str(directories / "one")}
    reloadable.write(storage=storage)
    await reloadable.start()
    reloadable.write(storage=storage, access=SLOW)
    status, told = await reloadable.reload()
    assert (status, told["status"]) == (422, "refused")
    assert "does not start within 0.01 s" in told["mistakes"][0]
    reloadable.write(storage=storage)
    assert (await reloadable.reload())[0] == 200


async def test_the_gateway_stops_while_a_reload_hangs(reloadable: Reloadable, directories: Path) -> None:
    storage = {"dir": str(directories / "one")}
    reloadable.write(storage=storage)
    await reloadable.start()
    reloadable.write(storage=storage, access=SLOW)
    reloadable.gateway.hang_up()
    await eventually(lambda: len(Slow.begun) == 1)
    async with asyncio.timeout(5):
        await reloadable.gateway.stop()
    assert Slow.ended == 1


async def test_what_a_worker_begins_that_is_told_to_stop_is_left_to_another_one(tmp_path: Path) -> None:
    shared, tried = SharedConfiguration(), list[str]()
    goes_on, source = asyncio.Event(), Source.of(config_file=tmp_path / "config.yaml", environ={})
    (tmp_path / "config.yaml").write_text(json.dumps({"storage": {"dir": str(tmp_path)}}))

    def worker(name: str) -> Reloader:
        async def apply(settings: Settings, check: bool) -> Outcome:
            tried.append(name)
            await goes_on.wait()
            return Outcome({}, [])

        return Reloader(source, WorkerSlot(shared, len(name), 2, 0), apply)

    shared.ask()
    first, other = worker("first"), worker("other")
    first.look()
    await eventually(lambda: tried == ["first"])
    await first.close()
    goes_on.set()
    other.look()
    await eventually(lambda: shared.number == 1)
    assert tried == ["first", "other"]
    assert not shared.is_asked
    await other.close()
