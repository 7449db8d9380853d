"""What one worker writes or removes, the others forget."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.config.load import load
from gateway.errors import GatewayError
from gateway.ops.mark import EVERYTHING, Marks
from gateway.storage.base import one_chunk
from tests.support import faults
from tests.support.faults import FaultyBucket
from tests.support.http import fetch

WHEEL = "p/p-1.0-py3-none-any.whl"


@pytest.fixture
def marks() -> Marks:
    return Marks()


@pytest.fixture
async def gateway(marks: Marks, faulty_settings: dict[str, str], tmp_path: Path) -> AsyncIterator[Gateway]:
    """One of several workers, which keeps what it knows for ever."""
    settings = {"server.port": "0", "log.access": "false", "cache.index_ttl": "9999", "cache.negative_ttl": "9999"}
    settings |= {"cache.file_ttl": "9999", "index.mode": "off"}
    gateway = Gateway(load(faulty_settings | settings, environ={}, cwd=tmp_path), marks)
    await gateway.start()
    yield gateway
    await gateway.stop()


async def get(gateway: Gateway, key: str = WHEEL) -> tuple[int, bytes]:
    reply = await fetch(int(gateway.url.rpartition(":")[2]), f"/{key}")
    return reply.status, reply.body


def in_another_process(change: str, marks: Marks) -> None:
    child = os.fork()
    if not child:
        marks.objects.change(change)
        os._exit(0)
    os.waitpid(child, 0)


@pytest.mark.parametrize("name", [WHEEL, EVERYTHING], ids=["the-object", "too-many-to-name"])
async def test_what_another_worker_has_written_is_asked_for_again(
    gateway: Gateway, marks: Marks, faulty: FaultyBucket, name: str
) -> None:
    faulty.objects = {}
    assert (await get(gateway))[0] == 404
    for content in (b"first", b"second"):
        faulty.objects[WHEEL] = content
        assert (await get(gateway))[1] != content, "it is kept, or its absence is"
        in_another_process(name if name == EVERYTHING else f"default/{name}", marks)
        assert await get(gateway) == (200, content)


async def test_other_objects_stay_as_they_are_known(gateway: Gateway, marks: Marks, faulty: FaultyBucket) -> None:
    faulty.objects = {WHEEL: b"x", "other.whl": b"x"}
    for key in faulty.objects:
        await get(gateway, key)
    in_another_process(f"default/{WHEEL}", marks)
    before = len(faulty.requests)
    await get(gateway, "other.whl")
    assert len(faulty.requests) == before
    await get(gateway)
    assert len(faulty.requests) == before + 1


async def test_what_is_written_and_removed_is_announced_also_if_that_fails(
    gateway: Gateway, marks: Marks, faulty: FaultyBucket
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"

    await gateway.storage.put(WHEEL, chunks())
    assert marks.objects.changes() == [f"default/{WHEEL}"]
    await gateway.storage.delete(WHEEL)
    assert marks.objects.changes() == [f"default/{WHEEL}"]
    faulty.then(*[faults.error(500, "InternalError")] * 9)
    with pytest.raises(GatewayError):
        await gateway.storage.put(WHEEL, chunks())
    assert marks.objects.changes() == [f"default/{WHEEL}"], "the storage may have taken it"
    gateway.storage.forget(WHEEL)
    assert marks.objects.changes() == (), "who has been told tells nobody"
    assert marks.projects.changes() == ()


async def test_what_the_gateway_keeps_for_itself_is_not_announced(gateway: Gateway, marks: Marks) -> None:
    await gateway.storage.put(".gateway/audit/1.jsonl", one_chunk(b"x"))
    assert marks.objects.changes() == ()


async def test_copies_of_files_of_another_index_are_announced(gateway: Gateway, marks: Marks) -> None:
    """Clients are answered with them, by other keys."""
    await gateway.storage.put(f".mirror/{WHEEL}", one_chunk(b"x"))
    assert marks.objects.changes() == [f"default/.mirror/{WHEEL}"]
