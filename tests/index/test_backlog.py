import asyncio

from gateway.index.backlog import Backlog


async def test_a_parser_waits_while_many_pages_are_to_be_rendered() -> None:
    backlog = Backlog(limit=2)
    parsed: list[int] = []

    async def parse(number: int) -> None:
        await backlog.room()
        parsed.append(number)

    with backlog:
        await parse(1)
        with backlog:
            waiting = [asyncio.create_task(parse(number)) for number in (2, 3)]
            given_up = asyncio.create_task(parse(4))
            await asyncio.sleep(0)
            given_up.cancel()
            await asyncio.sleep(0)
            assert parsed == [1]
        await asyncio.gather(*waiting)
        assert parsed == [1, 2, 3]


async def test_a_page_that_can_not_be_rendered_counts_no_longer() -> None:
    backlog = Backlog(limit=1)
    try:
        with backlog:
            raise ValueError
    except ValueError:
        await asyncio.wait_for(backlog.room(), 1)


async def test_pages_that_come_later_hold_no_parser_up() -> None:
    """Pages of our own may come faster than they are rendered for as long as they like."""
    backlog, ended = Backlog(limit=2), 0

    async def render(go_on: asyncio.Event) -> None:
        nonlocal ended
        with backlog:
            await go_on.wait()
        ended += 1

    async def step() -> asyncio.Event:
        go_on = asyncio.Event()
        tasks.append(asyncio.create_task(render(go_on)))
        await asyncio.sleep(0)
        return go_on

    tasks: list[asyncio.Task[None]] = []
    running = [await step() for _ in range(4)]
    parser = asyncio.create_task(backlog.room())
    await asyncio.sleep(0)
    for _ in range(3):
        assert not parser.done()
        running.append(await step())
        running.pop(0).set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await asyncio.wait_for(parser, 1)
    assert ended == 3, "of the four before it, one is left"
    for go_on in running:
        go_on.set()
    await asyncio.gather(*tasks)


async def test_several_pages_may_end_before_a_parser_goes_on() -> None:
    backlog = Backlog(limit=1)
    with backlog, backlog:
        parser = asyncio.create_task(backlog.room())
        await asyncio.sleep(0)
    await asyncio.wait_for(parser, 1)
