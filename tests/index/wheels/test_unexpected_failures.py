"""Metadata is found out to its end, even if something fails in a way that nobody expects, as a want of threads does."""

import logging
from typing import cast

import pytest

from gateway.cache.lru import MemoryLimit
from gateway.index.catalog.listing import Files
from gateway.index.wheels.file_metadata import FileMetadata
from gateway.index.wheels.metadata_finder import MetadataFinder
from gateway.storage.base import ObjectMetadata, StoredObject

FILES = Files(tuple(StoredObject(f"p/p-{number}.tar.gz", 1, '"e"', 1.0) for number in range(6)), frozenset())
SHA = "ab" * 32


class Failing:
    """A finder, and a store, which raise as often as they are told."""

    compute = False

    def __init__(self, *, finding: int = 0, reading: int = 0, writing: int = 0) -> None:
        self.left = {"find": finding, "read": reading, "write": writing}
        self.saved = b""

    def _may_fail(self, what: str) -> None:
        if self.left[what]:
            self.left[what] -= 1
            raise RuntimeError("can't start new thread")

    async def find(self, item: StoredObject, *, hash_beside: bool) -> ObjectMetadata:
        self._may_fail("find")
        return ObjectMetadata(SHA)

    async def read(self, project: str) -> tuple[bytes, str | None]:
        self._may_fail("read")
        return self.saved, None

    async def write(self, project: str, document: bytes, etag: str | None) -> None:
        self._may_fail("write")
        self.saved = document


@pytest.mark.parametrize(
    ("failing", "what"),
    [
        (Failing(finding=2), "the metadata of 'p/p-0.tar.gz' can't be found out now: can't start new thread"),
        (Failing(reading=1), "the saved metadata of p can't be read: can't start new thread"),
        (Failing(writing=1), "the metadata of p can't be saved: can't start new thread"),
    ],
)
async def test_the_next_request_has_found_out_what_is_left(
    failing: Failing, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    metadata = FileMetadata(cast("MetadataFinder", failing), MemoryLimit(10_000_000), [failing], retry_seconds=0)
    with caplog.at_level(logging.ERROR):
        await metadata.want_once("p", FILES)
        await metadata.settled()
    assert what in caplog.messages
    await metadata.want_once("p", FILES)
    await metadata.settled()
    assert {entry.metadata.sha256 for entry in metadata.of("p").entries.values()} == {SHA}
    assert len(metadata.of("p").entries) == len(FILES.objects)
    await metadata.close()


async def test_what_could_not_be_saved_does_not_keep_later_findings_from_being_saved() -> None:
    failing = Failing(writing=1)
    metadata = FileMetadata(cast("MetadataFinder", failing), MemoryLimit(10_000_000), [failing], retry_seconds=0)
    await metadata.want_once("p", FILES)
    await metadata.settled()
    assert failing.saved == b""
    later = StoredObject("p/p-9.tar.gz", 1, '"e"', 1.0)
    await metadata.want_once("p", Files((*FILES.objects, later), frozenset()))
    await metadata.settled()
    assert failing.saved.count(SHA.encode()) == 7
    await metadata.close()
