import asyncio
import gc

import pytest

from gateway.cache.patience import Patience
from gateway.errors import UpstreamError, UpstreamTimeoutError
from tests.support.eventually import eventually


async def later(event: asyncio.Event, error: Exception | None = None) -> str:
    await event.wait()
    if error is not None:
        raise error
    return "fresh"


def known() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


async def some_turns() -> None:
    """The loop has had time for all that needs no waiting."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_comes_soon_is_waited_for() -> None:
    patience = Patience(60)
    event = asyncio.Event()
    waiting = asyncio.ensure_future(patience.fresh(later(event)))
    await some_turns()
    assert not waiting.done()
    event.set()
    assert await waiting == "fresh"


async def test_what_fails_soon_is_raised() -> None:
    with pytest.raises(UpstreamError, match="down"):
        await Patience(60).fresh(later(known(), UpstreamError("down")))


async def test_once_an_answer_is_overdue_nobody_waits_until_it_comes() -> None:
    patience, event = Patience(0.01), asyncio.Event()
    with pytest.raises(UpstreamTimeoutError, match=r"no answer for 0\.01 s"):
        await patience.fresh(later(event))
    patience.seconds = 60  # nobody waits for so long now
    others = [asyncio.Event() for _ in range(3)]
    for other in others:
        refused = asyncio.ensure_future(patience.fresh(later(other)))
        await some_turns()
        assert refused.done()
        with pytest.raises(UpstreamTimeoutError):
            await refused
    assert patience.overdue == 4
    others[1].set()  # one answer is enough
    await eventually(lambda: not patience.overdue)
    assert await patience.fresh(later(known())) == "fresh"


async def test_an_overdue_answer_that_fails_in_the_end_lets_the_next_one_wait_again() -> None:
    patience, event = Patience(0.01), asyncio.Event()
    with pytest.raises(UpstreamTimeoutError):
        await patience.fresh(later(event, UpstreamError("no")))
    patience.seconds = 60
    event.set()
    await eventually(lambda: not patience.overdue)
    assert await patience.fresh(later(known())) == "fresh"


async def test_an_answer_that_fails_or_is_cancelled_is_no_news_of_the_others() -> None:
    patience, failing = Patience(0), asyncio.Event()
    cancelled: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    for work in (later(failing, UpstreamError("no")), cancelled, later(asyncio.Event())):
        with pytest.raises(UpstreamTimeoutError):
            await patience.fresh(work)
    failing.set()
    await eventually(lambda: patience.overdue == 2)
    cancelled.cancel()
    await eventually(lambda: patience.overdue == 1)


async def test_what_fails_after_all_have_left_is_no_error_that_nobody_has_looked_at() -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    event = asyncio.Event()
    waiting = asyncio.ensure_future(Patience(60).fresh(later(event, UpstreamError("no"))))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(UpstreamTimeoutError):
        await Patience(0).fresh(later(event, UpstreamError("no")))
    event.set()
    await some_turns()
    gc.collect()
    assert complaints == []


async def test_the_work_goes_on_without_those_who_did_not_wait() -> None:
    done = []

    async def work(event: asyncio.Event) -> None:
        await event.wait()
        done.append(True)

    patience, event = Patience(0.01), asyncio.Event()
    with pytest.raises(UpstreamTimeoutError):
        await patience.fresh(work(event))
    gone = asyncio.ensure_future(Patience(60).fresh(work(event)))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    event.set()
    await eventually(lambda: done == [True, True])
