"""A file of users, through all that may happen to it."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.access.authenticator import Identity, Password
from gateway.access.authenticators import htpasswd
from gateway.access.authenticators.htpasswd import Htpasswd
from gateway.errors import ConfigError
from tests.access.hashing.test_passwords import HASHES

LINE = f"alice:{HASHES['$2b$']}\n"
OTHER = f"bob:{HASHES['apr1']}\n"


class Watched:
    def __init__(self, path: Path) -> None:
        self.path, self.changes = path, 0
        self.users = Htpasswd(path, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    async def knows(self, name: str) -> bool:
        return await self.users.authenticate(Password(name, "pässword")) == Identity(name)

    def replace(self, text: str) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(text)
        new.replace(self.path)

    async def rests(self) -> int:
        """How often users have changed, after the watch has seen the file as it is now."""
        await self.users.watch.look()
        await self.users.watch.look()
        return self.changes


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    (tmp_path / "users").write_text(LINE)
    watched = Watched(tmp_path / "users")
    await watched.users.start()
    yield watched
    await watched.users.close()


async def test_a_replaced_file_is_read(watched: Watched) -> None:
    assert await watched.knows("alice")
    watched.replace(OTHER)
    assert await watched.rests() == 1
    assert (await watched.knows("alice"), await watched.knows("bob")) == (False, True)
    assert await watched.rests() == 1


async def test_a_file_with_the_same_users_is_no_change(watched: Watched) -> None:
    watched.replace("# comment\n\n" + LINE)
    assert await watched.rests() == 0


async def test_a_file_that_vanishes_keeps_its_users(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.path.unlink()
    assert await watched.rests() == 0
    assert "what it said last stays in force: No such file" in caplog.text
    assert await watched.knows("alice")
    watched.replace(OTHER)
    assert await watched.rests() == 1
    assert await watched.knows("bob")


async def test_a_file_that_changes_while_it_is_read_is_read_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[tuple[int, ...]] = [(1,), (2,)]
    with monkeypatch.context() as patched:
        patched.setattr(htpasswd, "file_state", lambda _: states.pop(0))
        watched.replace(OTHER)
        assert await watched.rests() == 0
        assert states == []
    assert await watched.rests() == 1


async def test_an_emptied_file_has_no_users(watched: Watched) -> None:
    watched.path.write_text("")
    await watched.users.watch.look()
    assert await watched.knows("alice"), "somebody may be writing it"
    assert await watched.rests() == 1
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
