"""Bytes that come once and are read by many."""

import asyncio
import gc
import os

import pytest

from gateway.errors import UpstreamError
from gateway.transfer.file_broadcast import BroadcastError, FileBroadcast
from gateway.transfer.open_file import OpenFile, read_parts
from tests.support.eventually import eventually


async def all_of(spool: FileBroadcast) -> bytes:
    return b"".join([chunk async for chunk in read_parts(spool.parts())])


async def test_readers_get_what_has_come_and_wait_for_the_rest() -> None:
    spool = FileBroadcast.temporary()
    early = asyncio.ensure_future(all_of(spool))
    content = bytes(range(256)) * 4000
    for start in range(0, len(content), 100_000):
        await spool.write(content[start : start + 100_000])
    late = asyncio.ensure_future(all_of(spool))
    await spool.finish()
    assert await early == await late == await all_of(spool) == content


async def test_nobody_gets_the_last_byte_before_the_end_is_known_to_be_good() -> None:
    spool = FileBroadcast.temporary()
    reader = read_parts(spool.parts())
    await spool.write(b"abc")
    assert await anext(reader) == b"ab"
    last = asyncio.ensure_future(anext(reader))
    spool.fail(UpstreamError("another hash"))
    with pytest.raises(UpstreamError, match="another hash"):
        await last
    with pytest.raises(UpstreamError):
        await all_of(spool)


async def test_nothing_is_something_too() -> None:
    spool = FileBroadcast.temporary()
    reader = asyncio.ensure_future(all_of(spool))
    await spool.finish()
    assert await reader == b""


async def test_a_disk_that_is_full_is_an_error_and_the_file_is_closed_all_the_same() -> None:
    gc.disable()
    try:
        descriptor = os.open("/dev/full", os.O_RDWR)
        spool = FileBroadcast(OpenFile(descriptor))
        await spool.write(b"abc")
        with pytest.raises(BroadcastError, match="No space left") as full:
            await spool.finish()
        spool.fail(full.value)
        spool.close()
        await eventually(lambda: not os.path.exists(f"/proc/self/fd/{descriptor}"))
    finally:
        gc.enable()
