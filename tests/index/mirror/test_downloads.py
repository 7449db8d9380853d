"""Files on their way from another index: who they are fetched for, how many, how much, and what is left of it."""

import asyncio
import gc
import hashlib
import os
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.cache.lru import MemoryLimit
from gateway.cache.refreshing import RefreshedValue
from gateway.errors import GatewayError, NotFoundError, UpstreamBusyError, UpstreamError, UpstreamTimeoutError
from gateway.index.mirror.downloads import DownloadLimits, Downloads, DownloadStats, Writes
from gateway.index.mirror.mirrored_files import MirroredFiles
from gateway.index.simple.pages import File, Project
from gateway.messages import ObjectRequest, Stream
from tests.support.eventually import eventually

CONTENT = bytes(range(256)) * 16
IDLE = DownloadStats(downloads=0, claims=0, fetching=0, temp_bytes=0)


class Body:
    """The other index's answer: sends what it is told to, when it is told to."""

    def __init__(self, name: str, length: int | None) -> None:
        self.name = name
        self.headers = {} if length is None else {"content-length": str(length)}
        self.chunks: asyncio.Queue[bytes | GatewayError] = asyncio.Queue()
        self.closed = False
        self.sent = 0
        self.ended = False

    async def read(self) -> bytes:
        chunk = await self.chunks.get()
        if isinstance(chunk, GatewayError):
            raise chunk
        return chunk

    async def body(self, first: bytes) -> AsyncIterator[bytes]:
        while first:
            yield first
            first = await self.read()

    def close(self) -> None:
        self.closed = True

    def send(self, *chunks: bytes | GatewayError) -> None:
        for chunk in chunks:
            self.sent += len(chunk) if isinstance(chunk, bytes) else 0
            self.ended = self.ended or chunk == b"" or isinstance(chunk, GatewayError)
            self.chunks.put_nowait(chunk)


class Index:
    """Opens as many files as `may_open` lets it."""

    def __init__(self, length: int | None = len(CONTENT)) -> None:
        self.may_open = asyncio.Semaphore(1000)
        self.length = length
        self.opened: list[Body] = []

    async def open(self, method: str, url: str) -> Any:
        await self.may_open.acquire()
        self.opened.append(Body(url.partition("?")[0].rpartition("/")[2], self.length))
        return self.opened[-1]


class Bucket:
    """Takes as many files as `may_put` lets it."""

    def __init__(self) -> None:
        self.may_put = asyncio.Semaphore(1000)
        self.objects: dict[str, bytes] = {}
        self.writing = 0
        self.most = 0

    async def fetch(self, request: ObjectRequest) -> Stream:
        raise NotFoundError(request.key)

    async def put(self, key: str, chunks: AsyncIterator[bytes], **_: Any) -> str:
        self.writing += 1
        self.most = max(self.most, self.writing)
        try:
            await self.may_put.acquire()
            self.objects[key] = b"".join([chunk async for chunk in chunks])
        finally:
            self.writing -= 1
        return '"etag"'


class Listing:
    """A fallback whose index lists one file."""

    keeps_apart = False

    def __init__(self, index: Index) -> None:
        self.upstream = self
        self.open = index.open

    async def covers_file(self, project: str, name: str) -> bool:
        return True

    async def demand(self, project: str, name: str, copy: object) -> None:
        """Nothing is withheld."""

    async def project(self, name: str, wanted: str | None = None) -> RefreshedValue[Project]:
        return RefreshedValue(Project(name, (), (file(),)), 0.0)


def file(number: int = 0, size: int | None = None, content: bytes = CONTENT) -> File:
    digest = hashlib.sha256(content).hexdigest()
    return File(f"p-{number}.zip", f"https://files.example/p-{number}.zip?secret", size, hashes={"sha256": digest})


def downloads(index: Index, bucket: Bucket, **limits: Any) -> Downloads:
    limits = {"max_file_bytes": 1_000_000, "temp_bytes": 2_000_000} | limits
    return Downloads(index, bucket, DownloadLimits(**limits))  # type: ignore[arg-type]


async def get(running: Downloads, number: int = 0, wanted: File | None = None) -> bytes:
    async with asyncio.timeout(20):
        with running.claim(f"p/{number}", wanted or file(number)) as claim:
            stream = await claim.stream()
        return await read(stream)


async def read(stream: Stream) -> bytes:
    assert stream.body is not None
    try:
        return b"".join([chunk async for chunk in stream.body])
    finally:
        stream.close()


def start(running: Downloads, number: int = 0, wanted: File | None = None) -> "asyncio.Task[bytes]":
    return asyncio.get_running_loop().create_task(get(running, number, wanted))


async def leave(*clients: "asyncio.Task[bytes]") -> None:
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)


async def test_one_fetch_is_for_all_and_ends_when_the_last_of_them_leaves() -> None:
    index, bucket = Index(), Bucket()
    running = downloads(index, bucket)
    clients = [start(running) for _ in range(3)]
    await eventually(lambda: len(index.opened) == 1)
    index.opened[0].send(CONTENT[:1000])
    await eventually(lambda: running.stats() == DownloadStats(1, 3, 1, len(CONTENT)))
    await leave(*clients[:2])
    assert not index.opened[0].closed
    await leave(clients[2])
    await eventually(lambda: running.stats() == IDLE)
    assert index.opened[0].closed
    assert bucket.objects == {}


async def test_it_ends_too_when_they_leave_before_the_index_answers() -> None:
    index, bucket = Index(), Bucket()
    index.may_open = asyncio.Semaphore(0)
    running = downloads(index, bucket)
    clients = [start(running) for _ in range(2)]
    await eventually(index.may_open.locked)
    await leave(*clients)
    await eventually(lambda: running.stats() == IDLE)
    assert index.opened == []


async def test_who_comes_right_after_the_last_has_left_gets_a_download_of_its_own() -> None:
    index, bucket = Index(), Bucket()
    running = downloads(index, bucket)
    with running.claim("p/0", file()) as claim:
        opening = asyncio.ensure_future(claim.stream())
        await eventually(lambda: len(index.opened) == 1)
        index.opened[0].send(CONTENT[:1000])
        stream = await opening
    stream.close()
    late = start(running)  # in the same step
    await eventually(lambda: len(index.opened) == 2)
    index.opened[1].send(CONTENT, b"")
    assert await late == CONTENT
    await eventually(lambda: running.stats() == IDLE)


async def test_what_is_whole_is_kept_though_nobody_waits_for_it_and_takes_no_turn_of_others() -> None:
    """A bucket that is slow holds up neither clients nor other fetches."""
    index, bucket = Index(), Bucket()
    bucket.may_put = asyncio.Semaphore(0)
    running = downloads(index, bucket, fetches=1, writes=2)
    for number in range(5):
        client = start(running, number)
        await eventually(lambda number=number: len(index.opened) == number + 1)  # type: ignore[misc]
        index.opened[number].send(CONTENT, b"")
        assert await client == CONTENT
    assert running.stats() == DownloadStats(5, 0, 0, 5 * len(CONTENT))
    assert await get(running, 3) == CONTENT
    assert len(index.opened) == 5, "what is here is read from here"
    for _ in range(5):
        bucket.may_put.release()
    await eventually(lambda: running.stats() == IDLE)
    assert bucket.objects == {f"p/{number}": CONTENT for number in range(5)}
    assert bucket.most == 2


async def test_all_mounts_together_write_so_many_at_once() -> None:
    index, bucket, writes = Index(), Bucket(), Writes()
    bucket.may_put = asyncio.Semaphore(0)
    limits = DownloadLimits(max_file_bytes=1_000_000, temp_bytes=2_000_000)
    mounts = [Downloads(index, bucket, limits, writes) for _ in range(3)]  # type: ignore[arg-type]
    for turn in range(9):
        client = start(mounts[turn // 3], turn)
        await eventually(lambda turn=turn: len(index.opened) == turn + 1)  # type: ignore[misc]
        index.opened[turn].send(CONTENT, b"")
        assert await client == CONTENT
    await eventually(lambda: bucket.writing == 4)
    for _ in range(9):
        bucket.may_put.release()
    await eventually(lambda: all(running.stats() == IDLE for running in mounts))
    assert (bucket.most, len(bucket.objects)) == (4, 9)


async def test_a_file_that_has_been_replaced_meanwhile_is_a_download_of_its_own() -> None:
    index, bucket = Index(), Bucket()
    running, new = downloads(index, bucket), CONTENT[::-1]
    before = start(running)
    await eventually(lambda: len(index.opened) == 1)
    after = start(running, wanted=file(content=new))
    await eventually(lambda: len(index.opened) == 2)
    index.opened[0].send(CONTENT, b"")
    index.opened[1].send(new, b"")
    assert (await before, await after) == (CONTENT, new)
    await eventually(lambda: running.stats() == IDLE)


async def test_who_waits_too_long_for_a_turn_is_told_to_come_again() -> None:
    index, bucket = Index(), Bucket()
    running = downloads(index, bucket, fetches=2, wait_seconds=0.01)
    clients = [start(running, number) for number in range(2)]
    await eventually(lambda: running.stats().fetching == 2)
    with pytest.raises(UpstreamBusyError, match="2 other files"):
        await get(running, 2)
    for body in index.opened:
        body.send(CONTENT, b"")
    assert await asyncio.gather(*clients) == [CONTENT, CONTENT]
    third = start(running, 2)
    await eventually(lambda: len(index.opened) == 3)
    index.opened[2].send(CONTENT, b"")
    assert await third == CONTENT


async def test_who_waits_too_long_for_an_answer_is_told_so() -> None:
    """However many waits there are in a row."""
    index, bucket = Index(), Bucket()
    index.may_open = asyncio.Semaphore(0)
    limits = DownloadLimits(1_000_000, 2_000_000, answer_seconds=0.05)
    fetched = MirroredFiles(bucket, Listing(index), "", limits, MemoryLimit(1_000_000))  # type: ignore[arg-type]
    with pytest.raises(UpstreamTimeoutError):
        async with asyncio.timeout(20):
            await fetched.answer(ObjectRequest("GET", "p/p-0.zip"))
    await eventually(lambda: fetched.stats() == IDLE)


async def test_a_file_whose_page_tells_no_hash_is_served_and_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    index, bucket = Index(), Bucket()
    running = downloads(index, bucket)
    for number, hashes in enumerate(({}, {"sha256": hashlib.sha256(CONTENT).hexdigest()})):
        client = start(running, number, replace(file(number), hashes=hashes))
        await eventually(lambda number=number: len(index.opened) == number + 1)  # type: ignore[misc]
        index.opened[number].send(CONTENT, b"")
        assert await client == CONTENT
        await eventually(lambda: running.stats() == IDLE)
    assert bucket.objects == {"p/1": CONTENT}
    assert "p-0.zip is not kept: its page has no hash of it" in caplog.text


async def test_a_file_that_is_too_large_is_not_begun() -> None:
    index, bucket = Index(), Bucket()
    running = downloads(index, bucket, max_file_bytes=len(CONTENT) - 1)
    with pytest.raises(UpstreamError, match="max_file_bytes") as refused:
        await get(running)
    assert "max_file_bytes" in refused.value.public
    index.length = None
    with pytest.raises(UpstreamError, match="max_file_bytes"):
        await get(running, 1, file(1, size=len(CONTENT)))
    assert [body.closed for body in index.opened] == [True, True]
    assert running.stats() == IDLE


async def test_a_file_that_turns_out_to_be_too_large_breaks_off() -> None:
    index, bucket = Index(length=None), Bucket()
    running = downloads(index, bucket, max_file_bytes=2000)
    client = start(running)
    await eventually(lambda: len(index.opened) == 1)
    index.opened[0].send(CONTENT[:1500], CONTENT[1500:])
    with pytest.raises(UpstreamError, match="max_file_bytes"):
        await client
    await eventually(lambda: running.stats() == IDLE)


@pytest.mark.parametrize(
    ("length", "size"), [(0, len(CONTENT)), (len(CONTENT) - 1, len(CONTENT)), (len(CONTENT) + 1, 0)]
)
async def test_an_answer_of_another_length_than_the_page_tells_is_refused_before_a_client_has_its_head(
    length: int, size: int
) -> None:
    index, bucket = Index(length), Bucket()
    running = downloads(index, bucket)
    with pytest.raises(UpstreamError, match=f"^it has {length} bytes, but its page says {size}$"):
        await get(running, wanted=file(size=size))
    assert index.opened[0].closed
    assert running.stats() == IDLE


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1])
async def test_an_answer_without_a_length_breaks_off_where_it_has_another_than_the_page_tells(size: int) -> None:
    index, bucket = Index(length=None), Bucket()
    running = downloads(index, bucket)
    client = start(running, wanted=file(size=size))
    await eventually(lambda: len(index.opened) == 1)
    index.opened[0].send(CONTENT, b"")
    with pytest.raises(UpstreamError, match=f"bytes or more, but its page says {size}$"):
        await client
    await eventually(lambda: running.stats() == IDLE)
    assert bucket.objects == {}


async def test_nothing_is_no_file_unless_its_hash_says_so() -> None:
    """No last byte of an empty answer can be held back until its end is known to be good."""
    index, bucket = Index(length=0), Bucket()
    running = downloads(index, bucket)
    with pytest.raises(UpstreamError, match="its sha256 is e3b0"):
        await get(running)
    empty = start(running, 1, file(1, content=b""))
    await eventually(lambda: len(index.opened) == 2)
    index.opened[1].send(b"")
    assert await empty == b""
    await eventually(lambda: bucket.objects == {"p/1": b""})


async def test_together_they_take_no_more_than_their_room() -> None:
    index, bucket = Index(), Bucket()
    running = downloads(index, bucket, temp_bytes=2 * len(CONTENT))
    clients = [start(running, number) for number in range(2)]
    await eventually(lambda: running.stats().temp_bytes == 2 * len(CONTENT))
    with pytest.raises(UpstreamBusyError, match="temp_bytes"):
        await get(running, 2)
    await leave(*clients)
    await eventually(lambda: running.stats() == IDLE)


async def test_what_only_waits_to_be_kept_gives_way() -> None:
    index, bucket = Index(), Bucket()
    bucket.may_put = asyncio.Semaphore(0)
    running = downloads(index, bucket, temp_bytes=3 * len(CONTENT), writes=1)
    for number in range(4):
        client = start(running, number)
        await eventually(lambda number=number: len(index.opened) == number + 1)  # type: ignore[misc]
        index.opened[number].send(CONTENT, b"")
        assert await client == CONTENT
    assert running.stats() == DownloadStats(3, 0, 0, 3 * len(CONTENT))
    for _ in range(3):
        bucket.may_put.release()
    await eventually(lambda: running.stats() == IDLE)
    assert set(bucket.objects) == {"p/0", "p/2", "p/3"}, "the first was being written, the second was the oldest"


async def test_no_more_than_so_many_wait_to_be_kept_however_small_they_are() -> None:
    """Each holds an open file."""
    index, bucket = Index(), Bucket()
    bucket.may_put = asyncio.Semaphore(0)
    running = downloads(index, bucket, writes=1, waiting=2)
    for number in range(5):
        client = start(running, number)
        await eventually(lambda number=number: len(index.opened) == number + 1)  # type: ignore[misc]
        index.opened[number].send(CONTENT, b"")
        assert await client == CONTENT
        await eventually(lambda number=number: running.stats().downloads == min(number + 1, 3))  # type: ignore[misc]
    for _ in range(3):
        bucket.may_put.release()
    await eventually(lambda: running.stats() == IDLE)
    assert set(bucket.objects) == {"p/0", "p/1", "p/2"}


async def test_a_bucket_that_takes_too_long_is_given_up() -> None:
    index, bucket = Index(), Bucket()
    bucket.may_put = asyncio.Semaphore(0)
    running = downloads(index, bucket, writes=1, keep_seconds=0.01)
    clients = [start(running, number) for number in range(2)]
    await eventually(lambda: len(index.opened) == 2)
    for body in index.opened:
        body.send(CONTENT, b"")
    assert await asyncio.gather(*clients) == [CONTENT, CONTENT]
    await eventually(lambda: running.stats() == IDLE)
    assert bucket.objects == {}


async def test_bytes_are_given_up_with_the_last_reader_and_not_by_the_garbage_collector(tmp_path: Any) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    index, bucket = Index(), Bucket()
    running = downloads(index, bucket)
    before = descriptors()
    gc.disable()
    try:
        clients = [start(running, number) for number in range(6)]
        await eventually(lambda: len(index.opened) == 6)
        for number, body in enumerate(index.opened):
            body.send(CONTENT[:2000])
            if number < 2:
                body.send(UpstreamError("it breaks"))
            elif number < 4:
                body.send(CONTENT[2000:], b"")
        await eventually(lambda: all(client.done() for client in clients[:4]))
        assert descriptors() > before
        await leave(*clients)
        await eventually(lambda: running.stats() == IDLE)
        await eventually(lambda: descriptors() == before, descriptors)
    finally:
        gc.enable()


async def test_at_the_gateway_s_end_all_of_them_end() -> None:
    index, bucket = Index(), Bucket()
    bucket.may_put = asyncio.Semaphore(0)
    running = downloads(index, bucket)
    whole, half = start(running, 0), start(running, 1)
    await eventually(lambda: len(index.opened) == 2)
    index.opened[0].send(CONTENT, b"")
    index.opened[1].send(CONTENT[:1000])
    assert await whole == CONTENT
    await running.close()
    with pytest.raises(UpstreamError, match="the gateway stops"):
        await half
    assert running.stats() == IDLE


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["join", "join", "open", "send", "turn", "turn", "finish", "leave", "break", "corrupt", "put"]),
        st.integers(0, 2),
    ),
    min_size=10,
    max_size=40,
)


# Who joins when the last has just left.
LEFT = "join 0, join 0, join 1, join 1, join 2, finish 1, leave 0, leave 0, join 0, finish 0"


@settings(max_examples=60)
@given(STEPS)
@example([(step, int(number)) for step, number in map(str.split, LEFT.split(", "))])
def test_whatever_happens_in_whatever_order_readers_get_the_file_or_an_error(steps: list[tuple[str, int]]) -> None:
    asyncio.run(_play(steps))


async def _play(steps: list[tuple[str, int]]) -> None:
    """Of three files; the number of a step says which."""
    index, bucket = Index(), Bucket()
    index.may_open, bucket.may_put = asyncio.Semaphore(0), asyncio.Semaphore(0)
    running = downloads(index, bucket, fetches=3, writes=1, temp_bytes=3 * len(CONTENT))
    clients: list[list[asyncio.Task[bytes]]] = [[], [], []]
    left: list[asyncio.Task[bytes]] = []
    for step, number in steps:
        bodies = [body for body in index.opened if body.name == file(number).name]
        if step == "join":
            clients[number].append(start(running, number))
        elif step == "leave" and clients[number]:
            left.append(clients[number].pop())
            left[-1].cancel()
        elif step == "open":
            index.may_open.release()
        elif step == "put":
            bucket.may_put.release()
        elif step == "send" and bodies:
            bodies[-1].send(CONTENT[bodies[-1].sent : bodies[-1].sent + 1000])
        elif step == "corrupt" and bodies:
            bodies[-1].send(bytes(1000))
        elif step == "break" and bodies:
            bodies[-1].send(UpstreamError("it breaks"))
        elif step == "finish":
            await _finish(index, number, clients[number])
        for _ in range(number if step == "turn" else 0):
            await asyncio.sleep(0)
        stats = running.stats()
        assert stats.fetching <= 3
        assert stats.temp_bytes <= 3 * len(CONTENT)
        assert bucket.most <= 1
    await leave(*clients[0], *clients[1], *clients[2], *left)
    assert running.stats().claims == 0
    for _ in range(len(steps)):
        bucket.may_put.release()
    await eventually(lambda: running.stats() == IDLE, running.stats)
    assert set(bucket.objects.values()) <= {CONTENT}


async def _finish(index: Index, number: int, clients: "list[asyncio.Task[bytes]]") -> None:
    """Sends all that the clients wait for; what has been corrupted or broken before is an error to them."""

    def done() -> bool:
        index.may_open.release()  # of whichever file
        for body in index.opened:
            if body.name == file(number).name and not body.ended:
                body.send(CONTENT[body.sent :], b"")
        return all(client.done() for client in clients)

    await eventually(done)
    for client in clients:
        error = client.exception()
        assert client.result() == CONTENT if error is None else re.search("it breaks|its sha256", str(error))
    clients.clear()
