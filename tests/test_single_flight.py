import asyncio
import gc

import pytest

from gateway.single_flight import SingleFlight, to_its_end
from tests.support.eventually import eventually
from tests.support.spans import within


async def test_who_asks_meanwhile_gets_the_same_result() -> None:
    flight, go, calls = SingleFlight[int](), asyncio.Event(), []

    async def work() -> int:
        calls.append(1)
        number = len(calls)
        await go.wait()
        return number

    asked = [asyncio.ensure_future(flight.once("k", work)) for _ in range(10)]
    other = asyncio.ensure_future(flight.once("other", work))
    await asyncio.sleep(0)
    go.set()
    assert await asyncio.gather(*asked) == [1] * 10
    assert await other == 2
    assert await flight.once("k", work) == 3, "afterwards it is done again"


async def test_it_tells_how_many_have_asked_for_what_is_under_way() -> None:
    flight, go = SingleFlight[str](), asyncio.Event()

    async def work() -> str:
        await go.wait()
        return "done"

    assert (len(flight), flight.asking("k")) == (0, 0)
    begun = flight.begin("k", work)
    asked = asyncio.ensure_future(flight.once("k", work))
    other = asyncio.ensure_future(flight.once("other", work))
    await asyncio.sleep(0)
    assert (len(flight), flight.asking("k"), flight.asking("other"), flight.asking("nobody's")) == (2, 2, 1, 0)
    go.set()
    assert [*await asyncio.gather(begun, asked, other)] == ["done"] * 3
    assert (len(flight), flight.asking("k"), flight.asking("other")) == (0, 0, 0)
    again = flight.begin("k", work)
    assert flight.asking("k") == 1, "it counts anew"
    await again


async def test_closing_ends_what_is_under_way_and_waits_for_its_end() -> None:
    flight, ended = SingleFlight[None](), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    asked = [asyncio.ensure_future(flight.once(key, work)) for key in "ab"]
    for _ in range(3):  # the turn of each who asks, and that of the work
        await asyncio.sleep(0)
    await flight.close()
    assert (ended, len(flight)) == ([True, True], 0)
    assert [type(error) for error in await asyncio.gather(*asked, return_exceptions=True)] == [
        asyncio.CancelledError,
        asyncio.CancelledError,
    ]


async def test_closing_bears_work_that_fails_when_it_is_ended() -> None:
    flight = SingleFlight[None]()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("no")

    flight.begin("k", work)
    await asyncio.sleep(0)
    await flight.close()
    assert len(flight) == 0


async def test_an_error_that_nobody_waits_for_is_no_complaint() -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def fail() -> int:
        raise ValueError("no")

    flight = SingleFlight[int]()
    flight.begin("k", fail)
    flight.begin("other", fail).cancel()
    await eventually(lambda: len(flight) == 0)
    gc.collect()
    assert complaints == []


async def test_an_error_is_everyones_and_is_not_kept() -> None:
    flight = SingleFlight[int]()

    async def fail() -> int:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def succeed() -> int:
        return 1

    asked = await asyncio.gather(*(flight.once("k", fail) for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in asked] == ["no"] * 3
    assert await flight.once("k", succeed) == 1


async def test_one_who_goes_away_takes_it_from_nobody() -> None:
    flight, go = SingleFlight[str](), asyncio.Event()

    async def work() -> str:
        await go.wait()
        return "done"

    first = asyncio.ensure_future(flight.once("k", work))
    second = asyncio.ensure_future(flight.once("k", work))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go.set()
    assert await second == "done"


async def test_the_failure_of_a_task_whose_caller_was_cancelled_is_not_logged() -> None:
    logged = list[str]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context["message"]))
    go = asyncio.Event()

    async def work() -> None:
        await go.wait()
        raise ValueError("a reason")

    waiting = asyncio.ensure_future(to_its_end(asyncio.ensure_future(work())))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    go.set()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    del waiting
    gc.collect()
    assert logged == []


async def test_who_shares_a_task_is_linked_to_the_span_of_the_first() -> None:
    flight, go = SingleFlight[str](), asyncio.Event()

    async def work() -> str:
        await go.wait()
        return "done"

    with within() as first:
        task = flight.begin("k", work)
    with within() as second:
        flight.begin("k", work)
        flight.begin("other", work)
    assert (first.links, second.links) == ([], [first])
    go.set()
    await task
    with within() as third:
        await flight.once("k", work)
    assert third.links == []
    await flight.close()
