import pytest

from gateway.http import cache_status
from gateway.http.cache_status import fetched, hit, is_stale


@pytest.mark.parametrize(
    ("fresh_for", "stale", "told"),
    [
        (29.9, False, "gateway; hit; ttl=29"),
        (0.0, False, "gateway; hit; ttl=0"),
        (-0.1, False, "gateway; hit; ttl=-1"),
        (-7.0, True, "gateway; hit; ttl=-7; detail=stale"),
        (20.0, True, "gateway; hit; ttl=0; detail=stale"),
    ],
)
def test_a_hit_tells_how_fresh_it_is(fresh_for: float, stale: bool, told: str) -> None:
    assert hit(fresh_for, stale=stale) == told
    assert is_stale(told) == stale


def test_a_hit_is_not_stale_unless_it_is_said() -> None:
    assert hit(376.5) == "gateway; hit; ttl=376"


@pytest.mark.parametrize(
    ("status", "what"),
    [
        (cache_status.MISS, "miss"),
        (cache_status.BYPASSED, "miss"),
        (cache_status.REVALIDATED, "revalidated"),
        (cache_status.COLLAPSED, ""),
        (hit(3.0), ""),
        (hit(-3.0, stale=True), ""),
        ("", ""),
    ],
)
def test_it_tells_what_the_storage_was_asked_for(status: str, what: str) -> None:
    assert fetched(status) == what
