import pytest

from gateway.cache.cached_response import answer
from gateway.cache.memory import CachedObject
from gateway.messages import ObjectRequest


@pytest.mark.parametrize(
    ("came_with", "kept_for", "told"), [({}, 0.9, None), ({}, 7.9, "7"), ({"Age": "3"}, 7.9, "10")]
)
@pytest.mark.parametrize("condition", [{}, {"if-none-match": '"e"'}])
def test_an_answer_tells_how_old_it_is(
    came_with: dict[str, str], kept_for: float, told: str | None, condition: dict[str, str]
) -> None:
    """RFC 9111, 5.1: with the time that it has spent in other caches."""
    found = CachedObject({"ETag": '"e"', **came_with}, b"x", 1, '"e"', None, 0.0)
    stream = answer(ObjectRequest("GET", "k", condition), found, None, cache_status="gateway; hit", age=kept_for)
    assert stream.status == (304 if condition else 200)
    assert stream.headers.get("Age") == told
