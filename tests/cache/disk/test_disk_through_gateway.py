"""The disk cache, through the whole gateway: what the bucket is asked, and what clients get."""

import asyncio
import errno
import logging
import os
import random
import signal
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.cache.disk.cache import DiskCache, DiskEntry
from gateway.cache.disk.temp_entry import TempEntry
from gateway.messages import ObjectRequest, Stream
from gateway.ops.output import STDOUT
from gateway.storage import caching
from gateway.storage.caching import CachingStorage
from tests.conftest import StartGateway, StartProcess
from tests.support import faults
from tests.support.eventually import eventually
from tests.support.faults import Answer, FaultyBucket, error, etag_of
from tests.support.http import RawAnswer, fetch
from tests.support.layers import layer
from tests.support.nightly import NIGHTLY
from tests.support.workers import free_port

LARGE = os.urandom(3_000_000)
WHEEL = "p/large-1.0-py3-none-any.whl"


@pytest.fixture
def settings(faulty: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path) -> dict[str, str]:
    faulty.objects = {WHEEL: LARGE, "p/small-1.0-py3-none-any.whl": b"small", "page.html": b"page"}
    cache = {"cache.memory_bytes": "10000000", "cache.dir": str(tmp_path / "cache")}
    return faulty_settings | cache | {"storage.max_attempts": "1"}


def port_of(gateway: Gateway) -> int:
    return int(gateway.url.rpartition(":")[2])


async def get(gateway: Gateway, target: str = f"/{WHEEL}", method: str = "GET", **headers: str) -> RawAnswer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await fetch(port_of(gateway), target, method=method, headers=named)


def kept(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "cache").rglob("*") if len(path.name) == 64]


def coming(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "cache").rglob("*") if len(path.name) == 32]


async def until_kept(tmp_path: Path, count: int) -> None:
    """Until there are so many entries. The fill of the last one may still run, and answers what comes meanwhile."""
    await eventually(lambda: len(kept(tmp_path)) == count)


async def until_filled(gateway: Gateway) -> None:
    """Until no fill runs, and all of it is on disk: to stop cancels what is being written."""
    await eventually(lambda: not any(gateway.storage.stats()[name] for name in ("fills", "background_tasks")))


async def test_a_large_object_is_fetched_once_and_then_comes_from_disk(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, tmp_path: Path
) -> None:
    gateway = await start_gateway(settings)
    first = await get(gateway)
    assert (first.status, first.body, first.headers["content-length"]) == (200, LARGE, str(len(LARGE)))
    await until_kept(tmp_path, 1)
    again = await get(gateway)
    assert again.body == LARGE
    of_this_answer = {"date": "", "x-request-id": "", "cache-status": ""}
    assert again.headers | of_this_answer == first.headers | of_this_answer
    part = await get(gateway, Range="bytes=1000000-1999999")
    assert (part.status, part.body) == (206, LARGE[1_000_000:2_000_000])
    assert part.headers["content-range"] == f"bytes 1000000-1999999/{len(LARGE)}"
    assert (await get(gateway, Range="bytes=-5")).body == LARGE[-5:]
    head = await get(gateway, method="HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(LARGE)))
    assert (await get(gateway, If_None_Match=etag_of(LARGE))).status == 304
    assert (await get(gateway, If_Match='"other"')).status == 412
    assert (await get(gateway, Range="bytes=9999999-")).status == 416
    assert [(request.method, request.headers.get("range")) for request in faulty.requests] == [("GET", None)]
    assert coming(tmp_path) == []


@pytest.mark.parametrize("key", ["site/page.html", "site/large.bin"])
async def test_what_is_written_again_with_the_same_bytes_has_its_new_type(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, tmp_path: Path, key: str
) -> None:
    """As `aws s3 cp --metadata-directive REPLACE` does to mend the types of a site: the ETag stays."""
    body = faulty.objects[key] = LARGE if "large" in key else b"page"
    faulty.headers[key] = [("Content-Type", "text/plain")]
    settings |= {"cache.index_ttl": "0"}
    gateway = await start_gateway(settings)
    assert (await get(gateway, f"/{key}")).headers["content-type"] == "text/plain"
    await until_kept(tmp_path, 1)
    await until_filled(gateway)
    faulty.headers[key] = [("Content-Type", "text/html"), ("Cache-Control", "max-age=0")]
    faulty.date = formatdate(1_800_000_000, usegmt=True)
    again = await get(gateway, f"/{key}")
    assert (again.body, again.headers["last-modified"]) == (body, faulty.date)
    assert (again.headers["content-type"], again.headers["cache-control"]) == ("text/html", "max-age=0")
    await until_filled(gateway)
    await gateway.stop()
    faulty.requests.clear()
    gateway = await start_gateway(settings)
    kept_so = await get(gateway, f"/{key}")
    assert (kept_so.body, kept_so.headers["content-type"]) == (body, "text/html")
    assert [request.headers.get("if-none-match") for request in faulty.requests] == [etag_of(body)]


async def test_many_who_want_a_large_object_share_one_fetch_also_if_the_first_leaves(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings)
    go_on = asyncio.Event()

    async def halting(answer: Answer) -> None:
        await answer.send(200, [("ETag", etag_of(LARGE)), ("Content-Length", str(len(LARGE)))], LARGE[:1_000_000])
        await go_on.wait()
        await answer.write(LARGE[1_000_000:])

    faulty.then(halting)
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(gateway))
    writer.write(f"GET /{WHEEL} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert len(await reader.readexactly(900_000)) == 900_000
    others = [asyncio.ensure_future(get(gateway)) for _ in range(20)]
    part = asyncio.ensure_future(get(gateway, Range="bytes=2500000-2500009"))
    early = await get(gateway, Range="bytes=10-19")
    assert (early.status, early.body) == (206, LARGE[10:20]), "what is here already need not wait"
    writer.transport.abort()
    go_on.set()
    assert {answer.body for answer in await asyncio.gather(*others)} == {LARGE}
    assert (await part).body == LARGE[2_500_000:2_500_010]
    assert len(faulty.requests) == 1


async def test_who_is_still_looking_on_the_disk_shares_what_has_begun_meanwhile(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await start_gateway(settings)
    fills = layer(gateway.storage, CachingStorage)._objects._fills
    find, looked, found = DiskCache.find, asyncio.Event(), threading.Event()
    loop, begin, go_on = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

    def slow(self: DiskCache, key: str) -> DiskEntry | None:
        if faulty.requests:  # the second look
            loop.call_soon_threadsafe(looked.set)
            found.wait(10)
        return find(self, key)

    async def halting(answer: Answer) -> None:
        await begin.wait()
        await answer.send(200, [("ETag", etag_of(LARGE)), ("Content-Length", str(len(LARGE)))], LARGE[:100_000])
        await go_on.wait()
        await answer.write(LARGE[100_000:])

    monkeypatch.setattr(DiskCache, "find", slow)
    faulty.then(halting)
    first = asyncio.ensure_future(get(gateway))
    await faulty.until(lambda: bool(faulty.requests))
    second = asyncio.ensure_future(get(gateway))
    await looked.wait()
    begin.set()
    await eventually(lambda: fills.flowing(WHEEL) is not None)
    found.set()
    await eventually(lambda: len(faulty.requests) > 1 or fills.stats()["fill_readers"] == 2)
    go_on.set()
    assert (await first).body == (await second).body == LARGE
    assert len(faulty.requests) == 1


async def test_a_slow_reader_holds_nobody_back(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings)
    faulty.objects[WHEEL] = body = LARGE * 10
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(gateway), limit=1024)
    writer.write(f"GET /{WHEEL} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await faulty.until(lambda: len(faulty.requests) == 1)
    assert (await get(gateway)).body == body
    assert len(faulty.requests) == 1
    writer.transport.abort()


async def test_when_nobody_reads_any_more_nothing_is_fetched_or_left(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, tmp_path: Path
) -> None:
    gateway = await start_gateway(settings)
    faulty.then(faults.stall_in_body(100_000, length=3_000_000))
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(gateway))
    writer.write(f"GET /{WHEEL} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await reader.readexactly(90_000)
    writer.transport.abort()
    await faulty.until(lambda: faulty.open_connections == 0)
    await eventually(lambda: not coming(tmp_path))
    assert kept(tmp_path) == []


async def test_over_a_restart_it_is_asked_for_by_its_etag(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, tmp_path: Path
) -> None:
    first = await start_gateway(settings)
    small = "/p/small-1.0-py3-none-any.whl"
    await get(first)
    assert (await get(first, small)).body == b"small"
    await until_kept(tmp_path, 2)
    second = await start_gateway(settings)
    faulty.requests.clear()
    for _ in range(2):
        assert (await get(second)).body == LARGE
        assert (await get(second, small)).body == b"small"
    assert [request.headers.get("if-none-match") for request in faulty.requests] == [etag_of(LARGE), etag_of(b"small")]
    third = await start_gateway(settings)
    faulty.then(error(500, "InternalError"), times=2)
    answer = await get(third)
    assert (answer.status, answer.body) == (200, LARGE), "what was known when the bucket can't be asked"
    assert answer.headers["cache-status"].endswith("; detail=stale")
    faulty.script.clear()
    faulty.objects[WHEEL] = b"new" * 1_000_000
    fourth = await start_gateway(settings)
    assert (await get(fourth)).body == b"new" * 1_000_000
    await until_kept(tmp_path, 2)
    del faulty.objects[WHEEL]
    fifth = await start_gateway(settings)
    assert (await get(fifth)).status == 404
    await until_kept(tmp_path, 1)


async def test_a_listing_that_shows_another_etag_ends_an_entry_on_disk_too(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, tmp_path: Path
) -> None:
    """Or while the storage is slow, clients would get the old file against the new hash on its page."""
    gateway = await start_gateway(settings | {"index.mode": "off"})
    await get(gateway)
    await until_kept(tmp_path, 1)
    await eventually(lambda: gateway.storage.stats()["fills"] == 0)
    await gateway.storage.children("p/")
    await eventually(lambda: gateway.storage.stats()["background_tasks"] == 0)
    assert len(kept(tmp_path)) == 1, "a listing that shows the same ETag ends nothing"
    faulty.objects[WHEEL] = b"new"
    await gateway.storage.children("p/")
    await until_kept(tmp_path, 0)
    assert (await get(gateway)).body == b"new"


async def test_the_newer_entry_of_another_process_outlives_a_listing_that_ends_the_older_one_here(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, tmp_path: Path
) -> None:
    gateway, other = [await start_gateway(settings | {"index.mode": "off"}) for _ in range(2)]
    cache = layer(other.storage, CachingStorage)
    for one in (gateway, other):
        await get(one)
    disk = cache._objects.kept._disk
    assert disk is not None
    await eventually(lambda: disk.find(WHEEL) is not None)
    faulty.objects = {WHEEL: (new := LARGE[::-1])}
    await gateway.storage.children("p/")
    assert (await get(gateway)).body == new
    await eventually(lambda: (entry := disk.find(WHEEL)) is not None and entry.header.etag == etag_of(new))
    await other.storage.children("p/")
    known = cache._objects.memory.get(WHEEL)
    assert known is None or known.etag == etag_of(new), "the listing has ended the older one"
    await eventually(lambda: cache.stats()["background_tasks"] == 0)
    assert disk.find(WHEEL) is not None


async def test_what_another_process_has_removed_does_not_stay_open(
    start_gateway: StartGateway, settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes would not be free as long as nobody asks this one for anything."""
    monkeypatch.setattr(caching, "_LOOK_SECONDS", 0.01)
    gateway = await start_gateway(settings)
    await get(gateway)
    await until_kept(tmp_path, 1)
    await eventually(lambda: gateway.storage.stats()["fills"] == 0)
    assert gateway.storage.stats()["entries_open"] == 1
    kept(tmp_path)[0].unlink()
    await eventually(lambda: gateway.storage.stats()["entries_open"] == 0)


async def test_a_corrupted_entry_is_fetched_again(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, tmp_path: Path
) -> None:
    gateway = await start_gateway(settings)
    await get(gateway)
    await until_kept(tmp_path, 1)
    await until_filled(gateway)
    with kept(tmp_path)[0].open("r+b") as file:
        file.seek(2_000_000)
        file.write(b"wrong")
    # The clock of file systems has steps of some milliseconds, and all this may have happened in one.
    later = time.time() + 1
    os.utime(kept(tmp_path)[0], (later, later))
    assert (await get(gateway)).body == LARGE
    assert len(faulty.requests) == 2
    assert (await get(gateway)).body == LARGE
    await until_kept(tmp_path, 1)
    await until_filled(gateway)
    assert (await get(gateway)).body == LARGE
    assert len(faulty.requests) == 3, "it is kept anew"


async def test_after_a_restart_a_large_entry_is_verified_as_it_is_read(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, tmp_path: Path
) -> None:
    faulty.objects[WHEEL] = body = os.urandom(12_000_000)
    await get(await start_gateway(settings))
    await until_kept(tmp_path, 1)
    gateway = await start_gateway(settings)
    disk = layer(gateway.storage, CachingStorage)._objects.kept._disk
    assert disk is not None
    assert (await get(gateway, Range="bytes=7000000-7000009")).body == body[7_000_000:7_000_010]
    entry = disk.hot(WHEEL)
    assert entry is not None
    assert entry.blocks.pending == {*range(12)} - {6}
    assert (await get(gateway)).body == body
    assert not entry.blocks.pending
    assert [request.headers.get("if-none-match") for request in faulty.requests] == [None, etag_of(body)]


async def test_damage_found_in_the_middle_of_a_body_costs_nobody_a_byte(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, tmp_path: Path
) -> None:
    faulty.objects[WHEEL] = body = os.urandom(12_000_000)
    await get(await start_gateway(settings))
    await until_kept(tmp_path, 1)
    with kept(tmp_path)[0].open("r+b") as file:
        file.seek(9_000_000)
        file.write(b"wrong")
    gateway = await start_gateway(settings)
    assert (await get(gateway)).body == body
    last = faulty.requests[-1].headers
    assert (last["if-match"], last["range"].partition("=")[2].partition("-")[2]) == (etag_of(body), "11999999")
    assert int(last["range"].removeprefix("bytes=").partition("-")[0]) > 0
    await until_kept(tmp_path, 0)
    for _ in range(2):
        assert (await get(gateway)).body == body
        await until_kept(tmp_path, 1)


async def test_a_file_that_can_t_be_sent_any_more_breaks_one_answer_only(
    start_gateway: StartGateway,
    settings: dict[str, str],
    faulty: FaultyBucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one in a bad sector of the disk, of which the kernel had a copy when it was verified."""
    send = os.sendfile

    def from_a_bad_disk(to: int, file: int, position: int, count: int) -> int:
        if position:
            raise OSError(errno.EIO, "Input/output error")
        return send(to, file, position, min(count, 1_000_000))

    gateway = await start_gateway(settings)
    await get(gateway)
    await until_kept(tmp_path, 1)
    await until_filled(gateway)
    assert (await get(gateway)).body == LARGE
    with monkeypatch.context() as patch:
        patch.setattr(os, "sendfile", from_a_bad_disk)
        assert (await get(gateway)).body == LARGE[:1_000_000], "it broke off"
    await eventually(lambda: kept(tmp_path) == [])
    assert (await get(gateway)).body == LARGE
    assert len(faulty.requests) == 2


async def test_a_disk_that_fills_up_in_the_middle_costs_nobody_a_byte(
    start_gateway: StartGateway,
    settings: dict[str, str],
    faulty: FaultyBucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gateway = await start_gateway(settings)
    pwrite, written = os.pwrite, 0

    def filling_up(descriptor: int, data: memoryview, position: int) -> int:
        nonlocal written
        written += len(data)
        if written > 1_000_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwrite(descriptor, data, position)

    monkeypatch.setattr(os, "pwrite", filling_up)
    with caplog.at_level(logging.ERROR):
        answers = await asyncio.gather(*(get(gateway) for _ in range(5)))
        assert {answer.body for answer in answers} == {LARGE}
        assert (await get(gateway)).body == LARGE
    off = [record for record in caplog.records if "is off for" in record.message]
    assert len(off) == 1
    assert kept(tmp_path) == coming(tmp_path) == []


async def test_a_disk_that_takes_nothing_costs_nobody_a_request(
    start_gateway: StartGateway,
    settings: dict[str, str],
    faulty: FaultyBucket,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def read_only(self: TempEntry, directory: Path, length: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(TempEntry, "__init__", read_only)
    gateway = await start_gateway(settings)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert (await get(gateway)).body == LARGE
            assert (await get(gateway, "/page.html")).body == b"page"
    assert [record.message.partition(": ")[2] for record in caplog.records] == ["[Errno 30] Read-only file system"]


async def test_a_body_that_can_not_be_had_whole_is_not_kept(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, tmp_path: Path
) -> None:
    gateway = await start_gateway(settings)
    faulty.then(faults.reset_in_body(2_000_000, length=3_000_000), error(412, "PreconditionFailed"))
    answer = await get(gateway)
    assert answer.headers["content-length"] == "3000000"
    assert len(answer.body) < 3_000_000
    assert (await get(gateway)).body == LARGE
    await until_kept(tmp_path, 1)


async def test_without_memory_all_of_it_is_on_disk(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, tmp_path: Path
) -> None:
    gateway = await start_gateway(settings | {"cache.memory_bytes": "0"})
    for number in range(3):
        assert (await get(gateway, "/page.html")).body == b"page"
        await until_kept(tmp_path, 1)
        await until_filled(gateway)  # and what asks next need not ask the storage
        assert len(faulty.requests) == 1, number


async def test_the_log_and_the_metrics_say_where_an_answer_is_from(
    start_gateway: StartGateway,
    settings: dict[str, str],
    faulty: FaultyBucket,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    gateway = await start_gateway(settings | {"log.access": "true"})
    for _ in range(2):
        await get(gateway, "/page.html")
        await get(gateway)
        await until_kept(tmp_path, 2)
        await until_filled(gateway)
    STDOUT.flush(20)
    assert [line.split(" cache=")[1].split(" ")[0] for line in capfd.readouterr().out.splitlines()] == [
        *("-", "-"),
        *("memory", "disk"),
    ]
    metrics = (await get(gateway, "/metrics")).body.decode()
    assert 'gateway_cache_hits_total{mount="default",source="memory"} 1.0' in metrics
    assert 'gateway_cache_hits_total{mount="default",source="disk"} 1.0' in metrics


async def test_who_can_not_have_the_kernel_send_it_gets_the_same_bytes(
    start_gateway: StartGateway, settings: dict[str, str], tmp_path: Path
) -> None:
    gateway = await start_gateway(settings)
    for headers, expected in (({}, LARGE), ({"range": "bytes=5-2000004"}, LARGE[5:2_000_005])):
        for _ in range(2):
            stream = await gateway.storage.fetch(ObjectRequest("GET", WHEEL, headers))
            assert isinstance(stream, Stream)
            assert stream.body is not None
            assert b"".join([chunk async for chunk in stream.body]) == expected
            stream.close()
            await until_kept(tmp_path, 1)


TIMES = 50 if NIGHTLY else 3


async def test_killed_in_the_middle_of_filling_many_times(
    start_process: StartProcess, settings: dict[str, str], faulty: FaultyBucket, tmp_path: Path
) -> None:
    """All workers by SIGKILL each time, with the object half there; then it is asked for again."""
    port = free_port()
    more = {"server.workers": "2", "server.port": str(port), "cache.file_ttl": "0"}
    process = start_process(settings | more)
    process.wait_until_it_listens()
    dice = random.Random(1)
    for number in range(TIMES):
        key = f"p/{dice.choice('abc')}-1.0-py3-none-any.whl"
        body = faulty.objects[key] = dice.randbytes(3_000_000)
        half_there = asyncio.Event()

        async def halting(answer: Answer, body: bytes = body, half_there: asyncio.Event = half_there) -> None:
            head = [("ETag", etag_of(body)), ("Content-Length", str(len(body)))]
            await answer.send(200, head, body[: dice.randrange(2_900_000)])
            half_there.set()
            await faults.stall(answer)

        faulty.then(halting)
        clients = [asyncio.ensure_future(fetch(port, f"/{key}")) for _ in range(3)]
        async with asyncio.timeout(20):
            await half_there.wait()
        for worker in Path(f"/proc/{process.process.pid}/task/{process.process.pid}/children").read_text().split():
            os.kill(int(worker), signal.SIGKILL)
        for answer in await asyncio.gather(*clients, return_exceptions=True):
            if isinstance(answer, RawAnswer):
                assert answer.body == body[: len(answer.body)], number
        for known in sorted(faulty.objects):
            answer = await fetch(port, f"/{known}")
            assert (answer.status, answer.body) == (200, faulty.objects[known]), number
    assert process.stop() == 0
    # Of each object the last version is there, and of those that were not finished nothing that counts for long.
    assert len(kept(tmp_path)) == len(faulty.objects)
    for path in coming(tmp_path):
        os.utime(path, (1, 1))
    disk = DiskCache(tmp_path / "cache", 100_000_000, "another")
    incoming = disk.begin(1000)
    assert incoming is not None
    disk.drop(incoming)
    assert coming(tmp_path) == []
