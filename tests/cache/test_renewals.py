import asyncio
import gc

import pytest

from gateway.cache.renewals import Renewals
from tests.support.eventually import eventually
from tests.support.spans import within


class Work:
    """Ends with its number when it is let go."""

    def __init__(self) -> None:
        self.begun = 0
        self.running = 0
        self.most = 0
        self.go_on: dict[int, asyncio.Event] = {}

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        self.running += 1
        self.most = max(self.most, self.running)
        go_on = self.go_on[number] = asyncio.Event()
        try:
            await go_on.wait()
        finally:
            self.running -= 1
        return number

    async def until(self, begun: int) -> None:
        await eventually(lambda: self.begun == begun)


async def test_who_needs_nothing_newer_shares_the_task_and_who_does_begins_another() -> None:
    renewals, work = Renewals[int](), Work()
    first = renewals.begin("k", 0.0, work)
    assert renewals.begin("k", 0.0, work) is first
    assert (renewals.running("k", 0.0), renewals.running("k", 1.0), renewals.running("other", 0.0)) == (
        True,
        False,
        False,
    )
    second = renewals.begin("k", 1.0, work)
    assert second is not first
    assert renewals.begin("k", 0.0, work) is second, "a newer result is as good"
    other = renewals.begin("other", 0.0, work)
    await work.until(3)
    for go_on in work.go_on.values():
        go_on.set()
    assert (await first, await second, await other) == (1, 2, 3)
    await eventually(lambda: not renewals.running("k", 1.0) and not renewals.running("other", 0.0))
    again = renewals.begin("k", 1.0, work)
    await work.until(4)
    work.go_on[4].set()
    assert await again == 4, "afterwards it is done again"


async def test_all_changes_while_two_tasks_run_have_one_more_between_them() -> None:
    renewals, work = Renewals[int](), Work()
    first, second = renewals.begin("k", 0.0, work), renewals.begin("k", 1.0, work)
    later = {renewals.begin("k", float(change), work) for change in range(2, 100)}
    assert renewals.running("k", 1000.0), "it has not begun, so it takes every change into account"
    [third] = later
    await work.until(2)
    work.go_on[2].set()
    assert await second == 2
    await work.until(3)
    assert not renewals.running("k", 1000.0)
    fourth = renewals.begin("k", 1000.0, work)
    assert fourth is not third
    for _ in range(10):
        await asyncio.sleep(0)
    assert work.begun == 3, "it waits for its turn"
    work.go_on[3].set()
    assert await third == 3
    await work.until(4)
    work.go_on[1].set()
    work.go_on[4].set()
    assert (await first, await fourth, work.most) == (1, 4, 2)


async def test_an_error_reaches_all_callers_and_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    renewals, work = Renewals[int](), Work()

    async def failing() -> int:
        raise ValueError("no")

    first, second = renewals.begin("k", 0.0, work), renewals.begin("k", 1.0, failing)
    third = renewals.begin("k", 2.0, work)
    await work.until(2)
    work.go_on[1].set()
    work.go_on[2].set()
    assert (await first, await third) == (1, 2)
    with pytest.raises(ValueError, match="no"):
        await second
    renewals.begin("k", 3.0, failing)  # whose caller has left
    await eventually(lambda: not renewals.running("k", 3.0))
    gc.collect()
    assert caplog.text == ""


async def test_close_ends_what_runs_and_what_waits() -> None:
    renewals, work = Renewals[int](), Work()
    tasks = [renewals.begin("k", float(change), work) for change in range(3)]
    await work.until(2)
    await renewals.close()
    assert [task.cancelled() for task in tasks] == [True] * 3
    assert (work.begun, work.running, renewals.running("k", 0.0)) == (2, 0, False)


async def test_who_shares_a_task_is_linked_to_the_span_of_the_first() -> None:
    renewals, work = Renewals[int](), Work()
    with within() as first:
        renewals.begin("k", 0.0, work)
    with within() as second:
        renewals.begin("k", 0.0, work)
    await work.until(1)
    with within() as third:
        renewals.begin("k", 1.0, work)  # one that takes a change into account
    with within() as fourth:
        renewals.begin("k", 1.0, work)
    assert [span.links for span in (first, second, third, fourth)] == [[], [first], [], [third]]
    await renewals.close()
