"""A file of users, through all that may happen to it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.access.authenticator import Identity, Password
from gateway.access.authenticators import htpasswd
from gateway.access.authenticators.htpasswd import Htpasswd
from gateway.errors import ConfigError
from tests.access.test_passwords import HASHES

LINE = f"alice:{HASHES['$2b$']}\n"
OTHER = f"bob:{HASHES['apr1']}\n"


class Watched:
    def __init__(self, path: Path) -> None:
        self.path, self.changes = path, 0
        self.users = Htpasswd(path, self._changed, poll_seconds=0.02)

    def _changed(self) -> None:
        self.changes += 1

    async def knows(self, name: str) -> bool:
        return await self.users.authenticate(Password(name, "pässword")) == Identity(name)

    def replace(self, text: str) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(text)
        new.replace(self.path)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture
async def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    monkeypatch.setattr(htpasswd, "_SETTLED_SECONDS", 0.03)
    (tmp_path / "users").write_text(LINE)
    watched = Watched(tmp_path / "users")
    await watched.users.start()
    yield watched
    await watched.users.close()


async def test_a_replaced_file_is_read(watched: Watched) -> None:
    assert await watched.knows("alice")
    watched.replace(OTHER)
    await until(lambda: watched.changes == 1)
    assert (await watched.knows("alice"), await watched.knows("bob")) == (False, True)


async def test_a_file_with_the_same_users_is_no_change(watched: Watched) -> None:
    watched.replace("# comment\n\n" + LINE)
    await asyncio.sleep(0.3)
    assert watched.changes == 0


async def test_a_file_that_vanishes_keeps_its_users_and_is_logged_once(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.path.unlink()
    await until(lambda: "can't be read" in caplog.text)
    await asyncio.sleep(0.2)
    assert caplog.text.count("can't be read") == 1
    assert await watched.knows("alice")
    watched.replace(OTHER)
    await until(lambda: watched.changes == 1)
    assert await watched.knows("bob")


async def test_a_file_that_is_being_written_is_not_believed(watched: Watched) -> None:
    for _ in range(30):  # changes more often than it settles
        watched.path.write_text("x:\n" * (_ % 7))
        await asyncio.sleep(0.01)
    assert watched.changes == 0
    watched.path.write_text(LINE + OTHER)
    await until(lambda: watched.changes == 1)
    assert await watched.knows("alice")


async def test_an_empty_file_is_believed_in_the_end(watched: Watched) -> None:
    watched.path.write_text("")
    await until(lambda: watched.changes == 1)
    assert not await watched.knows("alice")


async def test_bad_lines_are_numbered_and_not_quoted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "users"
    path.write_bytes(f"eve:hunter2\r\nnonsense\n{LINE}alice:{HASHES['apr1']}\n".encode() + b"\xff:x\n")
    watched = Watched(path)
    await watched.users.start()
    assert await watched.knows("alice")
    await watched.users.close()
    assert [f"line {number}:" in caplog.text for number in range(1, 6)] == [True, True, False, True, True]
    assert "hunter2" not in caplog.text
    assert "nonsense" not in caplog.text


@pytest.mark.parametrize("kind", ["absent", "pipe", "long"])
async def test_a_file_that_can_not_be_read_at_the_start(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "users"
    if kind == "pipe":
        os.mkfifo(path)
    if kind == "long":
        path.write_bytes(b"#" * 10_000_001)
    with pytest.raises(ConfigError, match="can't be read"):
        async with asyncio.timeout(5):
            await Watched(path).users.start()
