"""A layout that has been recognised, when the storage refuses to be listed."""

from collections.abc import AsyncGenerator, Container
from typing import cast

import pytest

from gateway.cache.lru import MemoryLimit
from gateway.errors import NotFoundError, UpstreamError
from gateway.index.catalog.flat import FlatCatalog
from gateway.index.catalog.folders import FolderCatalog
from gateway.index.catalog.recognised import RecognisedCatalog
from gateway.storage.base import Batch, Children, Storage, StoredObject


class Flat:
    """A storage with one file at the top, which can only be listed, and may refuse that."""

    def __init__(self) -> None:
        self.refuses = False

    async def children(self, prefix: str = "", *, limit: int | None = None, after: str = "") -> Children:
        if self.refuses:
            raise NotFoundError("denied", code="AccessDenied")
        return Children((StoredObject("p-1.0.tar.gz", 1, '"e"', 0.0),) if not prefix else (), ())

    async def batches(self, prefix: str = "", *, known: Container[bytes] = ()) -> AsyncGenerator[Batch, None]:
        yield Batch(("", 0), b"p", (await self.children()).objects)

    def catalog(self) -> RecognisedCatalog:
        storage, memory = cast(Storage, self), MemoryLimit(1_000_000)
        parts = [
            kind(storage, "", index_document="index.html", refresh=0, stale_if_error=0, memory=memory)
            for kind in (FolderCatalog, FlatCatalog)
        ]
        folders, flat = cast(tuple[FolderCatalog, FlatCatalog], tuple(parts))
        return RecognisedCatalog(storage, "", folders, flat, refresh=0, stale_if_error=0)


async def test_a_flat_storage_that_refuses_is_not_taken_for_one_of_folders() -> None:
    """In which nothing may be listed, so that the file which is there would be absent."""
    storage = Flat()
    catalog = storage.catalog()
    assert len((await catalog.files("p")).value.objects) == 1
    storage.refuses = True
    catalog.expire()
    with pytest.raises(UpstreamError, match="denied"):
        await catalog.files("p")
    await catalog.close()


async def test_a_storage_that_never_could_be_listed_has_what_is_stored() -> None:
    storage = Flat()
    storage.refuses = True
    catalog = storage.catalog()
    with pytest.raises(NotFoundError, match="no permission"):
        await catalog.files("p")
    await catalog.close()
