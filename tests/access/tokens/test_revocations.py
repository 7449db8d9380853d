"""The list of revoked tokens in the storage: what was on it stays on it."""

import logging

import pytest

from gateway.access.tokens.revocations import KEY, Revocations
from gateway.config.storage_settings import StorageSettings
from gateway.storage.base import one_chunk
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
