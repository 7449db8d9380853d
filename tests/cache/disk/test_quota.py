"""How many bytes a directory may hold, and which files make room."""

import os
from pathlib import Path

import pytest

from gateway.cache.disk.quota import DiskQuota
from gateway.cache.lru import CacheSize

MAX = 16_000


def keep(directory: Path, number: int, size: int, used: int) -> Path:
    """An entry of the cache, used last at `used`."""
    path = directory / f"{number:02x}" / f"{number:064x}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (used, 1))
    return path


def write_incoming(directory: Path, size: int) -> Path:
    """A file that another process is writing."""
    path = directory / "incoming" / ("a" * 32)
    path.parent.mkdir()
    path.write_bytes(bytes(size))
    return path


def test_bytes_are_given_up_to_the_limit(tmp_path: Path) -> None:
    write_incoming(tmp_path, MAX - 1)
    assert not DiskQuota(tmp_path, MAX).reserve(2)
    quota = DiskQuota(tmp_path, MAX)
    assert quota.reserve(1)
    assert quota.reserve(0)


def test_a_file_may_take_all(tmp_path: Path) -> None:
    assert not DiskQuota(tmp_path, MAX).reserve(MAX + 1)
    assert DiskQuota(tmp_path, MAX).reserve(MAX)


def test_what_is_given_back_can_be_had_again(tmp_path: Path) -> None:
    quota = DiskQuota(tmp_path, MAX)
    quota.give_back(5000)
    assert quota.reserve(200)
    quota.give_back(10_000)
    keep(tmp_path, 1, MAX, 1)
    assert quota.reserve(1), "it knows of nothing yet"
    assert (tmp_path / "01" / f"{1:064x}").exists()


def test_the_files_that_were_used_longest_ago_make_room_and_a_sixteenth_more(tmp_path: Path) -> None:
    paths = [keep(tmp_path, number, 1000, used) for number, used in enumerate([50, 10, 40, 20, 30] * 3)]
    quota = DiskQuota(tmp_path, MAX)
    assert quota.reserve(1000)
    assert all(path.exists() for path in paths), "there was room for one more"
    paths.append(keep(tmp_path, 15, 1000, 60))
    assert quota.reserve(1000)
    assert [number for number, path in enumerate(paths) if not path.exists()] == [1, 6]


@pytest.mark.parametrize("name", ["x" * 64, "A" * 64, "0" * 63, "0" * 65, "notes.txt"])
@pytest.mark.parametrize("folder", ["ab", "abc", "AB", "notes"])
def test_what_is_not_ours_is_never_removed_nor_counted(tmp_path: Path, folder: str, name: str) -> None:
    path = tmp_path / folder / name
    path.parent.mkdir()
    path.write_bytes(bytes(2 * MAX))
    os.utime(path, (1, 1))
    (tmp_path / "cd").touch()
    assert DiskQuota(tmp_path, MAX).reserve(MAX)
    assert path.exists()


def test_what_other_processes_add_is_seen_after_a_64th_of_the_whole(tmp_path: Path) -> None:
    quota = DiskQuota(tmp_path, MAX)
    assert quota.reserve(MAX // 64)
    paths = [keep(tmp_path, number, 4000, number + 1) for number in range(5)]
    assert quota.reserve(1)
    assert all(path.exists() for path in paths), "not yet"
    assert quota.reserve(1)
    assert [path.exists() for path in paths] == [False, False, True, True, True]


def test_files_that_are_being_written_count(tmp_path: Path) -> None:
    incoming = write_incoming(tmp_path, 10_000)
    entry = keep(tmp_path, 1, 5000, 1)
    assert DiskQuota(tmp_path, MAX).reserve(1000)
    assert entry.exists()
    assert DiskQuota(tmp_path, MAX).reserve(1001)
    assert (entry.exists(), incoming.exists()) == (False, True)


def test_what_a_killed_process_has_left_goes_after_a_minute(tmp_path: Path) -> None:
    incoming = write_incoming(tmp_path, MAX)
    assert not DiskQuota(tmp_path, MAX).reserve(1)
    assert incoming.exists()
    os.utime(incoming, (1, 1))
    assert DiskQuota(tmp_path, MAX).reserve(MAX)
    assert not incoming.exists()


def test_the_directory_is_made_with_those_above_it_and_its_lock_is_ours_alone(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    assert DiskQuota(directory, MAX).reserve(1)
    assert (directory / "lock").stat().st_mode & 0o777 == 0o600


def test_all_that_a_killed_process_has_left_goes_and_the_rest_is_counted(tmp_path: Path) -> None:
    for number in range(5):
        incoming = tmp_path / "incoming" / f"{number:032x}"
        incoming.parent.mkdir(exist_ok=True)
        incoming.write_bytes(bytes(3000))
        os.utime(incoming, (1, 1))
    keep(tmp_path, 1, 1000, 1)
    write = tmp_path / "incoming" / ("f" * 32)
    write.write_bytes(bytes(15_000))
    assert not DiskQuota(tmp_path, MAX).reserve(1001)
    assert [path.name for path in (tmp_path / "incoming").iterdir()] == ["f" * 32]


def test_a_link_counts_as_itself(tmp_path: Path) -> None:
    entry = keep(tmp_path, 1, 1000, 1)
    target = tmp_path / "target"
    target.write_bytes(bytes(10 * MAX))
    entry.unlink()
    entry.symlink_to(target)
    assert DiskQuota(tmp_path, MAX).reserve(MAX - 200)
    assert entry.is_symlink()


def keep_of(directory: Path, group: str, number: int, used: int) -> Path:
    """An entry of a storage: the names of all its entries begin alike."""
    path = directory / f"{number:02x}" / f"{group * 8}{number:056x}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(1000))
    os.utime(path, (used, 1))
    return path


@pytest.mark.parametrize("age", [100, 6 * 86400])
def test_the_storage_with_the_most_bytes_makes_room(tmp_path: Path, age: int) -> None:
    """Its least recently used go first, though those of others are older."""
    quiet = [keep_of(tmp_path, "a", number, number) for number in range(3)]
    busy = [keep_of(tmp_path, "b", number, age + number) for number in range(13)]
    assert DiskQuota(tmp_path, MAX).reserve(2000)
    assert all(path.exists() for path in quiet)
    assert [number for number, path in enumerate(busy) if not path.exists()] == [0, 1, 2]


def test_a_storage_that_nobody_uses_any_more_makes_room_first(tmp_path: Path) -> None:
    week = 7 * 86400
    former = [keep_of(tmp_path, "a", number, number) for number in range(4)]
    quiet = [keep_of(tmp_path, "c", number, week) for number in range(2)]
    used = [keep_of(tmp_path, "b", number, week + 4 + number) for number in range(10)]
    assert DiskQuota(tmp_path, MAX).reserve(1000)
    assert [path.exists() for path in former] == [False, False, True, True]
    assert DiskQuota(tmp_path, MAX).reserve(5000)
    assert not any(path.exists() for path in former)
    assert all(path.exists() for path in quiet)
    assert [path.exists() for path in used] == [False, False, *[True] * 8]


def test_it_tells_what_it_has_counted_and_reserved_since(tmp_path: Path) -> None:
    for number in range(3):
        keep(tmp_path, number, 5000, number)
    write_incoming(tmp_path, 100)
    quota = DiskQuota(tmp_path, MAX)
    assert (quota.stats(), quota.max_bytes) == (None, MAX)
    assert quota.reserve(200)
    assert quota.stats() == CacheSize(15_300, 4)
    quota.give_back(200)
    assert quota.stats() == CacheSize(15_100, 3)
    assert quota.reserve(2000)
    assert quota.stats() == CacheSize(12_100, 3), "one has made room"
    for _ in range(5):
        quota.give_back(5000)
    assert quota.stats() == CacheSize(0, 0)
