"""/ready of several workers: whichever of them a probe reaches, it hears the same."""

import asyncio
from collections.abc import Mapping

from gateway.errors import UpstreamError
from gateway.ops.health import Readiness
from gateway.ops.shared.standing import Standing
from tests.ops.test_health import Checked, ask
from tests.support.eventually import eventually

AWAY = UpstreamError("can't connect")


def two(
    reuse_seconds: float, down: Mapping[str, str] | None = None
) -> tuple[tuple[Checked, Checked], tuple[Readiness, Readiness]]:
    """The storages of two workers, and their readiness."""
    standing, storages = Standing(), (Checked(), Checked())
    first = Readiness({"default": storages[0]}, reuse_seconds, lambda: down or {}, 0.05, standing)
    return storages, (first, Readiness({"default": storages[1]}, reuse_seconds, dict, 0.05, standing))


async def test_what_one_has_found_all_say() -> None:
    storages, workers = two(60, {"circuit s3.example": "open"})
    storages[1].failure = AWAY
    found = {"status": "ready", "backend": "file", "circuit s3.example": "open"}
    assert [await ask(worker) for worker in workers] == [(200, found)] * 2
    assert (storages[0].checks, storages[1].checks) == (1, 0)


async def test_one_that_can_t_reach_its_storage_is_as_ready_as_the_others() -> None:
    """It has a successor's caches, perhaps none; but a probe that fails would send clients away from all workers."""
    storages, workers = two(0)
    storages[1].failure = AWAY
    assert (await ask(workers[1]))[0] == 503, "nobody has reached it yet"
    assert (await ask(workers[0]))[0] == 200
    assert await ask(workers[1]) == (200, {"status": "degraded", "reason": "can't connect"})


async def test_a_failure_that_was_asked_for_later_does_not_undo_that_another_is_ready() -> None:
    storages, workers = two(60)
    storages[0].open.clear()
    slow = asyncio.ensure_future(ask(workers[0]))
    await asyncio.sleep(0)
    storages[1].failure = AWAY
    assert (await ask(workers[1]))[0] == 503
    storages[0].open.set()
    await slow
    assert [(await ask(worker))[1]["status"] for worker in workers] == ["degraded", "degraded"]
    assert [(await ask(worker))[0] for worker in workers] == [200, 200]


async def test_one_whose_question_hangs_says_what_another_has_found_meanwhile() -> None:
    storages, workers = two(0)
    await ask(workers[0])
    storages[0].open.clear()
    hanging = asyncio.ensure_future(ask(workers[0]))
    await eventually(lambda: storages[0].checks == 2)
    found = {"status": "ready", "backend": "file"}
    assert await ask(workers[1]) == (200, found)
    assert await hanging == (200, found)
    assert (await ask(workers[0]))[1]["status"] == "degraded", "nobody has asked since"
    await workers[0].close()


async def test_all_stop_together_and_no_one_alone() -> None:
    _, workers = two(60)
    await ask(workers[0])
    workers[0]._standing.stop()
    assert [await ask(worker) for worker in workers] == [(503, {"status": "draining"})] * 2


async def test_what_was_found_before_a_reload_is_no_answer_after_it() -> None:
    storages, workers = two(60)
    await ask(workers[0])
    later = Checked(), Checked()
    later[0].failure = AWAY
    workers[0].watch({"default": later[0]}, 60)
    assert (await ask(workers[0]))[1]["status"] == "degraded", "its storage is another one now"
    workers[1].watch({"team-b": later[1]}, 60)
    workers[0].watch({"default": storages[0]}, 60)
    assert (await ask(workers[1]))[1]["status"] == "ready"
    assert (await ask(workers[0])) == (200, {"status": "ready", "backend": "file"}), "others have found of other mounts"
    assert (later[0].checks, later[1].checks, storages[0].checks) == (1, 1, 2)


async def test_a_probe_that_meets_a_reload_hears_of_the_new_storages() -> None:
    storages, workers = two(60)
    await ask(workers[0])
    workers[0].watch({"default": storages[0]}, 60)
    workers[0]._answer_seconds = 10
    storages[0].open.clear()
    asking = asyncio.ensure_future(ask(workers[0]))
    await eventually(lambda: storages[0].checks == 2)
    workers[0].watch({"default": storages[1]}, 60)
    storages[1].failure = AWAY
    storages[0].open.set()
    assert await asking == (200, {"status": "degraded", "reason": "can't connect"})
