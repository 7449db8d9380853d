"""Listings of a flat bucket that reports of changes ask for."""

import asyncio
from collections.abc import AsyncGenerator, Container
from typing import cast

import pytest

from gateway.cache.lru import MemoryLimit
from gateway.cache.patience import Patience
from gateway.errors import NotFoundError, UpstreamError
from gateway.index.catalog.flat import FlatCatalog
from gateway.storage.base import Batch, Storage, StoredObject


async def test_a_change_that_many_report_has_few_listings_made_and_each_sees_what_it_reported() -> None:
    """Each listing of a large bucket costs hundreds of requests, some seconds, and memory."""

    class Uploaded:
        names: tuple[str, ...] = ("p-0.tar.gz",)
        running = most = begun = 0

        async def batches(self, prefix: str = "", *, known: Container[bytes] = ()) -> AsyncGenerator[Batch, None]:
            self.begun += 1
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                names = self.names
                objects = tuple(StoredObject(name, 1, '"e"', 1.0) for name in names)
                for _ in range(20):  # other requests come meanwhile
                    await asyncio.sleep(0)
                yield Batch(("", 0), repr(names).encode(), objects)
            finally:
                self.running -= 1

    storage = Uploaded()
    catalog = FlatCatalog(
        cast("Storage", storage),
        "",
        index_document="index.html",
        refresh=30,
        stale_if_error=60,
        memory=MemoryLimit(1_000_000),
    )
    await catalog.files("p")

    async def upload(number: int) -> bool:
        name = f"p-{number}.tar.gz"
        storage.names += (name,)
        catalog.forget("p")
        await catalog.has_project("p")
        return name in [item.key for item in (await catalog.files("p")).value.objects]

    uploads = []
    for number in range(1, 51):
        uploads.append(asyncio.ensure_future(upload(number)))
        await asyncio.sleep(0)
    assert all(await asyncio.gather(*uploads))
    assert storage.most == 2
    assert storage.begun < 50
    await catalog.close()


async def test_a_first_release_is_not_denied_until_it_is_listed() -> None:
    class Slow:
        names: tuple[str, ...] = ("p-1.0.tar.gz",)
        down = False
        go = asyncio.Event()

        async def batches(self, prefix: str = "", *, known: Container[bytes] = ()) -> AsyncGenerator[Batch, None]:
            await self.go.wait()
            if self.down:
                raise UpstreamError("down")
            objects = tuple(StoredObject(name, 1, '"e"', 1.0) for name in self.names)
            yield Batch(("", 0), repr(self.names).encode(), objects)

    storage = Slow()
    storage.go.set()
    catalog = FlatCatalog(
        cast("Storage", storage),
        "",
        index_document="index.html",
        refresh=30,
        stale_if_error=60,
        memory=MemoryLimit(1_000_000),
        patience=Patience(0),
    )
    for project in ("q", "r"):
        with pytest.raises(NotFoundError):
            await catalog.files(project)
    storage.down = True
    catalog.forget("q")
    with pytest.raises(UpstreamError):
        await catalog.files("q")
    with pytest.raises(NotFoundError):
        await catalog.files("r")
    storage.go.clear()
    storage.down, storage.names = False, ("p-1.0.tar.gz", "q-1.0.tar.gz")
    waiting = asyncio.ensure_future(catalog.files("q"))
    assert (await catalog.files("p")).stale, "others do not wait for the listing"
    storage.go.set()
    assert [item.key for item in (await waiting).value.objects] == ["q-1.0.tar.gz"]
    await catalog.close()
