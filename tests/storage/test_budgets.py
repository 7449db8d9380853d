"""What mounts share, and that none of them takes it all."""

import asyncio
import threading
from collections import Counter
from pathlib import Path
from typing import Self

from gateway.cache.disk.cache import DiskCache
from gateway.cache.disk.quota import GROUP_DIGITS
from gateway.cache.lru import ENTRY_BYTES, LruCache, MemoryLimit, MemoryPool
from gateway.cache.memory import CachedObject, ObjectLimits
from gateway.cache.object_cache import ObjectCache
from gateway.config.cache_settings import CacheSettings, ParallelSettings
from gateway.config.load import load
from gateway.messages import ObjectRequest, Stream, nothing_to_close
from gateway.storage.base import one_chunk
from gateway.storage.budgets import Budgets, MountBudgets
from gateway.transfer.parallel import MemoryBudget
from tests.support.eventually import eventually


def cache(limit: MemoryLimit) -> LruCache[str, bytes]:
    return LruCache("objects", limit, lambda key, value: len(value))


def test_a_mount_that_is_asked_for_much_leaves_the_others_what_they_use() -> None:
    budgets = Budgets()
    quiet, busy = (cache(budgets.memory("objects", 10 * (ENTRY_BYTES + 100))) for _ in range(2))
    for number in range(4):
        quiet.put(f"{number}", bytes(100))
    for number in range(1000):
        busy.put(f"{number}", bytes(100))
    assert [f"{number}" in quiet for number in range(4)] == [True] * 4
    assert len(busy) == 6
    assert all(f"{number}" in busy for number in range(994, 1000)), "its own oldest make room"


def test_a_mount_may_have_all_that_no_other_needs_and_gives_it_up() -> None:
    budgets = Budgets()
    first, second = (cache(budgets.memory("objects", 10 * ENTRY_BYTES)) for _ in range(2))
    for number in range(10):
        first.put(f"{number}", b"")
    assert len(first) == 10
    for number in range(10):
        second.put(f"{number}", b"")
    assert (len(first), len(second)) == (5, 5)


def test_purposes_are_apart() -> None:
    budgets = Budgets()
    objects, pages = (cache(budgets.memory(purpose, 2 * ENTRY_BYTES)) for purpose in ("objects", "pages"))
    for kept in (objects, pages):
        for number in range(2):
            kept.put(f"{number}", b"")
    assert (len(objects), len(pages)) == (2, 2)


def test_a_mount_that_has_no_part_keeps_nothing_whatever_others_have() -> None:
    budgets = Budgets()
    without, with_part = (cache(budgets.memory("people", most)) for most in (0, 2 * ENTRY_BYTES))
    assert not without.put("a", b"")
    assert with_part.put("a", b"")


def test_what_a_mount_had_is_free_when_it_leaves() -> None:
    budgets = Budgets()
    limits = [budgets.memory("objects", 4 * ENTRY_BYTES) for _ in range(2)]
    first, second = (cache(limit) for limit in limits)
    for number in range(2):
        first.put(f"{number}", b"")
    limits[0].leave()
    for number in range(4):
        second.put(f"{number}", b"")
    assert (len(first), len(second)) == (0, 4)


def test_bodies_in_transit_of_one_mount_leave_room_for_those_of_another() -> None:
    budgets = Budgets()
    settings = ParallelSettings.model_validate({"memory_bytes": 9_000_000})
    alone = budgets.transit(settings)
    assert alone.reserve(9_000_000), "there is no other"
    alone.give_back(9_000_000)
    other = budgets.transit(settings)
    taken = sum(alone.reserve(1_000_000) for _ in range(9))
    assert taken == 6
    assert sum(other.reserve(1_000_000) for _ in range(9)) == 2, "twice what is left"
    assert alone.free == other.free == 1_000_000
    alone.give_back(6_000_000)
    assert other.reserve(1_000_000)
    alone.leave()
    assert other.reserve(6_000_000)


class Source:
    """Has one object, of 60,000 bytes."""

    def __init__(self) -> None:
        self.asked = 0

    async def fetch(self, request: ObjectRequest) -> Stream:
        self.asked += 1
        return Stream(200, {"ETag": '"1"', "Content-Length": "60000"}, one_chunk(bytes(60_000)), nothing_to_close)


async def test_what_has_no_room_in_memory_beside_other_mounts_is_kept_on_disk(tmp_path: Path) -> None:
    source, pool = Source(), MemoryPool(100_000)
    mine, *others = (pool.share(100_000) for _ in range(4))
    for limit in others:
        for number in range(100):
            cache(limit).put(f"{number}", bytes(500))
    settings, disk = CacheSettings(memory_bytes=100_000, object_max_bytes=100_000), DiskCache(tmp_path, 10**6, "a")
    limits = ObjectLimits(mine, MemoryLimit(1000))
    objects = ObjectCache(source, MemoryBudget(1_000_000, 4), settings, disk, limits=limits)
    for _ in range(3):
        stream = await objects.fetch(ObjectRequest("GET", "a.txt"))
        assert stream.body is not None
        assert len(b"".join([chunk async for chunk in stream.body])) == 60_000
        stream.close()
        await eventually(lambda: objects.stats()["fills"] == objects.stats()["background_tasks"] == 0)
    assert source.asked == 1
    await objects.close()


async def test_mounts_with_the_same_way_to_credentials_load_them_once(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "storage: {bucket: a-a, aws_access_key_id: AKID, aws_secret_access_key: s}\n"
        "mounts:\n- {name: b, path: /b, storage: {bucket: b-b}}\n"
        "- {name: c, path: /c, storage: {aws_secret_access_key: another}}\n"
    )
    settings = load(config_file=tmp_path / "c.yaml", environ={})
    budgets = Budgets()
    first, second, other = (budgets.credentials(one.storage) for one in settings.all_mounts)
    assert first is second
    assert (await first.get()).secret_key == "s"
    assert (await other.get()).secret_key == "another"


async def test_credentials_are_loaded_until_the_last_mount_is_closed(tmp_path: Path) -> None:
    budgets = Budgets()
    settings = load({"storage.profile_name": "p"}, environ={}, cwd=tmp_path).storage
    first, second = budgets.credentials(settings), budgets.credentials(settings)
    may_end = threading.Event()
    first._load = may_end.wait  # type: ignore[assignment]
    waiting = asyncio.create_task(first.get())
    await asyncio.sleep(0)
    await first.close()
    await asyncio.sleep(0)
    assert not waiting.done(), "the other storage needs them"
    await second.close()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    may_end.set()
    assert budgets.credentials(settings) is not first, "a later mount begins anew"


def test_descriptors_for_entries_on_disk_are_shared_too(tmp_path: Path) -> None:
    assert [Budgets(mounts).open_entries for mounts in (1, 2, 16, 100)] == [64, 32, 4, 4]
    disk = DiskCache(tmp_path, 10**6, "a", max_open=2)
    for number in range(5):
        found = CachedObject({}, None, 1, '"e"', 7, 0.0)
        disk.put(f"{number}", found, b"x")
    assert disk.open_entries == 2


def test_entries_of_one_storage_have_names_that_begin_alike(tmp_path: Path) -> None:
    """Their quota tells by that whose they are."""
    for scope in ("a", "b"):
        disk = DiskCache(tmp_path, 10**6, scope)
        for number in range(3):
            disk.put(f"{number}", CachedObject({}, None, 1, '"e"', 7, 0.0), b"x")
    names = [path.name for path in tmp_path.rglob("*") if len(path.name) == 64]
    assert len(names) == 6
    assert sorted(Counter(name[:GROUP_DIGITS] for name in names).values()) == [3, 3]


def test_what_mounts_have_shares_of_is_made_once_and_left_by_those_that_end() -> None:
    class Kind:
        def __init__(self, option: int = 0) -> None:
            self.option = option

    budgets = Budgets()
    assert budgets.one(Kind) is budgets.one(Kind)
    assert Budgets().one(Kind) is not budgets.one(Kind)
    found = [budgets.one(Kind, option=option) for option in (1, 1, 2)]
    assert [one.option for one in found] == [1, 1, 2]
    assert found[0] is found[1]


def test_what_a_mount_has_of_it_is_given_back_once() -> None:
    class Kind:
        parts = 0

        def share(self) -> Self:
            self.parts += 1
            return self

        def leave(self) -> None:
            self.parts -= 1

    whole = Budgets()
    first, second = (MountBudgets(whole) for _ in range(2))
    kind = first.part(Kind)
    assert second.part(Kind) is kind
    assert kind.parts == 2
    first.leave()
    assert kind.parts == 1
    first.leave()
    second.abandon()
    assert kind.parts == 0
