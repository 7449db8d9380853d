import pytest

from gateway.http.cache_status import hit


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


def test_a_hit_is_not_stale_unless_it_is_said() -> None:
    assert hit(376.5) == "gateway; hit; ttl=376"
