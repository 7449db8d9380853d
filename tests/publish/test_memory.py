"""The memory of all uploads together."""

import asyncio

import pytest

from gateway.errors import UpstreamBusyError
from gateway.publish.memory import UploadMemory


async def take(memory: UploadMemory, length: int, done: asyncio.Event, order: list[int]) -> None:
    async with memory.of(length):
        order.append(length)
        await done.wait()


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_needs_more_than_is_left_waits_and_nobody_overtakes() -> None:
    memory, order = UploadMemory(100, 60, 20.0), list[int]()
    ends = [asyncio.Event() for _ in range(4)]
    tasks = [
        asyncio.create_task(take(memory, length, end, order))
        for length, end in zip((500, 40, 50, 1), ends, strict=True)
    ]
    await turns()
    assert order == [500, 40]
    assert memory.stats() == {"running": 2, "waiting": 2, "used": 100, "max": 100}
    ends[1].set()
    await turns()
    assert order == [500, 40]
    ends[0].set()
    await turns()
    assert order == [500, 40, 50, 1]
    for end in ends:
        end.set()
    await asyncio.gather(*tasks)
    assert memory.stats() == {"running": 0, "waiting": 0, "used": 0, "max": 100}


async def test_who_waits_in_vain_is_told_and_leaves_what_there_is() -> None:
    memory, order, end = UploadMemory(100, 60, 0.01), list[int](), asyncio.Event()
    holder = asyncio.create_task(take(memory, 60, end, order))
    await turns()
    with pytest.raises(UpstreamBusyError):
        async with memory.of(60):
            raise AssertionError("there is no memory for it")
    end.set()
    await holder
    async with memory.of(60), memory.of(40):
        pass


async def test_who_leaves_while_waiting_takes_nothing() -> None:
    memory, order, end = UploadMemory(100, 60, 20.0), list[int](), asyncio.Event()
    holder = asyncio.create_task(take(memory, 60, end, order))
    waiting = asyncio.create_task(take(memory, 60, end, order))
    await turns()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    end.set()
    await holder
    async with memory.of(60), memory.of(40):
        pass
