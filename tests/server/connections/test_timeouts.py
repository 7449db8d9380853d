import asyncio

from gateway.server.connections.timeouts import Timeouts
from tests.support.eventually import eventually


class Transport(asyncio.WriteTransport):
    def __init__(self) -> None:
        self.waiting, self.aborted = 100, False

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def abort(self) -> None:
        self.aborted = True


class Ended:
    """What is called when a timeout is over."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


async def test_what_does_not_arrive_in_time_ends_it() -> None:
    ended = Ended()
    Timeouts(asyncio.get_running_loop(), ended).expect(0.01)
    await eventually(lambda: ended.times == 1)


async def test_the_deadline_moves_with_each_expectation_and_ends() -> None:
    ended, loop = Ended(), asyncio.get_running_loop()
    timeouts = Timeouts(loop, ended)
    timeouts.expect(0.01)
    timeouts.expect(60)
    timeouts._look()  # the first timer's
    assert ended.times == 0
    timeouts.expect_nothing()
    timeouts._look()
    assert ended.times == 0
    timeouts.expect(60)
    timeouts.expect(0.01)  # which is before the timer that is set
    await eventually(lambda: ended.times > 0)


async def test_a_client_that_takes_nothing_is_cut_off_and_one_that_is_slow_is_not() -> None:
    timeouts, transport = Timeouts(asyncio.get_running_loop(), Ended()), Transport()
    checks = 0

    def size() -> int:
        nonlocal checks
        checks += 1
        transport.waiting -= 1 if checks < 12 else 0
        return transport.waiting

    transport.get_write_buffer_size = size  # type: ignore[method-assign]
    timeouts.watch(transport, 0.001)
    await eventually(lambda: transport.aborted)
    assert checks >= 12, "not while it took something"


async def test_nothing_happens_after_all_was_taken_or_the_end() -> None:
    ended = Ended()
    for end in (Timeouts.flows, Timeouts.cancel):
        timeouts, transport = Timeouts(asyncio.get_running_loop(), ended), Transport()
        timeouts.watch(transport, 0.001)
        if end is Timeouts.cancel:
            timeouts.expect(0.001)
        end(timeouts)
        await asyncio.sleep(0.01)
        assert not transport.aborted
    assert ended.times == 0
