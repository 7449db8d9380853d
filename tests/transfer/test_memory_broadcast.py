"""Bytes in passing: for those who keep up, exactly; for the others a word that they don't."""

import asyncio
import os
import sys

import pytest

from gateway.errors import UpstreamError
from gateway.transfer.file_broadcast import BroadcastError
from gateway.transfer.memory_broadcast import MemoryBroadcast

MB = 1024 * 1024


async def collect(wake: MemoryBroadcast, into: bytearray, start: int = 0, stop: int | None = None) -> None:
    async for part in wake.parts(start, stop):
        into += part


async def test_readers_at_one_pace_get_all_of_it() -> None:
    wake = MemoryBroadcast(4 * MB)
    got = [bytearray() for _ in range(5)]
    readers = [asyncio.ensure_future(collect(wake, into)) for into in got]
    for number in range(40):
        await wake.write(bytes([number]) * (MB // 2))
    await wake.finish()
    await asyncio.gather(*readers)
    assert {bytes(into) for into in got} == {b"".join(bytes([number]) * (MB // 2) for number in range(40))}


async def test_who_comes_late_still_finds_the_start_while_it_is_there() -> None:
    wake = MemoryBroadcast(4 * MB)
    first, second = bytearray(), bytearray()
    reader = asyncio.ensure_future(collect(wake, first))
    for _ in range(6):
        await wake.write(bytes(MB // 2))
    assert wake.joinable
    late = asyncio.ensure_future(collect(wake, second))
    await wake.finish()
    await asyncio.gather(reader, late)
    assert len(first) == len(second) == 3 * MB


async def test_who_falls_behind_is_told_and_holds_nobody_back() -> None:
    wake = MemoryBroadcast(2 * MB)
    slow, quick = wake.parts(), bytearray()
    reader = asyncio.ensure_future(collect(wake, quick))
    await wake.write(b"first")
    assert await anext(slow) == b"first"
    for _ in range(10):
        await wake.write(bytes(MB // 2))
    await wake.finish()
    await reader
    assert len(quick) == 5 * MB + 5
    with pytest.raises(BroadcastError):
        await anext(slow)
    assert not wake.joinable
    for start in (0, 1000):
        with pytest.raises(BroadcastError):
            await collect(wake, bytearray(), start)


async def test_the_writer_waits_for_the_reader_that_is_fastest() -> None:
    wake = MemoryBroadcast(4 * MB)
    writing = asyncio.ensure_future(wake.write(bytes(2 * MB)))
    await asyncio.sleep(0)
    assert not writing.done()
    reader = asyncio.ensure_future(collect(wake, got := bytearray()))
    await writing
    await wake.finish()
    await reader
    assert len(got) == 2 * MB


async def test_a_part_ends_where_it_should() -> None:
    wake = MemoryBroadcast(4 * MB)
    await wake.write(b"0123")
    await wake.write(b"4567")
    got = bytearray()
    await collect(wake, got, 0, 6)
    assert got == b"012345"


async def test_an_error_comes_after_the_bytes_before_it() -> None:
    wake = MemoryBroadcast(4 * MB)
    await wake.write(b"0123")
    wake.fail(UpstreamError("broken"))
    got = bytearray()
    with pytest.raises(UpstreamError, match="broken"):
        await collect(wake, got)
    assert got == b"0123"


async def test_it_reaches_the_start_until_that_has_gone_by_or_it_has_failed() -> None:
    wake = MemoryBroadcast(2 * MB)
    assert (wake.joinable, wake.reaches(0), wake.reaches(1)) == (True, True, False)
    reader = asyncio.ensure_future(collect(wake, bytearray()))
    for _ in range(2):
        await wake.write(bytes(MB))
    assert wake.reaches(0), "all of it is as much as there is room for"
    await wake.write(b"x")
    assert (wake.joinable, wake.reaches(0)) == (False, False)
    await wake.finish()
    await reader
    failed = MemoryBroadcast(2 * MB)
    failed.fail(UpstreamError("broken"))
    assert (failed.joinable, failed.reaches(0)) == (False, False)


async def test_it_is_no_further_ahead_than_a_megabyte() -> None:
    wake = MemoryBroadcast(4 * MB)
    await asyncio.wait_for(wake.write(bytes(MB)), 5)
    writing = asyncio.ensure_future(wake.write(b"x"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not writing.done()
    reader = wake.parts()
    assert len(await anext(reader)) == MB
    pending = asyncio.ensure_future(anext(reader))
    await asyncio.wait_for(writing, 5)
    assert await pending == b"x"


async def test_a_part_that_does_not_begin_at_the_start_has_gone_by() -> None:
    wake = MemoryBroadcast(4 * MB)
    await wake.write(b"0123")
    with pytest.raises(BroadcastError) as refused:
        await collect(wake, bytearray(), 1, 3)
    assert refused.value.detail == "the bytes have left the memory"


async def test_a_part_that_is_there_is_read_before_the_end_is_known() -> None:
    wake = MemoryBroadcast(4 * MB)
    for chunk in (b"0123", b"4567"):
        await wake.write(chunk)
    for stop in (0, 4, 8):
        got = bytearray()
        await asyncio.wait_for(collect(wake, got, 0, stop), 5)
        assert got == b"01234567"[:stop]


async def test_after_chunks_have_gone_by_the_next_ones_are_still_the_right_ones() -> None:
    wake = MemoryBroadcast(MB)
    got = bytearray()
    reader = asyncio.ensure_future(collect(wake, got))
    for number in range(12):
        await wake.write(bytes([number]) * (MB // 4 + number))
        for _ in range(3):
            await asyncio.sleep(0)
    await wake.finish()
    await reader
    assert got == b"".join(bytes([number]) * (MB // 4 + number) for number in range(12))


async def test_closing_lets_go_of_the_bytes() -> None:
    wake = MemoryBroadcast(4 * MB)
    chunk = os.urandom(1000)
    await wake.write(chunk)
    held = sys.getrefcount(chunk)
    wake.close()
    assert sys.getrefcount(chunk) == held - 1
