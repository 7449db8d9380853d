"""Provenance beside files: never that of other bytes, whoever writes at the same time."""

import json
from base64 import b64encode
from collections.abc import AsyncIterable
from hashlib import sha256
from typing import Any

import pytest

from gateway.config.storage_settings import StorageSettings
from gateway.errors import NotFoundError, PreconditionFailedError, UpstreamBusyError
from gateway.messages import ObjectRequest
from gateway.publish.attestations.provenances import Provenances
from gateway.storage.base import ObjectMetadata, Storage, one_chunk
from gateway.storage.content import content_of
from tests.support.memorystorage import MemoryStorage

KEY = "acme-web/acme_web-1.0.tar.gz"
BESIDE = f"{KEY}.provenance"
OURS, THEIRS = sha256(b"ours").hexdigest(), sha256(b"theirs").hexdigest()


def provenance(digest: str, note: str = "") -> bytes:
    statement = json.dumps({"subject": [{"name": "x", "digest": {"sha256": digest}}]}).encode()
    attestation = {"envelope": {"statement": b64encode(statement).decode()}, "note": note}
    return json.dumps({"version": 1, "attestation_bundles": [{"attestations": [attestation]}]}).encode()


class Contested(MemoryStorage):
    """Somebody else removes or replaces what lies there, before a write."""

    removes = removes_replaced = replaces = 0

    async def put(self, key: str, chunks: AsyncIterable[bytes], **options: Any) -> str:
        if key == BESIDE and (self.removes or (self.removes_replaced and options.get("replaces"))):
            self.removes, self.removes_replaced = max(self.removes - 1, 0), 0
            await super().delete(key)
            raise NotFoundError(key) if options.get("replaces") else PreconditionFailedError(key)
        if self.replaces and key == BESIDE:
            self.replaces -= 1
            await super().put(key, one_chunk(provenance(THEIRS, str(self.replaces))))
        return await super().put(key, chunks, **options)


@pytest.fixture
def storage() -> Contested:
    return Contested(StorageSettings())


@pytest.fixture
def provenances(storage: Contested) -> Provenances:
    return Provenances(storage)


async def file_is(storage: Storage, digest: str | None) -> None:
    await storage.put(KEY, one_chunk(b"x"), metadata=ObjectMetadata(digest))


async def beside(storage: Storage) -> bytes | None:
    if not [item async for item in storage.list(BESIDE)]:
        return None
    return await content_of(await storage.fetch(ObjectRequest("GET", BESIDE)), 10_000)


async def test_the_first_of_a_file_stays(storage: Contested, provenances: Provenances) -> None:
    await file_is(storage, OURS)
    assert await provenances.put(KEY, OURS, provenance(OURS, "first"))
    assert not await provenances.put(KEY, OURS, provenance(OURS, "second"))
    assert await beside(storage) == provenance(OURS, "first")


@pytest.mark.parametrize(
    "other",
    [
        provenance(THEIRS),
        b"",
        b"[]",
        b"[" * 100_000,
        b'{"attestation_bundles": 7}',
        b'{"attestation_bundles": []}',
        b'{"attestation_bundles": [{"attestations": [{"envelope": {"statement": 7}}]}]}',
        json.dumps(
            {
                "attestation_bundles": [
                    json.loads(provenance(digest))["attestation_bundles"][0] for digest in (OURS, THEIRS)
                ]
            }
        ).encode(),
    ],
)
async def test_one_of_other_bytes_does_not(storage: Contested, provenances: Provenances, other: bytes) -> None:
    await file_is(storage, OURS)
    await storage.put(BESIDE, one_chunk(other))
    assert await provenances.put(KEY, OURS, provenance(OURS))
    assert await beside(storage) == provenance(OURS)
    await storage.put(BESIDE, one_chunk(other))
    await provenances.remove_others(KEY, OURS)
    assert await beside(storage) is None


async def test_whoever_has_lost_leaves_that_of_the_winner(storage: Contested, provenances: Provenances) -> None:
    """On servers that let several writers of one name win."""
    await file_is(storage, THEIRS)
    await storage.put(BESIDE, one_chunk(provenance(THEIRS)))
    assert not await provenances.put(KEY, OURS, provenance(OURS))
    assert await beside(storage) == provenance(THEIRS)
    await storage.delete(KEY)
    assert not await provenances.put(KEY, OURS, provenance(OURS))


async def test_one_that_goes_or_changes_meanwhile_is_looked_at_again(
    storage: Contested, provenances: Provenances
) -> None:
    await file_is(storage, OURS)
    storage.removes = 2
    assert await provenances.put(KEY, OURS, provenance(OURS))
    await storage.put(BESIDE, one_chunk(provenance(THEIRS)))
    storage.removes_replaced = 1
    assert await provenances.put(KEY, OURS, provenance(OURS))
    assert await beside(storage) == provenance(OURS)
    storage.replaces = 2
    await storage.delete(BESIDE)
    assert await provenances.put(KEY, OURS, provenance(OURS))
    assert await beside(storage) == provenance(OURS)
    storage.replaces = 10
    await storage.delete(BESIDE)
    with pytest.raises(UpstreamBusyError, match="changes all the time"):
        await provenances.put(KEY, OURS, provenance(OURS))


async def test_only_ones_own_is_removed_when_the_file_is_another(storage: Contested, provenances: Provenances) -> None:
    for digest, stays in ((OURS, False), (THEIRS, True)):
        await storage.put(BESIDE, one_chunk(provenance(digest)))
        await provenances.remove_mine(KEY, OURS)
        assert (await beside(storage) is not None) is stays
    await storage.delete(BESIDE)
    await provenances.remove_mine(KEY, OURS)


async def test_one_whose_file_is_gone_is_removed(storage: Contested, provenances: Provenances) -> None:
    await provenances.remove_lost(KEY)
    for is_there in (True, False):
        await storage.put(BESIDE, one_chunk(provenance(OURS)))
        await (file_is(storage, THEIRS) if is_there else storage.delete(KEY))
        await provenances.remove_lost(KEY)
        assert (await beside(storage) is not None) is is_there
