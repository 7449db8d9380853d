import asyncio

import pytest

from gateway.single_flight import SingleFlight


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
