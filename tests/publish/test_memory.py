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


async def held(memory: UploadMemory, *lengths: int) -> tuple[list[int], asyncio.Event, list["asyncio.Task[None]"]]:
    """Those of the uploads that have memory now; what ends them all; and all of them."""
    order, end = list[int](), asyncio.Event()
    tasks = [asyncio.create_task(take(memory, length, end, order)) for length in lengths]
    await turns()
    return order, end, tasks


async def test_large_ones_leave_some_to_small_ones() -> None:
    memory = UploadMemory(100, 60, 20.0, kept=20, small=10)
    large, end_large, _ = await held(memory, 60, 30)
    assert large == [60]  # of 80
    small, end_small, tasks = await held(memory, 10, 9, 8)
    assert small == [10, 9]  # the large one that waits comes before the third
    end_large.set()
    await turns()
    assert (large, small) == ([60, 30], [10, 9, 8])
    end_small.set()
    await asyncio.gather(*tasks)


async def test_small_ones_take_what_large_ones_leave_free() -> None:
    memory = UploadMemory(100, 60, 20.0, kept=20, small=10)
    small, end_small, many = await held(memory, *[10] * 12)
    assert small == [10] * 10
    large, end_large, few = await held(memory, 60)
    assert large == []
    end_small.set()
    end_large.set()
    await asyncio.gather(*many, *few)
    assert large == [60]
    async with memory.of(60), memory.of(20), memory.of(10), memory.of(10):
        pass


async def test_a_large_one_that_waits_in_vain_holds_up_no_small_one_any_more() -> None:
    memory = UploadMemory(100, 60, 20.0, kept=10, small=10)
    _, end, tasks = await held(memory, 60, 60)
    small, end_small, others = await held(memory, 10, 5)
    assert small == [10]
    tasks[1].cancel()
    await turns()
    assert small == [10, 5]
    end.set()
    end_small.set()
    await asyncio.gather(*others, tasks[0])


async def test_no_mount_takes_all() -> None:
    """Slow clients of one keep theirs for minutes."""
    whole = UploadMemory(100, 20, 20.0, kept=10, small=10)
    one, another, third = whole.share(), whole.share(), whole.share()
    large, end, tasks = await held(one, *[20] * 9)
    small, end_small, others = await held(one, *[10] * 9)
    assert (large, small) == ([20, 20, 20], [10])
    for memory in (another, third):
        async with memory.of(20):
            pass
        async with memory.of(10):
            pass
    end.set()
    end_small.set()
    await asyncio.gather(*tasks, *others)
    async with one.of(20), another.of(20), third.of(20), another.of(10):
        pass


async def test_the_only_mount_takes_all() -> None:
    memory = UploadMemory(100, 50, 20.0).share()
    async with memory.of(50), memory.of(50):
        pass


async def test_the_last_mount_takes_all() -> None:
    whole = UploadMemory(100, 50, 20.0)
    memory, other = whole.share(), whole.share()
    order, end, tasks = await held(memory, 50, 50)
    assert order == [50]
    other.leave()
    await turns()
    assert order == [50, 50]
    end.set()
    await asyncio.gather(*tasks)


async def test_who_waits_at_one_mount_holds_up_nobody_at_another() -> None:
    whole = UploadMemory(100, 60, 20.0)
    one, another = whole.share(), whole.share()
    order, end, tasks = await held(one, 60, 60)
    assert order == [60]
    async with another.of(40):
        pass
    end.set()
    await asyncio.gather(*tasks)
