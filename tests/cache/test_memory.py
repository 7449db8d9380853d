from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.cache.memory import CachedObject, MemoryCache, limits_of
from gateway.errors import NotFoundError


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


FOUND = CachedObject({"ETag": '"e"'}, b"x" * 1000, 1000, '"e"', 0, 1000.0)


def test_it_holds_no_more_than_it_may_and_the_last_used() -> None:
    cache = MemoryCache(limits_of(1_000_000), missing_seconds=5)
    large = replace(FOUND, body=bytes(230_000))
    for number in range(10):
        cache.put(str(number), large)
        cache.get("0")
    assert [key for key in map(str, range(10)) if cache.get(key)] == ["0", "7", "8", "9"]
    cache.put("huge", replace(FOUND, body=bytes(1_000_000)))
    assert cache.get("huge") is None


def test_absence_is_believed_for_a_while() -> None:
    clock = Clock()
    cache = MemoryCache(limits_of(1_000_000), missing_seconds=5, clock=clock)
    cache.put("k", FOUND)
    cache.put_missing("k", NotFoundError("gone", code="NoSuchKey", upstream_status=404), clock.now)
    assert cache.get("k") is None
    first, again = cache.missing("k"), cache.missing("k")
    assert first is not None
    assert (first.detail, first.code, first.upstream_status) == ("gone", "NoSuchKey", 404)
    assert first is not again, "each raises its own"
    clock.now += 5
    assert cache.missing("k") is None
    assert cache.was_missing("k", 1) is not None, "for when nobody can be asked"
    clock.now += 1
    assert cache.was_missing("k", 1) is None
    ends: list[Callable[[], object]] = [
        lambda: cache.put("k", FOUND),
        lambda: cache.forget("k"),
        lambda: cache.note("k", '"e"'),
        cache.expire,
    ]
    for end in ends:
        cache.put_missing("k", NotFoundError(), clock.now)
        end()
        assert cache.missing("k") is None
    assert cache.was_missing("k", 1) is not None, "`expire` ends nothing that may be served in an outage"


def test_an_absence_counts_from_when_the_storage_was_asked() -> None:
    clock = Clock()
    cache = MemoryCache(limits_of(1_000_000), missing_seconds=5, clock=clock)
    clock.now += 4
    cache.put_missing("k", NotFoundError(), asked=1001.0)
    assert cache.missing("k", 1000.5) is not None
    assert cache.missing("k", 1001.0) is None, "it may have been written at that time"
    clock.now += 4
    assert cache.missing("k") is not None, "it is remembered for as long as if the answer had come at once"


@pytest.mark.parametrize(
    ("asked", "believed", "stays"), [(999.0, True, True), (1000.0, True, False), (999.0, False, False)]
)
def test_an_absence_ends_no_object_that_was_found_by_a_later_question(
    asked: float, believed: bool, stays: bool
) -> None:
    cache = MemoryCache(limits_of(1_000_000), missing_seconds=5, clock=Clock())
    cache.put("k", replace(FOUND, believed=believed))
    cache.put_missing("k", NotFoundError(), asked)
    assert (cache.get("k") is not None, cache.missing("k") is None) == (stays, stays)


def test_ages() -> None:
    clock = Clock()
    cache = MemoryCache(limits_of(1_000_000), missing_seconds=5, clock=clock)
    cache.put("k", FOUND)
    clock.now += 7
    assert cache.age(FOUND) == 7
    cache.expire()
    assert cache.age(FOUND) == float("inf")
    assert cache.age(replace(FOUND, checked=clock.now)) == float("inf"), "it may have been asked for just before"
    clock.now += 1
    assert cache.age(replace(FOUND, checked=clock.now)) == 0


def test_a_note_of_another_etag_ends_an_entry() -> None:
    cache = MemoryCache(limits_of(1_000_000), missing_seconds=5)
    cache.put("k", FOUND)
    assert not cache.note("k", '"e"')
    assert cache.get("k") is FOUND
    assert cache.note("k", '"f"')
    assert cache.get("k") is None
    assert not cache.note("k", '"e"'), "nothing was known"


def test_absences_are_bounded_in_bytes_and_drive_no_object_out() -> None:
    cache = MemoryCache(limits_of(1_000_000), missing_seconds=5)
    cache.put("k", FOUND)
    for number in range(1000):
        cache.put_missing(f"{number}/" + "x" * 1000, NotFoundError("x" * 1000), 0.0)
    assert cache.get("k") is FOUND
    remembered = sum(cache.missing(f"{number}/" + "x" * 1000) is not None for number in range(1000))
    assert 5 < remembered < 1_000_000 / 16 / 2000


@pytest.mark.parametrize(("key", "detail"), [("x" * 10_000, ""), ("x", "x" * 10_000)])
def test_an_absence_weighs_what_its_key_and_its_reason_do(key: str, detail: str) -> None:
    cache = MemoryCache(limits_of(1_000_000), missing_seconds=5)
    for number in range(10):
        cache.put_missing(f"{number}{key}", NotFoundError(detail), 0.0)
    assert sum(cache.missing(f"{number}{key}") is not None for number in range(10)) == 1_000_000 // 16 // 11_000


def test_a_sixteenth_of_the_memory_is_for_absences() -> None:
    cache = MemoryCache(limits_of(16_000_000), missing_seconds=5)
    for size, is_kept in ((14_990_000, True), (15_000_000, False)):
        cache.put("k", replace(FOUND, body=bytes(size)))
        assert (cache.get("k") is not None) is is_kept
    for size, is_kept in ((990_000, True), (1_000_000, False)):
        cache.put_missing("k", NotFoundError("x" * size), 0.0)
        assert (cache.missing("k") is not None) is is_kept


def test_the_key_of_an_object_counts() -> None:
    cache = MemoryCache(limits_of(16_000_000), missing_seconds=5)
    cache.put("x" * 15_000_000, FOUND)
    assert cache.get("x" * 15_000_000) is None


def test_a_forgotten_object_is_not_known() -> None:
    cache = MemoryCache(limits_of(1_000_000), missing_seconds=5)
    cache.put("k", FOUND)
    cache.forget("k")
    assert cache.get("k") is None
    assert cache.missing("k") is None
