"""Uploads that break off, and many at once, in front of a real bucket: one content or none, and nothing left behind."""

import asyncio
import random
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO
from typing import Any

import aiohttp
import pytest

from tests.conftest import StartGateway
from tests.support.bucket import Bucket
from tests.support.eventually import eventually
from tests.support.nightly import NIGHTLY
from tests.support.uploads import FORM, fields, form, upload, wheel

OPEN = {"publish.enabled": "true", "publish.allow_anonymous": "true"}
FILE = "acme_web-1.0-py3-none-any.whl"
KEY = f"acme-web/{FILE}"
PIECE_BYTES = 64 * 1024


def large_wheel(size: int, seed: int = 1) -> bytes:
    """A wheel with a member of `size` bytes, in front of those that describe it."""
    _, small = wheel("acme_web", "1.0")
    buffer = BytesIO()
    with zipfile.ZipFile(BytesIO(small)) as source, zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("acme_web/data.bin", random.Random(seed).randbytes(size))
        for name in source.namelist():
            archive.writestr(name, source.read(name))
    return buffer.getvalue()


def parts_left(bucket: Bucket) -> list[Any]:
    return list(bucket.client.list_multipart_uploads(Bucket=bucket.name).get("Uploads", []))


def objects(bucket: Bucket) -> dict[str, bytes]:
    found = bucket.client.list_objects_v2(Bucket=bucket.name).get("Contents", [])
    return {item["Key"]: bucket.client.get_object(Bucket=bucket.name, Key=item["Key"])["Body"].read() for item in found}


def cuts(length: int) -> Iterator[int]:
    """Where a client leaves: everywhere in the night, else here and there, and at the end."""
    all_of_them = range(PIECE_BYTES, length, PIECE_BYTES)
    yield from all_of_them if NIGHTLY else all_of_them[:: len(all_of_them) // 8]
    yield length - 1


async def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(
    start_gateway: StartGateway, bucket: Bucket
) -> None:
    gateway = await start_gateway(bucket.settings() | OPEN)
    content = large_wheel(20_000_000)
    body = form(FILE, content, fields(FILE, content))
    head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM['Content-Type']}\r\nContent-Length: {len(body)}\r\n\r\n"
    for cut in cuts(len(body)):
        _, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
        writer.write(head.encode() + body[:cut])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        await eventually(lambda: gateway.metrics.in_flight == 0)
        assert await asyncio.to_thread(parts_left, bucket) == []
    assert await asyncio.to_thread(objects, bucket) == {}
    assert (await upload(gateway.url, FILE, content))[0] == 200
    assert await asyncio.to_thread(objects, bucket) == {KEY: content}
    assert await asyncio.to_thread(parts_left, bucket) == []


WRITERS = {100: 24, 20_000_000: 8} if NIGHTLY else {100: 9, 20_000_000: 4}


@pytest.mark.parametrize("size", WRITERS)
async def test_of_many_uploads_of_one_name_one_wins(start_gateway: StartGateway, bucket: Bucket, size: int) -> None:
    """SeaweedFS tells several writers of objects in parts that they have won, if they end at once: the table in
    docs/pages/publishing.md. One content is there all the same; tests/publish/test_uploads.py has
    a bucket that heeds the condition."""
    gateways = [await start_gateway(bucket.settings() | OPEN) for _ in range(3)]
    contents = [large_wheel(size, seed) for seed in range(4)]

    async def send(number: int) -> tuple[int, int]:
        content = number % len(contents)
        return (await upload(gateways[number % 3].url, FILE, contents[content]))[0], content

    answers = await asyncio.gather(*map(send, range(WRITERS[size])))
    there = (await asyncio.to_thread(objects, bucket))[KEY]
    winner = contents.index(there)
    assert {status for status, content in answers if content == winner} == {200}
    others = {status for status, content in answers if content != winner}
    assert others == {409} if size < 1000 else others <= {200, 409}
    assert await asyncio.to_thread(parts_left, bucket) == []
    for gateway in gateways:
        gateway.refresh("acme-web")
        async with aiohttp.request("GET", f"{gateway.url}/simple/acme-web/") as page:
            assert sha256(there).hexdigest() in await page.text()
