"""A file that changes is read again once it rests, and until it can be read."""

import logging
import os
from pathlib import Path

import pytest

from gateway.access import access
from gateway.access.file_watch import FileWatch
from gateway.config.file_state import file_state
from tests.access.test_gate import basic, status
from tests.access.test_reload import CLOSED, OPEN, file, replace, started
from tests.support.eventually import eventually

__all__ = ["file"]  # a fixture


class Reader:
    def __init__(self, path: Path) -> None:
        self.path, self.texts = path, list[str]()
        self.problem: OSError | None = None
        self.watch = FileWatch(path, self.read, file_state(path))

    async def read(self) -> None:
        if self.problem is not None:
            raise self.problem
        self.texts.append(self.path.read_text())

    async def looks(self, times: int) -> list[str]:
        for _ in range(times):
            await self.watch.look()
        return self.texts


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    path = tmp_path / "file"
    path.write_text("first")
    return Reader(path)


async def test_a_file_that_stays_is_not_read(reader: Reader) -> None:
    assert await reader.looks(5) == []


async def test_a_file_is_read_once_when_it_has_been_the_same_at_two_looks(reader: Reader) -> None:
    for text in ("2", "22", "222"):
        reader.path.write_text(text)
        assert await reader.looks(1) == []
    assert await reader.looks(3) == ["222"]


async def test_a_file_replaced_by_one_of_the_same_length_and_time_is_read(reader: Reader) -> None:
    status = reader.path.stat()
    other = reader.path.with_suffix(".new")
    other.write_text("FIRST")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(reader.path)
    assert await reader.looks(2) == ["FIRST"]


async def test_a_file_that_changed_before_the_first_look_is_read(reader: Reader) -> None:
    watch = FileWatch(reader.path, reader.read, (1, 2, 3, 4, 5))
    await watch.look()
    await watch.look()
    assert reader.texts == ["first"]


async def test_a_failure_is_logged_once_and_tried_again(reader: Reader, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    reader.problem = OSError(24, "Too many open files")
    reader.path.write_text("second")
    assert await reader.looks(5) == []
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "Too many open files" in caplog.text
    reader.problem = OSError(5, "Input/output error")
    await reader.looks(2)
    assert len(caplog.records) == 2, "another reason is another line"
    reader.problem = None
    assert await reader.looks(2) == ["second"]
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR", "INFO"]


async def test_a_file_that_vanishes_is_told_and_read_when_another_one_comes(
    reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    reader.path.unlink()
    assert await reader.looks(4) == []
    assert caplog.text.count("can't be read") == 1
    reader.path.write_text("back")
    assert await reader.looks(2) == ["back"]


async def test_a_bug_while_it_is_read_does_not_end_the_watch(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.access.file_watch._SECONDS", 0)
    texts = reader.texts

    async def broken() -> None:
        texts.append("asked")
        raise ZeroDivisionError

    reader.watch = FileWatch(reader.path, broken, None)
    reader.watch.start()
    try:
        await eventually(lambda: len(texts) > 2)
    finally:
        await reader.watch.close()
    assert "this is a bug" in caplog.text


async def test_a_section_that_names_a_file_which_comes_later_is_tried_again(
    file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, reload = list[None](), access.Access._reload

    async def counted(self: access.Access) -> None:
        await reload(self)
        tries.append(None)

    monkeypatch.setattr(access, "_RETRY_SECONDS", 0.1)
    monkeypatch.setattr(access.Access, "_reload", counted)
    file.write_text(OPEN)
    gateway = await started(file)
    try:
        former, users = gateway.mount.access.gate, file.with_name("users")
        replace(file, f"{CLOSED}  htpasswd: {users}\n")
        await eventually(lambda: len(tries) == 3)
        assert caplog.text.count("can't be used") == 1, "each failure is told once"
        users.write_text("")
        await eventually(lambda: gateway.mount.access.gate is not former)
        assert [await status(gateway, "/acme/acme-1.0.tar.gz", basic(name)) for name in ("alice", "bob")] == [403, 200]
    finally:
        await gateway.stop()
