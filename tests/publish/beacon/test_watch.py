"""How often the beacon is read."""

import pytest

from gateway.publish.beacon.ring import Ring
from gateway.publish.beacon.watch import Watch

USED = Watch("", None, asked_at=1000.0, read_at=1000.0)
UNUSED = Watch("", None, asked_at=900.0, read_at=1000.0)


@pytest.mark.parametrize(
    ("watch", "seconds"),
    [
        (USED, 1),
        (UNUSED, 30),
        (USED.failed(1000.0), 1),
        (USED.failed(1000.0).failed(1000.0), 2),
        (USED.failed(1000.0).failed(1000.0).failed(1000.0).failed(1000.0).failed(1000.0), 10),
        (USED.failed(1000.0).unchanged(1000.0), 1),
        (USED.failed(1000.0, denied=True), 60),
        (USED.failed(1000.0, denied=True).failed(1000.0), 10),
        (USED.failed(1000.0).found(Ring(), None, 1000.0)[0], 1),
        (USED.found(None, '"x"', 1000.0)[0], 30),
        (USED.found(None, '"x"', 1000.0)[0].unchanged(1000.0), 30),
        (UNUSED.asked(1000.0), 1),
    ],
)
def test_it_is_due_after(watch: Watch, seconds: float) -> None:
    assert not watch.due(1000.0 + seconds - 0.2, 60.0)
    assert watch.due(1000.0 + seconds, 60.0)


def test_a_gateway_is_used_while_it_has_a_listing_that_it_would_use() -> None:
    assert UNUSED.due(1001.0, 3600.0)
    assert not UNUSED.due(1001.0, 60.0)
    assert UNUSED.asked(942.0).due(1001.0, 1.0), "for a minute in any case"
    assert not UNUSED.asked(940.0).due(1001.0, 1.0)


def test_at_first_it_is_due() -> None:
    assert Watch().due(0.0, 60.0)
