"""Entries of the disk cache that a process has open: which of their bytes are verified, and when they were used."""

import hashlib
import logging
import os
from pathlib import Path

import pytest

from gateway.cache.disk.blocks import BlockHasher
from gateway.cache.disk.cache import DiskCache
from gateway.cache.disk.quota import DiskQuota
from gateway.cache.memory import CachedObject

MB = 1024 * 1024
BODY = os.urandom(3 * MB)


def put(disk: DiskCache, key: str, body: bytes) -> None:
    disk.put(key, CachedObject({"ETag": '"e"'}, None, len(body), '"e"', 7, 0.0), body)


def path_of(directory: Path) -> Path:
    [path] = [path for path in directory.rglob("*") if len(path.name) == 64]
    return path


def test_an_entry_that_a_process_has_written_is_open_and_verified(tmp_path: Path) -> None:
    disk = DiskCache(tmp_path, 100 * MB, "bucket")
    put(disk, "k", BODY)
    entry = disk.hot("k")
    assert entry is not None
    assert (entry.size, entry.header.etag, entry.header.modified, entry.blocks.pending) == (len(BODY), '"e"', 7, set())
    assert entry.checked == path_of(tmp_path).stat().st_mtime
    assert os.pread(entry.file.descriptor, 10, 5) == BODY[5:15]
    assert disk.open_entries == 1


def test_blocks_are_verified_once_for_all_who_open_an_entry(tmp_path: Path) -> None:
    put(DiskCache(tmp_path, 100 * MB, "bucket"), "k", BODY)
    disk = DiskCache(tmp_path, 100 * MB, "bucket")
    first = disk.find("k")
    assert first is not None
    assert first.blocks.pending == {0, 1, 2}
    first.blocks.verify(MB, MB + 1)
    second = disk.find("k")
    assert second is not None
    assert second.blocks.pending == {0, 2}
    assert disk.hot("k") is second
    os.utime(path_of(tmp_path), (1, 1))
    third = disk.find("k")
    assert third is not None
    assert third.blocks.pending == {0, 1, 2}, "another file, for all that is known"
    assert third.checked == 1


def test_a_small_entry_is_verified_when_it_is_opened(tmp_path: Path) -> None:
    put(DiskCache(tmp_path, 100 * MB, "bucket"), "k", b"small")
    entry = DiskCache(tmp_path, 100 * MB, "bucket").find("k")
    assert entry is not None
    assert entry.blocks.pending == set()


def test_an_entry_counts_as_used_when_it_is_opened_and_once_a_minute_after(tmp_path: Path) -> None:
    now = 1000.0
    put(DiskCache(tmp_path, 100 * MB, "bucket"), "k", b"small")
    path = path_of(tmp_path)
    modified = path.stat().st_mtime_ns
    disk = DiskCache(tmp_path, 100 * MB, "bucket", clock=lambda: now)

    def is_touched() -> bool:
        touched = path.stat().st_atime > 1_000_000
        os.utime(path, ns=(0, modified))
        return touched

    is_touched()
    assert disk.find("k") is not None
    assert is_touched()
    for seconds, expected in ((60.0, False), (0.1, True), (60.0, False), (1.0, True)):
        now += seconds
        assert disk.hot("k") is not None
        assert is_touched() is expected
    assert path.stat().st_mtime_ns == modified, "it is the same file for all who know it"


def test_so_many_entries_are_open_at_a_time(tmp_path: Path) -> None:
    disk = DiskCache(tmp_path, 100 * MB, "bucket")
    for number in range(70):
        put(disk, str(number), b"x")
    assert disk.open_entries == 64
    assert (disk.hot("5"), disk.hot("6") is not None) == (None, True)


def test_what_makes_room_for_another_storage_does_not_stay_open(tmp_path: Path) -> None:
    """As long as a file is open, its bytes are not free."""
    quota = DiskQuota(tmp_path, 16 * MB)
    idle, busy = (DiskCache(tmp_path, 16 * MB, scope, quota) for scope in "ab")
    for disk in (idle, busy):
        for number in range(4):
            put(disk, str(number), BODY)
    there = [path for path in tmp_path.rglob("*") if len(path.name) == 64]
    assert len(there) < 6
    assert idle.open_entries + busy.open_entries == len(there)


def test_what_is_removed_is_neither_open_nor_there(tmp_path: Path) -> None:
    disk = DiskCache(tmp_path, 100 * MB, "bucket")
    put(disk, "k", b"x")
    disk.remove("k")
    assert (disk.hot("k"), disk.open_entries, disk.find("k")) == (None, 0, None)
    assert disk.on
    disk.remove("k")
    assert disk.on, "it need not be there"


def test_a_file_that_can_not_be_opened_turns_the_cache_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    disk = DiskCache(tmp_path, 100 * MB, "bucket", clock=lambda: now)
    put(disk, "k", b"x")
    path = path_of(tmp_path)
    content = path.read_bytes()
    path.unlink()
    path.symlink_to(path.name)
    with caplog.at_level(logging.ERROR):
        assert disk.find("k") is None
    assert f"the cache in {tmp_path} is off for 60 s: [Errno 40] Too many levels" in caplog.text
    path.unlink()
    path.write_bytes(content)
    now = 59.9
    assert (disk.on, disk.takes(1), disk.begin(1), disk.find("k")) == (False, False, None, None)
    disk.trouble("more")
    assert len(caplog.records) == 1, "it is said once"
    now = 119.8
    assert not disk.on, "but it lasts longer"
    now = 119.9
    assert disk.on
    assert disk.find("k") is not None


def test_a_file_that_can_not_be_removed_turns_the_cache_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    disk = DiskCache(tmp_path, 100 * MB, "bucket")
    put(disk, "k", b"x")
    path = path_of(tmp_path)
    path.unlink()
    path.mkdir()
    disk.remove("k")
    assert not disk.on
    assert "Is a directory" in caplog.text


def test_what_is_not_published_is_given_back(tmp_path: Path) -> None:
    disk = DiskCache(tmp_path, 4 * MB, "bucket")
    for _ in range(10):
        incoming = disk.begin(MB)
        assert incoming is not None
        hasher = BlockHasher(whole=True)
        hasher.update(b"x")
        found = CachedObject({}, None, MB, '"e"', 7, 0.0, sha256="0" * 64)
        assert disk.publish("k", incoming, hasher, found) is False
        disk.drop(incoming)
    incoming = disk.begin(0)
    assert incoming is not None
    assert disk.publish("k", incoming, BlockHasher(), CachedObject({}, None, 0, '"e"', None, 0.0)) is True
    disk.drop(incoming)
    entry = disk.find("k")
    assert entry is not None
    assert (entry.size, entry.header.modified) == (0, None)


@pytest.mark.parametrize("size", [5, 3 * MB])
def test_the_entry_of_another_object_is_dropped_whatever_its_name(
    tmp_path: Path, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    disk = DiskCache(tmp_path, 100 * MB, "bucket")
    put(disk, "k", b"k")
    path = path_of(tmp_path)
    other = DiskCache(tmp_path / "other", 100 * MB, "bucket")
    put(other, "other", bytes(size))
    path_of(tmp_path / "other").rename(path)
    assert disk.find("k") is None
    assert caplog.messages == [f"dropped a damaged cache entry: {path}: the entry belongs to another object"]
    assert not path.exists()


def test_an_object_that_is_not_kept_is_named_with_both_hashes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    body = b"body"
    disk = DiskCache(tmp_path, 100 * MB, "bucket")
    disk.put("k", CachedObject({}, None, 4, '"e"', 7, 0.0, sha256="0" * 64), body)
    is_hash = hashlib.sha256(body).hexdigest()
    assert caplog.messages == [f"'k' is not kept: its SHA-256 is {is_hash}, and should be {'0' * 64}"]


def test_a_key_may_be_any_text(tmp_path: Path) -> None:
    disk = DiskCache(tmp_path, 100 * MB, "bucket")
    put(disk, "\udcff", b"x")
    assert DiskCache(tmp_path, 100 * MB, "bucket").find("\udcff") is not None


def test_an_entry_that_has_changed_is_no_longer_open(tmp_path: Path) -> None:
    disk = DiskCache(tmp_path, 100 * MB, "bucket")
    for key in ("k", "other"):
        put(disk, key, key.encode())
    for path in tmp_path.rglob("*"):
        if len(path.name) == 64:
            path.unlink()
    assert (disk.open_entries, disk.hot("k"), disk.open_entries) == (2, None, 1)
