"""Objects on disk: whole or not there, within their bytes, over restarts, by several."""

import errno
import hashlib
import logging
import os
from pathlib import Path

import pytest

from gateway.cache.disk.cache import DiskCache
from gateway.cache.memory import CachedObject

MB = 1024 * 1024


def found(body: bytes, **more: object) -> CachedObject:
    headers = {"ETag": '"e"', "Content-Type": "text/plain", "Content-Length": str(len(body))}
    return CachedObject(headers, None, len(body), '"e"', 7, 0.0, **more)  # type: ignore[arg-type]


def put(disk: DiskCache, key: str, body: bytes) -> None:
    disk.put(key, found(body), body)


def body_of(disk: DiskCache, key: str) -> bytes | None:
    entry = disk.find(key)
    return os.pread(entry.file.descriptor, entry.size, 0) if entry is not None else None


def files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file() and path.name != "lock"]


def test_what_is_put_is_found_again_also_by_another_process(tmp_path: Path) -> None:
    body = os.urandom(100_000)
    put(DiskCache(tmp_path, 10 * MB, "bucket"), "ü/k.whl", body)
    entry = DiskCache(tmp_path, 10 * MB, "bucket").find("ü/k.whl")
    assert entry is not None
    assert os.pread(entry.file.descriptor, entry.size, 0) == body
    assert (entry.header.etag, entry.header.modified, entry.header.headers["Content-Type"]) == ('"e"', 7, "text/plain")
    assert body_of(DiskCache(tmp_path, 10 * MB, "bucket"), "other") is None
    assert body_of(DiskCache(tmp_path, 10 * MB, "another bucket"), "ü/k.whl") is None


def test_nothing_is_something_too(tmp_path: Path) -> None:
    disk = DiskCache(tmp_path, 10 * MB, "bucket")
    put(disk, "empty", b"")
    entry = disk.find("empty")
    assert entry is not None
    assert entry.size == 0


@pytest.mark.parametrize("where", ["body", "header", "footer", "cut", "longer", "empty"])
def test_an_entry_that_is_not_as_it_was_written_is_dropped(
    tmp_path: Path, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(DiskCache(tmp_path, 10 * MB, "bucket"), "k", b"x" * 1000)
    path = files(tmp_path)[0]
    content = bytearray(path.read_bytes())
    if where == "cut":
        content = content[:-1]
    elif where == "longer":
        content += b"x"
    elif where == "empty":
        content.clear()
    else:
        content[{"body": 10, "header": 1010, "footer": -1}[where]] ^= 1
    path.write_bytes(content)
    disk = DiskCache(tmp_path, 10 * MB, "bucket")
    with caplog.at_level(logging.WARNING):
        assert disk.find("k") is None
    assert "dropped a damaged cache entry" in caplog.text
    assert files(tmp_path) == []
    put(disk, "k", b"new")
    assert body_of(disk, "k") == b"new"


def test_an_entry_that_is_changed_or_removed_while_it_is_open_is_not_hot(tmp_path: Path) -> None:
    disk = DiskCache(tmp_path, 10 * MB, "bucket")
    put(disk, "k", b"x" * 1000)
    assert disk.hot("k") is not None
    with files(tmp_path)[0].open("r+b") as file:
        file.write(b"y")
    assert disk.hot("k") is None
    assert disk.find("k") is None, "its bytes are not what was hashed"
    put(disk, "k", b"x" * 1000)
    files(tmp_path)[0].unlink()
    assert disk.hot("k") is None


def test_what_was_used_longest_ago_goes_when_there_is_no_room(tmp_path: Path) -> None:
    disk = DiskCache(tmp_path, 4 * MB, "bucket")
    for number in range(3):
        put(disk, str(number), bytes(MB))
    again = DiskCache(tmp_path, 4 * MB, "bucket")  # what was used when is known over a restart
    assert body_of(again, "0") is not None
    put(again, "3", bytes(MB))
    put(again, "4", bytes(MB))
    assert [number for number in range(5) if (again.find(str(number)))] == [0, 3, 4]
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 4 * MB


def test_what_was_removed_to_make_room_is_not_kept_open(tmp_path: Path) -> None:
    """Otherwise its bytes would stay on the disk, beyond the limit."""
    writer, reader = (DiskCache(tmp_path, 100_000, "bucket") for _ in range(2))
    for number in range(20):
        put(writer, f"key{number}", b"x" * 20_000)
        assert body_of(reader, f"key{number}") is not None
    assert writer.open_entries == len(files(tmp_path))
    assert reader.open_entries <= len(files(tmp_path)) + 1


def test_several_share_the_bytes(tmp_path: Path) -> None:
    caches = [DiskCache(tmp_path, 8 * MB, "bucket") for _ in range(2)]
    for number in range(200):
        put(caches[number % 2], str(number), bytes(MB // 16))
        # Each sees what the other adds at the latest after a 64th of the whole.
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 8 * MB * 65 // 64
    assert caches[0].find("199") is not None


def test_what_a_killed_process_has_left_is_removed(tmp_path: Path) -> None:
    disk = DiskCache(tmp_path, 10 * MB, "bucket")
    mine = disk.begin(1000)
    assert mine is not None
    folder = tmp_path / "incoming"
    abandoned, recent = folder / ("a" * 32), folder / ("b" * 32)
    for path in (abandoned, recent, folder / "somebody's notes"):
        path.write_bytes(b"x" * 100)
    for path in folder.iterdir():
        if path != recent:
            os.utime(path, (1, 1))
    put(DiskCache(tmp_path, 10 * MB, "bucket"), "k", b"x")
    left = {path.name for path in folder.iterdir()}
    assert left == {"b" * 32, "somebody's notes", next(iter(left - {"b" * 32, "somebody's notes"}))}
    disk.drop(mine)
    assert {path.name for path in folder.iterdir()} == {"b" * 32, "somebody's notes"}


def test_an_object_with_another_sha256_than_was_said_is_not_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = DiskCache(tmp_path, 10 * MB, "bucket")
    with caplog.at_level(logging.WARNING):
        disk.put("k", found(b"body", sha256=hashlib.sha256(b"another").hexdigest()), b"body")
    assert "is not kept: its SHA-256 is" in caplog.text
    disk.put("good", found(b"body", sha256=hashlib.sha256(b"body").hexdigest()), b"body")
    assert (body_of(disk, "k"), body_of(disk, "good")) == (None, b"body")
    assert len(files(tmp_path)) == 1


def test_no_object_gets_more_than_a_quarter(tmp_path: Path) -> None:
    disk = DiskCache(tmp_path, 4 * MB, "bucket")
    assert disk.takes(MB)
    assert not disk.takes(MB + 1)
    assert disk.begin(MB + 1) is None


def test_a_full_disk_turns_the_cache_off_for_a_while_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    disk = DiskCache(tmp_path, 10 * MB, "bucket", clock=lambda: now)

    def full(descriptor: int, start: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched, caplog.at_level(logging.ERROR):
        patched.setattr(os, "posix_fallocate", full)
        for key in ("a", "b", "c"):
            put(disk, key, b"x")
    assert not disk.on
    assert len(caplog.records) == 1
    assert "is off for 60 s: [Errno 28] No space left on device" in caplog.text
    assert files(tmp_path) == []
    assert disk._room._used == 0
    now = 60.0
    put(disk, "a", b"x")
    assert body_of(disk, "a") == b"x"


def test_a_directory_that_can_not_be_made_turns_it_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    disk = DiskCache(tmp_path / "file" / "cache", 10 * MB, "bucket")
    assert disk.find("k") is None
    put(disk, "k", b"x")
    assert not disk.on
    assert len(caplog.records) == 1
