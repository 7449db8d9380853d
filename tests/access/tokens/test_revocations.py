"""The list of revoked tokens in the storage: what was on it stays on it."""

import asyncio
import errno
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.access.tokens import revocations
from gateway.access.tokens.revocations import KEY, LastList, Revocations
from gateway.config.storage_settings import StorageSettings
from gateway.errors import ACCESS_DENIED, NotFoundError, UpstreamError
from gateway.messages import ObjectRequest, Stream
from gateway.storage.base import one_chunk
from gateway.storage.local.storage import LocalStorage
from tests.support.memorystorage import MemoryStorage


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage(StorageSettings())


async def test_a_list_that_is_gone_makes_no_token_valid_again(
    storage: MemoryStorage, caplog: pytest.LogCaptureFixture
) -> None:
    changes: list[None] = []
    gateway = Revocations(storage, lambda: changes.append(None))
    await gateway.read()
    assert await gateway.revoked() == frozenset()
    await Revocations(storage).add(["lost"])
    await gateway.read()
    await storage.delete(KEY)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            await gateway.read()
    assert await gateway.revoked() == frozenset({"lost"})
    assert (caplog.text.count("is gone"), len(changes)) == (1, 1)
    await Revocations(storage).add(["another"])
    await gateway.read()
    assert await gateway.revoked() == frozenset({"another"})


async def test_a_list_that_is_gone_counts_for_the_gates_that_follow(storage: MemoryStorage) -> None:
    last = LastList()
    await Revocations(storage).add(["lost"])
    await Revocations(storage, last=last).read()
    await storage.delete(KEY)
    following = Revocations(storage, last=last)
    assert await following.revoked() == frozenset({"lost"})
    await following.read()
    assert await following.revoked() == frozenset({"lost"})


async def test_each_gate_hears_of_a_change_that_another_has_read(storage: MemoryStorage) -> None:
    last, heard = LastList(), list[str]()
    gates = [Revocations(storage, lambda name=name: heard.append(name), last) for name in "ab"]  # type: ignore[misc]
    for gate in gates:
        await gate.read()
    await Revocations(storage).add(["leaked"])
    for gate in gates:
        await gate.read()
    assert heard == ["a", "b"]


async def test_what_is_revoked_goes_on_the_list_with_what_was_on_one_that_is_gone(storage: MemoryStorage) -> None:
    revocations = Revocations(storage)
    await revocations.add(["lost"])
    await storage.delete(KEY)
    await revocations.add(["another"])
    fresh = Revocations(storage)
    await fresh.read()
    assert await fresh.revoked() == frozenset({"lost", "another"})


async def test_a_line_that_is_removed_makes_its_token_valid_again(storage: MemoryStorage) -> None:
    gateway = Revocations(storage)
    await gateway.add(["one", "two"])
    await storage.put(KEY, one_chunk(b"two\n"))
    await gateway.read()
    assert await gateway.revoked() == frozenset({"two"})


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
async def test_a_list_that_may_not_be_read_is_not_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """As after `sudo gateway token revoke` under a umask of 077."""
    gateway = Revocations(LocalStorage(tmp_path))
    await Revocations(LocalStorage(tmp_path)).add(["leaked"])
    is_refused, opening = True, os.open

    def refusing(path: Any, *args: Any, **kwargs: Any) -> int:
        if is_refused and path == KEY.rpartition("/")[2]:
            raise OSError(number, os.strerror(number))
        return opening(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refusing)
    monkeypatch.setattr(revocations, "_PATIENCE_SECONDS", 0)
    with pytest.raises(UpstreamError, match="may not be read"):
        await gateway.read()
    assert await gateway.revoked() is None
    is_refused = False
    await gateway.read()
    assert await gateway.revoked() == frozenset({"leaked"})


class Denying(MemoryStorage):
    """As S3, to whom may not list the bucket."""

    async def fetch(self, request: ObjectRequest) -> Stream:
        try:
            return await super().fetch(request)
        except NotFoundError:
            raise NotFoundError("denied", code=ACCESS_DENIED) from None


async def test_a_list_that_may_be_there_by_now_is_told_too(
    storage: MemoryStorage, caplog: pytest.LogCaptureFixture
) -> None:
    """As when the permission is taken away while nothing is revoked."""
    gateway = Revocations(storage)
    await gateway.read()
    gateway._storage = Denying(StorageSettings())
    await gateway.read()
    assert "denies access to .gateway/revoked-tokens" in caplog.text


async def test_a_list_may_begin_as_some_editors_have_it(storage: MemoryStorage) -> None:
    await storage.put(KEY, one_chunk("\ufeffone\r\ntwo\r\n".encode()))
    gateway = Revocations(storage)
    await gateway.read()
    assert await gateway.revoked() == frozenset({"one", "two"})


class Hanging(MemoryStorage):
    """Answers the second time only."""

    asked = 0

    async def fetch(self, request: ObjectRequest) -> Stream:
        self.asked += 1
        if self.asked == 1:
            await asyncio.Event().wait()
        return await super().fetch(request)


async def test_a_storage_that_hangs_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(revocations, "_SECONDS", 0)
    monkeypatch.setattr(revocations, "_READ_SECONDS", 0.02)
    gateway = Revocations(Hanging(StorageSettings()))
    await gateway.start()
    try:
        assert await gateway.revoked() == frozenset()
    finally:
        await gateway.close()
    assert "can't be read: no answer within 0.02 s" in caplog.text


async def test_a_list_that_may_be_there_or_not_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    gateway = Revocations(Denying(StorageSettings()))
    for _ in range(2):
        await gateway.read()
    assert await gateway.revoked() == frozenset()
    assert caplog.text.count("denies access to .gateway/revoked-tokens") == 1


class Faulty(MemoryStorage):
    """Fails once in a way that no storage should."""

    faults = 1

    async def fetch(self, request: ObjectRequest) -> Stream:
        if self.faults:
            self.faults -= 1
            raise OSError(errno.EIO, "Input/output error")
        return await super().fetch(request)


async def test_a_bug_of_a_storage_does_not_end_the_watch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(revocations, "_SECONDS", 0)
    gateway = Revocations(Faulty(StorageSettings()))
    await gateway.start()
    try:
        assert await gateway.revoked() == frozenset()
    finally:
        await gateway.close()
    assert "this is a bug" in caplog.text
