"""Bytes that come once and are read by many."""

import asyncio
import gc
import os
import threading

import pytest

from gateway.errors import UpstreamError
from gateway.transfer.file_broadcast import BroadcastError, FileBroadcast
from gateway.transfer.open_file import OpenFile, read_parts
from tests.support.eventually import eventually


async def all_of(broadcast: FileBroadcast) -> bytes:
    return b"".join([chunk async for chunk in read_parts(broadcast.parts())])


async def test_readers_get_what_has_come_and_wait_for_the_rest() -> None:
    broadcast = FileBroadcast.temporary()
    early = asyncio.ensure_future(all_of(broadcast))
    content = bytes(range(256)) * 4000
    for start in range(0, len(content), 100_000):
        await broadcast.write(content[start : start + 100_000])
    late = asyncio.ensure_future(all_of(broadcast))
    await broadcast.finish()
    assert await early == await late == await all_of(broadcast) == content


async def test_nobody_gets_the_last_byte_before_the_end_is_known_to_be_good() -> None:
    broadcast = FileBroadcast.temporary()
    reader = read_parts(broadcast.parts())
    await broadcast.write(b"abc")
    assert await anext(reader) == b"ab"
    last = asyncio.ensure_future(anext(reader))
    broadcast.fail(UpstreamError("another hash"))
    with pytest.raises(UpstreamError, match="another hash"):
        await last
    with pytest.raises(UpstreamError):
        await all_of(broadcast)


async def test_nothing_is_something_too() -> None:
    broadcast = FileBroadcast.temporary()
    reader = asyncio.ensure_future(all_of(broadcast))
    await broadcast.finish()
    assert await reader == b""


async def test_a_disk_that_is_full_is_an_error_and_the_file_is_closed_all_the_same() -> None:
    gc.disable()
    try:
        descriptor = os.open("/dev/full", os.O_RDWR)
        broadcast = FileBroadcast(OpenFile(descriptor))
        await broadcast.write(b"abc")
        with pytest.raises(BroadcastError, match="No space left") as full:
            await broadcast.finish()
        broadcast.fail(full.value)
        broadcast.close()
        await eventually(lambda: not os.path.exists(f"/proc/self/fd/{descriptor}"))
    finally:
        gc.enable()


NEAR = 4 * 1024 * 1024


async def test_it_reaches_what_comes_in_a_moment() -> None:
    broadcast = FileBroadcast.temporary()
    assert (broadcast.joinable, broadcast.reaches(NEAR), broadcast.reaches(NEAR + 1)) == (True, True, False)
    await broadcast.write(b"abc")
    await broadcast.flush()
    assert (broadcast.reaches(NEAR + 3), broadcast.reaches(NEAR + 4)) == (True, False)
    await broadcast.finish()
    assert broadcast.reaches(10 * NEAR), "nothing is waited for any more"
    broadcast.fail(UpstreamError("broken"))
    assert (broadcast.joinable, broadcast.reaches(0)) == (False, False)


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [(0, 2, b"ab"), (1, 3, b"bc"), (2, 4, b"cd"), (3, None, b"de"), (0, 0, b""), (5, None, b"")],
)
async def test_a_part_is_read_from_where_to_where_it_should(start: int, stop: int | None, expected: bytes) -> None:
    broadcast = FileBroadcast.temporary()
    await broadcast.write(b"abcde")
    await broadcast.flush()
    if stop is None:
        await broadcast.finish()
    async with asyncio.timeout(5):
        assert b"".join([chunk async for chunk in read_parts(broadcast.parts(start, stop))]) == expected


async def test_all_bytes_are_seen_in_order_before_they_can_be_read() -> None:
    seen: list[bytes] = []
    descriptor = os.memfd_create("broadcast")
    for broadcast in (FileBroadcast.temporary(seen.append), FileBroadcast(OpenFile(descriptor), seen.append)):
        seen.clear()
        for chunk in (b"ab", b"cd", b"e"):
            await broadcast.write(chunk)
        await broadcast.finish()
        assert b"".join(seen) == await all_of(broadcast) == b"abcde"


async def test_a_writer_waits_only_where_two_megabytes_are_waiting() -> None:
    go_on = threading.Event()
    broadcast = FileBroadcast.temporary(lambda chunk: go_on.wait(10))
    try:
        await asyncio.wait_for(broadcast.write(b"a"), 5)
        await asyncio.sleep(0)  # it is being written
        await asyncio.wait_for(broadcast.write(bytes(1024 * 1024)), 5)
        await asyncio.wait_for(broadcast.write(bytes(1024 * 1024)), 5)
        waiting = asyncio.ensure_future(broadcast.write(b"z"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
    finally:
        go_on.set()
    await asyncio.wait_for(waiting, 5)
    await broadcast.finish()
    assert await all_of(broadcast) == b"a" + bytes(2 * 1024 * 1024) + b"z"


async def test_who_writes_after_the_disk_was_full_is_told_at_once() -> None:
    broadcast = FileBroadcast(OpenFile(os.open("/dev/full", os.O_RDWR)))
    await broadcast.write(b"abc")
    for _ in range(2):
        with pytest.raises(BroadcastError) as full:
            await broadcast.flush()
        assert full.value.detail == "a file can't be written: No space left on device"
        assert full.value.code == "FileSystem"
    with pytest.raises(BroadcastError):
        await broadcast.write(b"abc")


async def test_a_failure_that_nobody_waits_for_is_no_complaint() -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    descriptor = os.open("/dev/full", os.O_RDWR)
    broadcast = FileBroadcast(OpenFile(descriptor))
    await broadcast.write(b"abc")
    await asyncio.sleep(0)  # it is being written
    broadcast.close()
    del broadcast
    await eventually(lambda: not os.path.exists(f"/proc/self/fd/{descriptor}"))
    gc.collect()
    assert complaints == []
