"""Many things, a few at a time."""

import asyncio
import gc

import pytest

from gateway.publish.upkeep.side_by_side import each, side_by_side


async def test_no_more_are_taken_than_are_worked_on_at_once() -> None:
    running, most = 0, 0

    async def work(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(item % 3 + 1):
            await asyncio.sleep(0)
        running -= 1
        return item

    assert sorted([result async for result in side_by_side(each(range(50)), work, 4)]) == [*range(50)]
    assert most == 4
    assert [result async for result in side_by_side(each([]), work, 4)] == []


async def test_an_error_ends_the_others() -> None:
    cancelled = asyncio.Event()

    async def work(item: int) -> int:
        if item:
            raise ValueError(item)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return item

    with pytest.raises(ValueError, match="1"):
        async for _ in side_by_side(each([0, 1]), work, 4):
            pass
    assert cancelled.is_set()


async def test_of_errors_at_once_the_others_are_not_called_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    async def work(item: int) -> int:
        raise ValueError(item)

    with pytest.raises(ValueError):
        async for _ in side_by_side(each([0, 1, 2]), work, 3):
            pass
    gc.collect()
    assert "never retrieved" not in caplog.text
