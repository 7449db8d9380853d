"""Whose a name is, as far as the catalogue can tell."""

from collections.abc import AsyncGenerator, Container
from typing import cast

import pytest

from gateway.cache.lru import MemoryLimit
from gateway.config.settings import FallbackSettings
from gateway.errors import UpstreamBusyError
from gateway.index.catalog.flat import FlatCatalog
from gateway.index.mirror.fallback import Fallback
from gateway.index.mirror.upstream_index import UpstreamIndex
from gateway.index.wheels.file_metadata import FileMetadata
from gateway.storage.base import Batch, Children, Storage, StoredObject


class Files:
    """A storage that can only be listed, while it is not down."""

    def __init__(self, *keys: str) -> None:
        self.keys = [*keys]
        self.is_down = False

    async def batches(self, prefix: str = "", *, known: Container[bytes] = ()) -> AsyncGenerator[Batch, None]:
        if self.is_down:
            raise UpstreamBusyError("down")
        for number, key in enumerate(self.keys):
            yield Batch(("", number), key.encode(), (StoredObject(key, 1, '"e"', 0.0),))

    async def children(self, prefix: str = "", *, limit: int | None = None, after: str = "") -> Children:
        return Children((), ())


def flat_catalog(storage: Files) -> FlatCatalog:
    memory = MemoryLimit(1_000_000)
    return FlatCatalog(
        cast(Storage, storage), "", index_document="index.html", refresh=3600, stale_if_error=3600, memory=memory
    )


def mirror(catalog: FlatCatalog) -> Fallback:
    remote, metadata = cast(UpstreamIndex, None), cast(FileMetadata, None)  # neither is asked
    return Fallback(FallbackSettings(mode="mirror"), catalog, remote, metadata, MemoryLimit(10**6))


async def test_no_name_is_another_index_s_by_a_listing_that_could_not_be_renewed() -> None:
    """A flat catalogue tells what it knew, and that it is old: the name may be ours by now."""
    storage = Files("p-1.0.tar.gz")
    catalog = flat_catalog(storage)
    fallback = mirror(catalog)
    assert (await fallback.covers("p"), await fallback.covers("q")) == (False, True)
    storage.keys.append("q-1.0.tar.gz")
    storage.is_down = True
    catalog.expire()
    found = await catalog.has_project("q")
    assert (found.value, found.stale) == (False, True)
    with pytest.raises(UpstreamBusyError, match="can't be known now"):
        await fallback.covers("q")
    with pytest.raises(UpstreamBusyError, match="can't be known now"):
        await fallback.covers_file("q", "q-1.0.tar.gz")
    storage.is_down = False
    assert (await fallback.covers("q"), await fallback.covers("r")) == (False, True)
    await catalog.close()


async def test_no_name_is_another_index_s_because_nothing_was_in_the_storage_before_it_was_down() -> None:
    storage = Files()
    catalog = flat_catalog(storage)
    fallback = mirror(catalog)
    assert await fallback.covers("p")
    storage.keys.append("p-1.0.tar.gz")
    storage.is_down = True
    catalog.expire()
    with pytest.raises(UpstreamBusyError, match="can't be known now"):
        await fallback.covers("p")
    storage.is_down = False
    assert (await fallback.covers("p"), await fallback.covers("q")) == (False, True)
    await catalog.close()
