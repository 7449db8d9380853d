"""Caches that share one limit."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.lru import ENTRY_BYTES, CacheSize, LruCache, MemoryLimit, MemoryPool, weight_of


def cache(name: str, limit: MemoryLimit) -> LruCache[str, bytes]:
    return LruCache(name, limit, lambda key, value: len(value))


def test_the_entry_unused_for_longest_goes_first_whichever_cache_it_is_in() -> None:
    limit = MemoryLimit(3 * (ENTRY_BYTES + 100))
    pages, objects = cache("pages", limit), cache("objects", limit)
    pages.put("a", bytes(100))
    objects.put("b", bytes(100))
    pages.put("c", bytes(100))
    assert pages.get("a") is not None  # a use: now "b" is the oldest
    objects.put("d", bytes(100))
    assert ("a" in pages, "b" in objects, "c" in pages, "d" in objects) == (True, False, True, True)


def test_looking_whether_an_entry_is_there_is_no_use() -> None:
    limit = MemoryLimit(2 * ENTRY_BYTES)
    kept = cache("objects", limit)
    kept.put("a", b"")
    kept.put("b", b"")
    assert "a" in kept
    kept.put("c", b"")
    assert "a" not in kept


def test_a_value_over_the_limit_is_not_kept_and_takes_nothing_away_but_what_it_replaces() -> None:
    limit = MemoryLimit(2 * ENTRY_BYTES)
    kept = cache("objects", limit)
    kept.put("a", b"")
    kept.put("b", b"")
    assert not kept.put("b", bytes(ENTRY_BYTES + 1))
    assert kept.get("a") == b""
    assert kept.get("b") is None
    assert limit.stats() == {"objects": ENTRY_BYTES}


def test_a_value_that_just_fits_is_kept_with_its_key() -> None:
    limit = MemoryLimit(ENTRY_BYTES + 10)
    kept = LruCache[str, bytes]("objects", limit, lambda key, value: len(key) + len(value))
    assert not kept.put("key", bytes(8))
    assert kept.put("key", bytes(7))
    assert limit.stats() == {"objects": ENTRY_BYTES + 10}


def test_with_a_limit_of_zero_nothing_is_kept() -> None:
    limit = MemoryLimit(0)
    kept = cache("objects", limit)
    assert not kept.put("a", b"")
    assert len(kept) == 0


def test_clear_gives_back_what_one_cache_holds() -> None:
    limit = MemoryLimit(10_000)
    pages, objects = cache("pages", limit), cache("objects", limit)
    pages.put("a", b"1")
    objects.put("a", b"22")
    pages.clear()
    assert limit.stats() == {"pages": 0, "objects": ENTRY_BYTES + 2}
    assert objects.get("a") == b"22"


@given(
    st.integers(0, 3000),
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5), st.one_of(st.none(), st.integers(0, 1500)))),
)
def test_what_is_held_never_exceeds_the_limit_and_adds_up(
    max_bytes: int, steps: list[tuple[int, int, int | None]]
) -> None:
    limit = MemoryLimit(max_bytes)
    caches = [cache("a", limit), cache("b", limit)]
    latest: dict[tuple[int, int], bytes] = {}
    for which, key, size in steps:
        if size is None:
            caches[which].pop(str(key))
        else:
            caches[which].put(str(key), bytes(size))
            latest[which, key] = bytes(size)
        held = [(w, k, caches[w].get(str(k))) for w, k in latest]
        assert all(value is None or value == latest[w, k] for w, k, value in held)
        assert sum(limit.stats().values()) == sum(len(v) + ENTRY_BYTES for _, _, v in held if v is not None)
        assert sum(limit.stats().values()) <= max_bytes


def test_the_weight_of_a_container_counts_what_is_in_it() -> None:
    text = "x" * 1000
    assert weight_of(text) >= 1000
    assert weight_of((text, [text], {"k": text})) >= 3000
    assert weight_of({text: ""}) >= 1000


def test_a_pool_tells_what_the_caches_of_all_mounts_hold_together() -> None:
    pool = MemoryPool(10_000)
    first, second = pool.share(10_000), pool.share(10_000)
    cache("pages", first).put("a", bytes(100))
    cache("listings", first)
    pages = cache("pages", second)
    pages.put("a", bytes(200))
    pages.put("b", bytes(300))
    found = {"pages": CacheSize(600 + 3 * ENTRY_BYTES, 3), "listings": CacheSize(0, 0)}
    assert pool.stats() == found
    second.leave()
    assert pool.stats()["pages"] == CacheSize(100 + ENTRY_BYTES, 1)


def test_a_mount_has_room_for_what_the_others_leave_and_for_its_fair_part() -> None:
    pool = MemoryPool(10 * ENTRY_BYTES)
    first, second = pool.share(10 * ENTRY_BYTES), pool.share(8 * ENTRY_BYTES)
    assert (first.room, second.room) == (10 * ENTRY_BYTES, 8 * ENTRY_BYTES)
    for number in range(9):
        cache("objects", first).put(f"{number}", b"")
    assert (first.room, second.room) == (10 * ENTRY_BYTES, 5 * ENTRY_BYTES)
    first.leave()
    assert (first.room, second.room) == (0, 8 * ENTRY_BYTES)
    assert MemoryLimit(7).room == 7
