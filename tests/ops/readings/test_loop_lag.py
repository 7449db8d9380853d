import time

import pytest

from gateway.ops.readings import loop_lag
from gateway.ops.readings.loop_lag import LoopLag
from tests.support.eventually import eventually


async def test_what_holds_the_loop_up_is_noticed_and_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_lag, "_SECONDS", 0.01)
    lag = LoopLag()
    assert lag.seconds == 0
    lag.start()
    time.sleep(0.05)  # noqa: ASYNC251  what must not be
    await eventually(lambda: lag.seconds >= 0.03)
    time.sleep(0.25)  # noqa: ASYNC251
    await eventually(lambda: lag.seconds >= 0.23)
    lag.close()


async def test_it_leaves_no_timer() -> None:
    lag = LoopLag()
    lag.start()
    timer = lag._timer
    assert timer is not None
    lag.close()
    lag.close()
    assert timer.cancelled()
