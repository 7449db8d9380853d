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
