"""The index of a bucket whose folders tell nothing: flat, or pypicloud's with its hashes."""

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import AsyncGenerator, Container
from traceback import walk_tb
from typing import cast
from weakref import ref

import pytest

from gateway.app import Gateway
from gateway.cache.lru import MemoryLimit
from gateway.cache.patience import Patience
from gateway.errors import NotFoundError, UpstreamError
from gateway.index.catalog import flat
from gateway.index.catalog.flat import FlatCatalog
from gateway.index.catalog.listing import Files
from gateway.index.catalog.packed import PackedListing
from gateway.storage.base import Batch, Storage, StoredObject
from gateway.tracing.span import NOTHING, Span, current
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.faults import FaultyBucket, error
from tests.support.http import RawAnswer, fetch
from tests.support.spans import within
from tests.support.wheels import wheel

JSON = "application/vnd.pypi.simple.v1+json"
NAME, CONTENT = wheel("my_project", "1.0")
MEMORY = MemoryLimit(1_000_000)


async def get(gateway: Gateway, target: str, **headers: str) -> RawAnswer:
    return await fetch(int(gateway.url.rpartition(":")[2]), target, headers=headers)


async def names(gateway: Gateway, target: str) -> list[str]:
    return [file["filename"] for file in json.loads((await get(gateway, target, Accept=JSON)).body)["files"]]


async def test_a_flat_bucket(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {
        NAME: CONTENT,
        "old/my_project-0.9.tar.gz": b"x",
        "other-1.0.tar.gz": b"x",
        "other-1.0.tar.gz.sha256": b"ab" * 32,
        "README.txt": b"x",
    }
    gateway = await start_gateway(faulty_settings | {"index.layout": "flat"})
    root = json.loads((await get(gateway, "/", Accept=JSON)).body)
    assert root["projects"] == [{"name": "my-project"}, {"name": "other"}]
    for path in ("/my-project/", "/simple/my-project/"):
        assert set(await names(gateway, path)) == {NAME, "my_project-0.9.tar.gz"}
    page = (await get(gateway, "/simple/my-project/")).body
    assert f'href="../../{NAME}'.encode() in page
    assert b'href="../../old/my_project-0.9.tar.gz' in page
    assert (await get(gateway, f"/{NAME}")).body == CONTENT
    assert (await get(gateway, f"/{NAME}.metadata")).status == 200
    assert (await get(gateway, "/simple/My_Project/")).headers["location"] == "../my-project/"
    assert (await get(gateway, "/nope/")).status == 404
    await gateway.mount.metadata.settled()
    other = json.loads((await get(gateway, "/other/", Accept=JSON)).body)["files"]
    await gateway.mount.metadata.settled()
    other = json.loads((await get(gateway, "/other/", Accept=JSON)).body)["files"]
    assert other[0]["hashes"] == {"sha256": "ab" * 32}


async def test_pypiclouds_bucket(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    def stored(project: str, file: str) -> str:
        return f"pypi/{hashlib.md5(file.encode()).hexdigest()[:4]}/{project}/{file}"

    faulty.objects = {
        stored("my-project", NAME): CONTENT,
        stored("my-project", "my_project-0.9.tar.gz"): b"x",
        "elsewhere/other-1.0.tar.gz": b"x",
    }
    gateway = await start_gateway(faulty_settings | {"storage.prepend_hash": "true", "storage.prefix": "pypi"})
    assert set(await names(gateway, "/simple/my-project/")) == {NAME, "my_project-0.9.tar.gz"}
    page = (await get(gateway, "/my-project/")).body
    assert f'href="../my-project/{NAME}'.encode() in page
    assert (await get(gateway, f"/my-project/{NAME}")).body == CONTENT
    assert b"other" not in (await get(gateway, "/")).body


async def test_a_page_of_ones_own_comes_first(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"my-project/index.html": b"<a>", NAME: CONTENT}
    gateway = await start_gateway(faulty_settings | {"index.layout": "flat"})
    assert (await get(gateway, "/my-project/")).body == b"<a>"


async def test_one_listing_serves_all_and_is_renewed_when_told(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {f"p{number}-1.0.tar.gz": b"x" for number in range(2500)}
    gateway = await start_gateway(faulty_settings | {"index.layout": "flat", "index.compute_hashes": "false"})
    answers = await asyncio.gather(*(get(gateway, f"/p{number}/") for number in range(50)))
    assert {answer.status for answer in answers} == {200}
    assert sum("list-type" in request.target for request in faulty.requests) == 3
    faulty.objects["new-1.0.tar.gz"] = b"x"
    assert (await get(gateway, "/new/")).status == 404
    gateway.refresh()
    assert (await get(gateway, "/new/")).status == 200


async def test_it_is_read_again_in_the_background(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"p-1.0.tar.gz": b"x"}
    settings = {"index.layout": "flat", "index.refresh": "0", "index.compute_hashes": "false"}
    gateway = await start_gateway(faulty_settings | settings)
    assert await names(gateway, "/p/") == ["p-1.0.tar.gz"]
    faulty.objects["p-2.0.tar.gz"] = b"x"
    seen = len([request for request in faulty.requests if "list-type" in request.target])
    await faulty.until(lambda: len([r for r in faulty.requests if "list-type" in r.target and r.done.is_set()]) > seen)
    for _ in range(100):
        if len(await names(gateway, "/p/")) == 2:
            break
    assert await names(gateway, "/p/") == ["p-1.0.tar.gz", "p-2.0.tar.gz"]


async def test_while_it_can_t_be_listed_what_is_known_stays(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"p-1.0.tar.gz": b"x"}
    settings = {"index.layout": "flat", "storage.max_attempts": "1", "index.compute_hashes": "false"}
    gateway = await start_gateway(faulty_settings | settings)
    assert (await get(gateway, "/p/")).status == 200

    async def failing(answer: faults.Answer) -> None:
        listing = "list-type" in answer.request.target
        await (error(500, "InternalError") if listing else faults.healthy)(answer)

    faulty.then(failing, times=50)
    gateway.refresh()
    stale = await get(gateway, "/p/")
    assert (stale.status, stale.headers["cache-status"][-12:]) == (200, "detail=stale")
    unknown = await start_gateway(faulty_settings | settings)
    assert (await get(unknown, "/p/")).status == 503


async def test_a_listing_that_is_refused_later_takes_nothing_away(
    faulty: FaultyBucket, start_gateway: StartGateway, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings)
    catalog = FlatCatalog(
        gateway.storage, "", index_document="index.html", refresh=30, stale_if_error=100, memory=MEMORY
    )
    faulty.then(error(403, "AccessDenied"))
    with pytest.raises(NotFoundError, match="no permission to list"):
        await catalog.projects()
    faulty.objects = {"p-1.0.tar.gz": b"x"}
    assert set((await catalog.projects()).value.folders) == {"p"}
    faulty.then(error(403, "AccessDenied"))
    catalog.expire()
    known = await catalog.projects()
    assert (set(known.value.folders), known.stale) == ({"p"}, True)
    await catalog.close()


async def test_it_is_listed_at_the_start(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"p-1.0.tar.gz": b"x"}
    await start_gateway(faulty_settings | {"index.layout": "flat", "index.compute_hashes": "false"})
    await faulty.until(lambda: any("list-type" in request.target for request in faulty.requests))


async def test_a_start_does_not_wait_for_the_listing(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.then(faults.stall, times=10)
    gateway = await start_gateway(faulty_settings | {"index.layout": "flat"})
    assert (await get(gateway, "/health")).status == 200


class Batches:
    """A storage that only tells batches, each of one key."""

    def __init__(self, *keys: str) -> None:
        self.keys = list(keys)
        self.passes = self.told = 0
        self.hold: asyncio.Event | None = None
        self.is_down = False
        self.bug: Exception | None = None
        self.spans: list[Span] = []

    async def batches(self, prefix: str = "", *, known: Container[bytes] = ()) -> AsyncGenerator[Batch, None]:
        self.passes += 1
        self.spans.append(current.get())
        keys = list(self.keys)
        if self.hold is not None:
            await self.hold.wait()
        if self.bug is not None:
            raise self.bug
        if self.is_down:
            raise UpstreamError("down")
        for number, key in enumerate(keys):
            objects = None if key.encode() in known else (StoredObject(key, 1, '"e"', 0.0),)
            self.told += objects is not None
            yield Batch(("", number), key.encode(), objects)

    async def until(self, passes: int) -> None:
        async with asyncio.timeout(20):
            while self.passes < passes:  # noqa: ASYNC110
                await asyncio.sleep(0)

    def catalog(
        self,
        refresh: float = 3600,
        patience: Patience | None = None,
        memory: MemoryLimit = MEMORY,
        stale_if_error: float = 0,
    ) -> FlatCatalog:
        return FlatCatalog(
            cast(Storage, self),
            "",
            index_document="index.html",
            refresh=refresh,
            stale_if_error=stale_if_error,
            memory=memory,
            patience=patience,
        )


async def test_what_has_not_changed_is_not_read_again_and_stays_the_same_object() -> None:
    storage = Batches("p-1.0.tar.gz", "q-1.0.tar.gz")
    catalog = storage.catalog()
    files, projects = (await catalog.files("p")).value, (await catalog.projects()).value
    catalog.expire()
    assert (await catalog.files("p")).value is files
    assert (storage.passes, storage.told) == (2, 2)
    storage.keys.append("q-2.0.tar.gz")
    catalog.expire()
    assert len((await catalog.files("q")).value.objects) == 2
    assert (storage.passes, storage.told) == (3, 3), "but what is new"
    assert (await catalog.files("p")).value is files
    assert (await catalog.projects()).value is projects
    storage.keys.remove("p-1.0.tar.gz")
    catalog.expire()
    with pytest.raises(NotFoundError):
        await catalog.files("p")
    await catalog.close()


@pytest.mark.parametrize(("files", "on_the_loop"), [(2, True), (100, False)])
async def test_many_files_are_unpacked_in_a_thread_once_for_all_who_ask_meanwhile(
    files: int, on_the_loop: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def unpack(self: PackedListing, project: str) -> Files | None:
        threads.append(threading.current_thread())
        return real(self, project)

    real = PackedListing.files
    monkeypatch.setattr(PackedListing, "files", unpack)
    storage = Batches(*(f"p-{number}.tar.gz" for number in range(files)))
    catalog = storage.catalog()
    await catalog.projects()
    first, second = await asyncio.gather(catalog.files("p"), catalog.files("p"))
    assert len(first.value.objects) == files
    assert second.value is first.value
    assert [thread is threading.main_thread() for thread in threads] == [on_the_loop]
    storage.keys.append("q-1.0.tar.gz")
    catalog.expire()
    assert (await catalog.files("p")).value is first.value
    assert len(threads) == 2
    await catalog.close()


async def test_an_unexpected_exception_neither_ends_the_listing_in_the_background_nor_takes_pages_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(flat, "_MIN_PAUSE_SECONDS", 0.0)
    storage = Batches("p-1.0.tar.gz")
    catalog = storage.catalog(refresh=0.001, stale_if_error=3600)
    files = (await catalog.files("p")).value
    storage.bug = RuntimeError("can't start new thread")
    assert (await catalog.files("p")).value is files
    await storage.until(storage.passes + 2)
    catalog.expire()
    found = await catalog.files("p")
    assert (found.value is files, found.stale) == (True, True)
    assert caplog.records[0].exc_info
    storage.bug = None
    await storage.until(storage.passes + 1)  # nobody asks
    catalog.expire()
    assert not (await catalog.files("p")).stale
    await catalog.close()


class Unreadable(Batches):
    """One that has a folder which can't be looked at."""

    async def batches(self, prefix: str = "", *, known: Container[bytes] = ()) -> AsyncGenerator[Batch, None]:
        async for batch in super().batches(prefix, known=known):
            yield batch
        yield Batch(("", len(self.keys)), b"missed", (), "locked")


async def test_a_project_that_is_seen_is_ours_whatever_else_can_not_be_looked_at() -> None:
    catalog = Unreadable("p-1.0.tar.gz").catalog()
    assert (await catalog.has_project("p")).value is True
    with pytest.raises(UpstreamError, match="locked"):
        await catalog.has_project("q")
    await catalog.close()


async def test_a_project_that_was_asked_for_keeps_no_old_listing_alive() -> None:
    storage = Batches("p-1.0.tar.gz", "q-1.0.tar.gz")
    catalog = storage.catalog()
    files = (await catalog.files("p")).value
    assert catalog._snapshot is not None
    old = ref(catalog._snapshot.listing)
    storage.keys.append("q-2.0.tar.gz")
    catalog.expire()
    assert len((await catalog.files("q")).value.objects) == 2
    assert old() is None
    assert (await catalog.files("p")).value is files
    await catalog.close()


async def test_the_files_of_projects_count_against_the_memory_of_the_index() -> None:
    storage = Batches(*(f"p{number}-1.0.tar.gz" for number in range(100)))
    memory = MemoryLimit(20_000)
    catalog = storage.catalog(memory=memory)
    for number in range(100):
        assert len((await catalog.files(f"p{number}")).value.objects) == 1
        assert 0 < memory.stats()["listings"] <= 20_000
    await catalog.close()


async def test_nobody_gets_what_was_listed_before_all_expired() -> None:
    storage = Batches("p-1.0.tar.gz")
    storage.hold = asyncio.Event()
    catalog = storage.catalog()
    before = asyncio.ensure_future(catalog.files("p"))
    await storage.until(1)
    storage.keys.append("p-2.0.tar.gz")
    catalog.expire()
    after = asyncio.ensure_future(catalog.files("p"))
    await storage.until(2)
    storage.hold.set()
    assert len((await after).value.objects) == 2
    await before
    assert len((await catalog.files("p")).value.objects) == 2
    await catalog.close()


async def test_while_a_newer_listing_takes_too_long_the_known_one_is_used() -> None:
    storage = Batches("p-1.0.tar.gz")
    catalog = storage.catalog(patience=Patience(0.0))
    files = (await catalog.files("p")).value
    storage.hold = asyncio.Event()
    catalog.expire()
    found = await catalog.files("p")
    assert (found.value is files, found.stale) == (True, True)
    await catalog.close()


async def test_it_is_not_listed_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat, "_MIN_PAUSE_SECONDS", 0.0)
    storage = Batches("p-1.0.tar.gz")
    catalog = storage.catalog(refresh=0.01)
    await catalog.start()
    await storage.until(1)
    pauses = 0

    async def counted(seconds: float) -> None:
        nonlocal pauses
        pauses += 1
        await real(seconds)

    real = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", counted)
    while pauses < 5:
        await real(0.001)
    assert storage.passes == 1, "nobody has asked"
    assert len((await catalog.files("p")).value.objects) == 1
    assert storage.passes == 2, "a request that comes later gets a new one"
    await catalog.close()


async def test_all_is_listed_once_for_all_who_know_of_the_same_change() -> None:
    storage = Batches("p-1.0.tar.gz")
    catalog = storage.catalog()
    assert not (await catalog.has_project("q")).value
    storage.keys.append("q-1.0.tar.gz")
    storage.hold = asyncio.Event()
    asking, changed = [], time.monotonic()
    for number in range(3):
        catalog.renew(time.monotonic() - changed - 0.001 * number)
        asking.append(asyncio.ensure_future(catalog.has_project("q")))
        await storage.until(2)
    storage.hold.set()
    assert [found.value for found in await asyncio.gather(*asking)] == [True] * 3
    assert storage.passes == 2
    catalog.renew(3600.0)
    assert (await catalog.has_project("q")).value
    assert storage.passes == 2
    catalog.expire()
    catalog.renew(3600.0)
    assert (await catalog.has_project("q")).value
    assert storage.passes == 3
    await catalog.close()


async def test_a_listing_is_not_taken_for_one_that_ended_while_it_ran() -> None:
    storage = Batches("p-1.0.tar.gz", "q-1.0.tar.gz")
    catalog = storage.catalog()
    assert (await catalog.has_project("p")).value
    first, second = asyncio.Event(), asyncio.Event()
    storage.keys, storage.hold = ["q-1.0.tar.gz"], first
    catalog.expire()
    without = asyncio.ensure_future(catalog.has_project("p"))
    await storage.until(2)
    storage.keys, storage.hold = ["p-1.0.tar.gz", "q-1.0.tar.gz"], second
    catalog.expire()
    again = asyncio.ensure_future(catalog.has_project("p"))
    await storage.until(3)
    first.set()
    assert not (await without).value
    second.set()
    assert (await again).value, "it is in the bucket again"
    assert (await catalog.has_project("p")).value
    await catalog.close()


async def test_a_listing_that_fails_after_a_newer_one_has_ended_makes_nothing_stale() -> None:
    storage = Batches("p-1.0.tar.gz")
    catalog = storage.catalog()
    older = storage.hold = asyncio.Event()
    before = asyncio.ensure_future(catalog.files("p"))
    await storage.until(1)
    catalog.expire()
    storage.hold = None
    assert not (await catalog.files("p")).stale
    storage.is_down = True
    older.set()
    with pytest.raises(UpstreamError, match="down"):
        await before
    assert not (await catalog.has_project("p")).stale
    await catalog.close()


async def test_what_expires_while_a_listing_is_read_does_not_make_it_stale_for_those_who_asked_before() -> None:
    """Which projects are ours could not be known while a listing of many files took longer than the next upload."""
    storage = Batches("p-1.0.tar.gz")
    catalog = storage.catalog()
    await catalog.projects()
    first = storage.hold = asyncio.Event()
    catalog.expire()
    before = asyncio.ensure_future(catalog.has_project("q"))
    await storage.until(2)
    storage.keys, storage.hold = ["p-1.0.tar.gz", "q-1.0.tar.gz"], asyncio.Event()
    catalog.expire()
    after = asyncio.ensure_future(catalog.has_project("q"))
    await storage.until(3)
    first.set()
    found = await before
    assert (found.value, found.stale) == (False, False)
    assert not after.done()
    storage.hold.set()
    found = await after
    assert (found.value, found.stale) == (True, False)
    await catalog.close()


async def test_the_error_of_a_failed_listing_does_not_grow_with_each_client() -> None:
    storage = Batches("p-1.0.tar.gz")
    catalog = storage.catalog(refresh=0, patience=Patience(0.0))
    assert (await catalog.files("p")).value
    storage.is_down = True
    await fail(catalog)
    storage.hold = asyncio.Event()  # clients don't wait for the next listing, and get the error of the last
    assert len({len([*walk_tb((await fail(catalog)).__traceback__)]) for _ in range(5)}) == 1
    await catalog.close()


async def fail(catalog: FlatCatalog) -> UpstreamError:
    """Waits until the listing is too old to be used, and returns the error that a client gets instead."""
    async with asyncio.timeout(20):
        while True:
            catalog.expire()
            try:
                await catalog.files("p")
            except UpstreamError as error:
                return error
            await asyncio.sleep(0)


async def test_the_listing_in_the_background_is_no_part_of_the_trace_of_the_first_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flat, "_MIN_PAUSE_SECONDS", 0.0)
    storage = Batches("p-1.0.tar.gz")
    catalog = storage.catalog(refresh=0.001)
    with within() as first:
        async with asyncio.timeout(20):
            while NOTHING not in storage.spans:
                await catalog.files("p")  # or nobody would need another
                await asyncio.sleep(0)
    assert storage.spans[0] is first
    await catalog.close()
