"""A file on its way into the cache: its writer's alone, and gone if it is not published."""

import os
import re
from pathlib import Path

import pytest

from gateway.cache.disk.temp_entry import TempEntry, is_abandoned


def only_file(directory: Path) -> Path:
    [path] = (directory / "incoming").iterdir()
    return path


def test_it_has_a_name_of_its_own_and_all_its_bytes_from_the_start(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    entry = TempEntry(directory, 1000)
    path = only_file(directory)
    assert re.fullmatch("[0-9a-f]{32}", path.name)
    assert (path.stat().st_size, path.stat().st_mode & 0o777, entry.length) == (1000, 0o600, 1000)
    assert entry.close() is False
    assert not path.exists()


def test_it_is_published_under_its_name_with_what_follows_the_body(tmp_path: Path) -> None:
    entry = TempEntry(tmp_path, 6)
    entry.write(b"abc")
    entry.write(b"def", 3)
    info = entry.publish(tmp_path / "ab" / "name", b"end")
    assert (tmp_path / "ab" / "name").read_bytes() == b"abcdefend"
    assert (info.st_size, info.st_ino) == (9, (tmp_path / "ab" / "name").stat().st_ino)
    assert entry.close() is True
    assert (tmp_path / "ab" / "name").exists()
    another = TempEntry(tmp_path, 1)
    another.write(b"x")
    another.publish(tmp_path / "ab" / "name", b"")
    assert (tmp_path / "ab" / "name").read_bytes() == b"x", "in place of the first"


def test_its_state_is_the_one_that_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def rename_and_change(path: Path, name: Path) -> None:
        rename(path, name)
        with name.open("ab") as file:
            file.write(b"changed")

    monkeypatch.setattr(Path, "rename", rename_and_change)
    info = TempEntry(tmp_path, 3).publish(tmp_path / "ab" / "name", b"end")
    assert info.st_size == 6


def test_it_may_have_been_removed_when_it_ends(tmp_path: Path) -> None:
    entry = TempEntry(tmp_path, 0)
    only_file(tmp_path).unlink()
    assert entry.close() is False


def test_it_is_abandoned_when_its_writer_is_gone_and_not_before(tmp_path: Path) -> None:
    entry = TempEntry(tmp_path, 1)
    path = only_file(tmp_path)
    assert not is_abandoned(path)
    os.link(path, tmp_path / "left")
    entry.close()
    assert is_abandoned(tmp_path / "left")
    assert not is_abandoned(path), "it is not there"
