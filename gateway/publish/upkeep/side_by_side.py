"""Works on many things, a few at a time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def each(items: Iterable[T]) -> AsyncIterator[T]:
    """Things that are known already, as `side_by_side` takes them."""
    for item in items:
        yield item


async def side_by_side(
    items: AsyncIterable[T], work: Callable[[T], Awaitable[R]], at_once: int
) -> AsyncGenerator[R, None]:
    """The results, in the order in which they come. No more than `at_once` items are taken ahead. Raises the first
    error, and cancels the others then."""
    running, done = set[asyncio.Future[R]](), set[asyncio.Future[R]]()
    try:
        async for item in items:
            running.add(asyncio.ensure_future(work(item)))
            if len(running) >= at_once:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, *done, return_exceptions=True)  # several may have failed at once
