import math

import pytest

from gateway.http.freshness import age, lifetime, may_be_kept, updated


@pytest.mark.parametrize(
    ("cache_control", "kept", "seconds"),
    [
        ("", True, math.inf),
        ("public", True, math.inf),
        ("no-store", False, math.inf),
        ("NO-STORE", False, math.inf),
        ("private", False, math.inf),
        ("max-age=5,private", False, 5),
        ('private="a, b"', False, math.inf),
        ('x="no-store, private"', True, math.inf),
        ("not-private, no-storey", True, math.inf),
        ("no-cache", True, 0),
        ('no-cache="set-cookie"', True, 0),
        ("max-age=60", True, 60),
        ('max-age="60"', True, 60),
        ("Max-Age=60 , S-MaxAge=7", True, 7),
        ("s-maxage=600, max-age=0", True, 600),
        ("max-age=60, no-cache", True, 0),
        ("max-age=60, max-age=7", True, 60),
        ("max-age", True, 0),
        ("max-age=", True, 0),
        ("max-age=-1", True, 0),
        ("max-age=1.5", True, 0),
        ("max-age=x", True, 0),
        (f"max-age={'9' * 20}", True, 0),
        (f"max-age={'9' * 19}", True, float("9" * 19)),
        ("max-age=\u0663", True, 0),
        (',,;="', True, math.inf),
        ("must-revalidate, immutable", True, math.inf),
    ],
)
def test_directives(cache_control: str, kept: bool, seconds: float) -> None:
    headers = {"Cache-Control": cache_control} if cache_control else {}
    assert may_be_kept(headers) is kept
    assert lifetime(headers) == seconds


@pytest.mark.parametrize(("value", "seconds"), [("0", 0), ("7", 7), ("", 0), ("-1", 0), ("x", 0), ("1, 2", 0)])
def test_time_spent_in_other_caches_counts(value: str, seconds: int) -> None:
    assert age({"Age": value}) == seconds
    assert lifetime({"Cache-Control": "max-age=60", "Age": value}) == 60 - seconds
    assert lifetime({"Cache-Control": "max-age=5", "Age": "9"}) == 0
    assert age({}) == 0


def test_a_304_updates_what_is_said_of_the_object_and_nothing_of_its_body() -> None:
    stored = {"Age": "9", "Cache-Control": "a", "Content-Type": "b", "ETag": '"c"', "Content-Length": "3"}
    assert updated(stored, {}) == {name: value for name, value in stored.items() if name != "Age"}
    new = {"Age": "1", "Cache-Control": "x", "Content-Type": "y", "Content-Length": "0", "Last-Modified": "z"}
    assert updated(stored, new) == stored | {"Age": "1", "Cache-Control": "x", "Last-Modified": "z"}
