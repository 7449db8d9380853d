import asyncio
import random

import pytest

from gateway.server.deadline import Deadline, OverdueError


async def within(deadline: Deadline, event: asyncio.Event) -> str:
    with deadline:
        await event.wait()
    return "done"


async def test_what_is_done_in_time_is_left_alone() -> None:
    deadline, event = Deadline(60), asyncio.Event()
    tasks = [asyncio.ensure_future(within(deadline, event)) for _ in range(3)]
    await asyncio.sleep(0)
    event.set()
    assert await asyncio.gather(*tasks) == ["done"] * 3
    assert [await within(deadline, event) for _ in range(3)] == ["done"] * 3, "and again, in one task"


async def test_what_takes_too_long_is_ended_and_nothing_else() -> None:
    deadline, never, soon = Deadline(0.02), asyncio.Event(), asyncio.Event()
    late = [asyncio.ensure_future(within(deadline, never)) for _ in range(3)]
    in_time = asyncio.ensure_future(within(deadline, soon))
    await asyncio.sleep(0)
    soon.set()
    assert await in_time == "done"
    results = await asyncio.gather(*late, return_exceptions=True)
    assert [type(result) for result in results] == [OverdueError] * 3


async def test_one_after_the_other_each_has_its_time() -> None:
    """The timer of one that is done is the next one's."""
    deadline = Deadline(0.02)
    for _ in range(3):
        assert await within(deadline, _set()) == "done"
        with pytest.raises(OverdueError):
            await within(deadline, asyncio.Event())
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_a_task_that_is_cancelled_stays_so() -> None:
    deadline = Deadline(60)
    task = asyncio.ensure_future(within(deadline, asyncio.Event()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_client_that_leaves_as_its_time_is_up_is_gone() -> None:
    deadline = Deadline(60)
    task = asyncio.ensure_future(within(deadline, asyncio.Event()))
    await asyncio.sleep(0)
    deadline._ends[task] = 0.0
    deadline._look()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_answer_that_comes_as_its_time_is_up_is_kept() -> None:
    deadline = Deadline(60)

    async def stubborn() -> int:
        with deadline:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return task.cancelling()
        return -1

    task = asyncio.ensure_future(stubborn())
    await asyncio.sleep(0)
    deadline._ends[task] = 0.0
    deadline._look()
    assert await task == 1
    assert task.cancelling() == 0


async def test_errors_are_what_they_are() -> None:
    for error in (ValueError("x"), TimeoutError("of another kind")):
        with pytest.raises(type(error), match=str(error)) as raised, Deadline(60):
            raise error
        assert raised.value is error


async def test_many_at_once_leave_nothing_behind() -> None:
    deadline, chance = Deadline(0.02), random.Random(1)

    async def one() -> str:
        try:
            with deadline:
                await asyncio.sleep(chance.choice([0, chance.uniform(0, 0.04)]))  # 0: in time on any machine
        except OverdueError:
            return "late"
        return "done"

    results = await asyncio.gather(*(one() for _ in range(300)))
    assert set(results) == {"late", "done"}
    assert not deadline._ends


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
